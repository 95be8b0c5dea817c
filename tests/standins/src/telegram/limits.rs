//! Who has sent too much: 429 by rules close to the real ones (the exact ones are not published).
//!
//! A chat: a bucket that refills by one a second. A group: so many a minute besides. The bot: so many a second over all.
//! Edits count in groups only. While a chat must wait, every further call says how long.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::rules::RateLimits;

#[derive(Debug, Default)]
pub(crate) struct Limiter {
    chats: HashMap<i64, Chat>,
    all: VecDeque<Instant>,
}

#[derive(Debug)]
struct Chat {
    tokens: f64,
    refilled: Instant,
    minute: VecDeque<Instant>,
    until: Option<Instant>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Limiter {
    /// Counts one call into `chat`, or says how many seconds to wait.
    pub(crate) fn admit(&mut self, limits: &RateLimits, chat: i64, edit: bool, now: Instant) -> Result<(), u64> {
        let group = chat < 0;
        if edit && !group {
            return Ok(());
        }
        self.all.retain(|at| now - *at < Duration::from_secs(1));
        if self.all.len() >= limits.per_second as usize {
            return Err(1);
        }
        let burst = f64::from(limits.chat_burst);
        let fresh = || Chat { tokens: burst, refilled: now, minute: VecDeque::new(), until: None };
        let state = self.chats.entry(chat).or_insert_with(fresh);
        state.admit(burst, group.then_some(limits.group_per_minute), now)?;
        self.all.push_back(now);
        Ok(())
    }
}

impl Chat {
    fn admit(&mut self, burst: f64, per_minute: Option<u32>, now: Instant) -> Result<(), u64> {
        if let Some(until) = self.until.filter(|until| *until > now) {
            return Err(seconds(until - now));
        }
        self.tokens = (self.tokens + (now - self.refilled).as_secs_f64()).min(burst);
        self.refilled = now;
        self.minute.retain(|at| now - *at < MINUTE);
        let full = per_minute.filter(|most| self.minute.len() >= *most as usize);
        let wait = match (full, self.minute.front()) {
            (Some(_), Some(oldest)) => Some(*oldest + MINUTE - now),
            _ if self.tokens < 1.0 => Some(Duration::from_secs_f64(1.0 - self.tokens)),
            _ => None,
        };
        if let Some(wait) = wait {
            let wait = seconds(wait);
            self.until = Some(now + Duration::from_secs(wait));
            return Err(wait);
        }
        self.tokens -= 1.0;
        self.minute.push_back(now);
        Ok(())
    }
}

fn seconds(wait: Duration) -> u64 {
    (wait.as_secs_f64().ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_private_chat_takes_a_burst_then_one_a_second() {
        let (mut limiter, limits, start) = (Limiter::default(), RateLimits::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(limiter.admit(&limits, 7, false, start), Ok(()));
        }
        assert_eq!(limiter.admit(&limits, 7, false, start), Err(1));
        assert_eq!(limiter.admit(&limits, 8, false, start), Ok(()), "another chat is free");
        assert_eq!(limiter.admit(&limits, 7, false, after(start, 1)), Ok(()));
    }

    #[test]
    fn a_group_takes_twenty_a_minute_edits_included() {
        let (mut limiter, limits, start) = (Limiter::default(), RateLimits::default(), Instant::now());
        for second in 0..20 {
            assert_eq!(limiter.admit(&limits, -7, true, after(start, second)), Ok(()));
        }
        assert_eq!(limiter.admit(&limits, -7, false, after(start, 20)), Err(40));
        assert_eq!(limiter.admit(&limits, -7, false, after(start, 30)), Err(30));
    }
}
