//! A circuit breaker: after several failures in a row nothing is sent for a while, then one request tries.
//!
//! Invariants: pure (the time is passed in); while half open exactly one request is under way; one success closes it.
//! Not here: what counts as a failure (the caller knows).

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
/// The first rest; each failed try doubles it.
const REST: Duration = Duration::from_secs(5);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Closed, open or half open.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration },
    HalfOpen { rest: Duration },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// May a request go out? Otherwise: how long to wait.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, rest } if now >= until => {
                self.state = State::HalfOpen { rest };
                Ok(())
            }
            State::Open { until, .. } => Err(until - now),
            State::HalfOpen { rest } => Err(rest),
        }
    }

    /// The request reached the server and was answered.
    pub fn succeeded(&mut self) {
        self.state = State::default();
    }

    /// The server did not answer as a working server does.
    pub fn failed(&mut self, now: Instant) {
        self.state = match self.state {
            State::Closed { failures } if failures + 1 < THRESHOLD => State::Closed { failures: failures + 1 },
            State::Closed { .. } => State::Open { until: now + REST, rest: REST },
            State::HalfOpen { rest } => {
                let rest = (rest * 2).min(LONGEST_REST);
                State::Open { until: now + rest, rest }
            }
            open @ State::Open { .. } => open,
        };
    }

    /// The request ended without telling anything about the server (cancelled): a trial is free again.
    pub fn abandoned(&mut self, now: Instant) {
        if let State::HalfOpen { rest } = self.state {
            self.state = State::Open { until: now, rest };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..THRESHOLD * 3 {
            for _ in 0..THRESHOLD - 1 {
                breaker.failed(now);
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now), Ok(()));
        assert_eq!(opened(now).admit(now), Err(REST));
    }

    #[test]
    fn after_the_rest_one_request_tries_and_the_others_wait() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Err(REST));
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Ok(()));
        assert_eq!(breaker.admit(later), Ok(()));
    }

    #[test]
    fn each_failed_try_doubles_the_rest_up_to_a_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for expected in [5, 10, 20, 40, 60, 60] {
            assert_eq!(breaker.admit(now), Err(Duration::from_secs(expected)));
            now += Duration::from_secs(expected);
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now);
        }
    }

    #[test]
    fn a_cancelled_trial_leaves_the_trial_to_the_next() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + REST;
        assert_eq!(breaker.admit(later), Ok(()));
        breaker.abandoned(later);
        assert_eq!(breaker.admit(later), Ok(()));
    }
}
