//! How often one client may ask: a token bucket per client address, in bounded memory.
//!
//! Invariants: nobody is exempt, loopback neither; memory stays below a fixed bound whoever calls; forgetting a client
//! never gives it more than it would have had. Not here: whose address counts behind a proxy (`http/client.rs`).
//!
//! A bucket is kept as one instant, the moment at which it will be full again (the generic cell rate algorithm): a client
//! whose moment has passed needs no memory at all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Clients remembered at the same time; those beyond share one bucket.
const CLIENTS: usize = 65_536;

/// The buckets.
#[derive(Debug)]
pub struct Limiter {
    /// One request's share of time.
    cost: Duration,
    /// A full bucket's worth of time.
    depth: Duration,
    buckets: Mutex<Buckets>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<IpAddr, Instant>,
    overflow_full_at: Option<Instant>,
    swept_at: Option<Instant>,
}

impl Limiter {
    /// `per_second` for long, `burst` at once; both at least 1.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let cost = Duration::from_secs(1) / per_second.max(1);
        Self { cost, depth: cost * burst.max(1), buckets: Mutex::default(), capacity: CLIENTS }
    }

    /// Takes one request's worth, or says when to come back.
    pub fn check(&self, client: IpAddr) -> Result<(), Duration> {
        let now = Instant::now();
        let client = network_of(client);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.full_at.len() >= self.capacity && !buckets.full_at.contains_key(&client) {
            buckets.sweep(now);
        }
        let known = buckets.full_at.get(&client).copied();
        if known.is_none() && buckets.full_at.len() >= self.capacity {
            let full_at = self.take(buckets.overflow_full_at, now)?;
            buckets.overflow_full_at = Some(full_at);
            return Ok(());
        }
        let full_at = self.take(known, now)?;
        buckets.full_at.insert(client, full_at);
        Ok(())
    }

    fn take(&self, full_at: Option<Instant>, now: Instant) -> Result<Instant, Duration> {
        let full_at = full_at.map_or(now, |at| at.max(now)) + self.cost;
        let missing = full_at.saturating_duration_since(now).saturating_sub(self.depth);
        if missing.is_zero() { Ok(full_at) } else { Err(missing) }
    }
}

impl Buckets {
    /// Forgets the full ones. At most once a second, so that a flood of new addresses can't make every call slow.
    fn sweep(&mut self, now: Instant) {
        let due = self.swept_at.is_none_or(|at| now.duration_since(at) >= Duration::from_secs(1));
        if due {
            self.swept_at = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64 (one customer has all of it).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_counts() {
        let limiter = Limiter::new(10, 3);
        for _ in 0..3 {
            assert_eq!(limiter.check(address(1)), Ok(()));
        }
        assert_eq!(limiter.check(address(1)), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(limiter.check(address(1)), Ok(()));
        assert!(limiter.check(address(1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_does_not_use_up_anothers_share_and_loopback_is_a_client_like_any_other() {
        let limiter = Limiter::new(1, 1);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(limiter.check(loopback), Ok(()));
        assert!(limiter.check(loopback).is_err());
        assert_eq!(limiter.check(address(2)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_request_costs_nothing() {
        let limiter = Limiter::new(1, 1);
        assert_eq!(limiter.check(address(1)), Ok(()));
        for _ in 0..100 {
            assert_eq!(limiter.check(address(1)), Err(Duration::from_secs(1)));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(limiter.check(address(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_clients_beyond_the_bound_share_a_bucket() {
        let limiter = Limiter { capacity: 2, ..Limiter::new(1, 1) };
        assert_eq!(limiter.check(address(1)), Ok(()));
        assert_eq!(limiter.check(address(2)), Ok(()));
        assert_eq!(limiter.check(address(3)), Ok(()));
        assert!(limiter.check(address(4)).is_err(), "the shared bucket is used up");
        assert_eq!(limiter.buckets.lock().unwrap().full_at.len(), 2);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(limiter.check(address(4)), Ok(()), "those whose buckets are full were forgotten");
    }

    #[test]
    fn spellings_of_one_client_are_one_client() {
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network_of(mapped), address(1));
        let (a, b): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::ffff:2".parse().unwrap());
        assert_eq!(network_of(a), network_of(b));
        assert_ne!(network_of(a), network_of("2001:db8:0:1::1".parse().unwrap()));
    }
}
