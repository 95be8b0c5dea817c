//! Time and randomness, passed in. The only file that asks the system for either; clippy bans it elsewhere.
//!
//! Waiting is tokio's (tests pause it); this is for wall-clock stamps, jitter, ids and secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Where stamps and jitter come from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970 UTC.
    fn now_ms(&self) -> u64;

    /// 64 uniformly random bits.
    fn random(&self) -> u64;
}

/// A clock that everybody may hold.
pub type SharedClock = Arc<dyn Clock>;

/// The system's clock and random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    fn random(&self) -> u64 {
        u64::from_le_bytes(random_bytes())
    }
}

/// Bytes fit for secrets, from the operating system.
#[expect(clippy::expect_used, reason = "a system without randomness can keep no secret: nothing sensible can go on")]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's randomness")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A clock that stands still until it is told or follows tokio's, with a counted sequence for randomness. For tests.
#[derive(Debug, Default)]
pub struct FakeClock {
    now_ms: AtomicU64,
    draws: AtomicU64,
    follows: Option<Instant>,
}

impl FakeClock {
    /// Starts at `now_ms`.
    pub fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(now_ms), ..Self::default() })
    }

    /// Starts at `now_ms` and goes with tokio's time, which tests pause: what sleeps and what is stamped agree.
    pub fn following_tokio(now_ms: u64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(now_ms), follows: Some(Instant::now()), ..Self::default() })
    }

    /// Moves time forward.
    pub fn advance(&self, by_ms: u64) {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> u64 {
        let followed = self.follows.map_or(0, |since| since.elapsed().as_millis() as u64);
        self.now_ms.load(Ordering::SeqCst) + followed
    }

    fn random(&self) -> u64 {
        // splitmix64: well spread, and the same in every run
        let mut x = self.draws.fetch_add(1, Ordering::SeqCst).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }
}
