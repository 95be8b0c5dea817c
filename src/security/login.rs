//! One-time codes that sign a browser in: a link carries the code, the page exchanges it for a token.
//!
//! Invariants: a code works once, for fifteen minutes, and only in the process that made it; there are never more than a
//! few, so that guessing gains nothing; looking one up takes the same time whether it is there or not.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clock::{SharedClock, random_bytes};

/// How long a code lives.
const LIFETIME_MS: u64 = 15 * 60 * 1000;
/// Codes at the same time; a new one replaces the oldest.
const AT_MOST: usize = 32;

/// The codes that are out.
pub struct LoginCodes {
    clock: SharedClock,
    open: Mutex<Vec<Code>>,
}

struct Code {
    /// The code itself is only in the link.
    digest: [u8; 32],
    subject: String,
    expires_ms: u64,
}

impl LoginCodes {
    /// None are out.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, open: Mutex::default() }
    }

    /// Makes a code for `subject`: 192 random bits, fit for a link's fragment.
    pub fn create(&self, subject: &str) -> String {
        let code = URL_SAFE_NO_PAD.encode(random_bytes::<24>());
        let entry =
            Code { digest: digest(&code), subject: subject.to_owned(), expires_ms: self.clock.now_ms() + LIFETIME_MS };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() == AT_MOST {
            open.remove(0);
        }
        open.push(entry);
        code
    }

    /// Uses a code up; whose it was, if it was good.
    pub fn redeem(&self, code: &str) -> Option<String> {
        let wanted = digest(code);
        let now = self.clock.now_ms();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|entry| entry.expires_ms > now);
        // every entry is compared: how long it takes tells nothing
        let found = open.iter().enumerate().fold(None, |found, (place, entry)| {
            if bool::from(entry.digest.ct_eq(&wanted)) { Some(place) } else { found }
        });
        found.map(|place| open.remove(place).subject)
    }
}

fn digest(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    #[test]
    fn a_code_works_once() {
        let codes = LoginCodes::new(FakeClock::at(0));
        let code = codes.create("owner");
        assert_eq!(codes.redeem(&code).as_deref(), Some("owner"));
        assert_eq!(codes.redeem(&code), None);
    }

    #[test]
    fn a_code_ends_after_fifteen_minutes() {
        let clock = FakeClock::at(1_000);
        let codes = LoginCodes::new(clock.clone());
        let (early, late) = (codes.create("owner"), codes.create("owner"));
        clock.advance(LIFETIME_MS - 1);
        assert!(codes.redeem(&early).is_some());
        clock.advance(1);
        assert_eq!(codes.redeem(&late), None);
    }

    #[test]
    fn nothing_like_a_code_signs_in() {
        let codes = LoginCodes::new(FakeClock::at(0));
        let code = codes.create("owner");
        for wrong in ["", " ", &code[1..], &format!("{code}="), &code.to_lowercase()] {
            assert_eq!(codes.redeem(wrong), None, "{wrong:?}");
        }
        assert!(codes.redeem(&code).is_some());
    }

    #[test]
    fn the_oldest_code_makes_room_for_a_new_one() {
        let codes = LoginCodes::new(FakeClock::at(0));
        let all: Vec<String> = (0..=AT_MOST).map(|_| codes.create("owner")).collect();
        assert_eq!(codes.redeem(&all[0]), None);
        assert!(codes.redeem(&all[1]).is_some());
        assert!(codes.redeem(&all[AT_MOST]).is_some());
    }
}
