//! When to try again: exponential backoff with full jitter. Pure.

use std::time::Duration;

use super::config::DeliveryConfig;

/// The wait before the next attempt after `failed` failed ones (from 1); `random` picks a part of the full wait.
///
/// Full jitter: uniformly between a tenth of the exponential step and the whole of it, so that many lanes that failed together don't come back together.
pub fn backoff(config: &DeliveryConfig, failed: u32, random: u64) -> Duration {
    let doublings = failed.saturating_sub(1).min(32);
    let step = config.backoff.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(config.max_backoff);
    let step_ms = step.as_millis() as u64;
    let floor = step_ms / 10;
    Duration::from_millis(floor + random % (step_ms - floor + 1))
}

/// The message has failed for the last time.
pub fn exhausted(config: &DeliveryConfig, failed: u32) -> bool {
    failed >= config.max_attempts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_wait_doubles_up_to_the_bound() {
        let config = DeliveryConfig {
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            ..DeliveryConfig::default()
        };
        // the random number that picks the whole step
        let longest = |failed| (0..20_000).map(|random| backoff(&config, failed, random)).max();
        assert_eq!([1, 2, 3, 4, 5, 40].map(longest), [1, 2, 4, 8, 10, 10].map(|s| Some(Duration::from_secs(s))));
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_step(failed in 1..100_u32, random: u64, base in 0..5000_u64, most in 0..100_000_u64) {
            let config = DeliveryConfig {
                backoff: Duration::from_millis(base),
                max_backoff: Duration::from_millis(most),
                ..DeliveryConfig::default()
            };
            prop_assert!(backoff(&config, failed, random) <= config.max_backoff);
        }
    }
}
