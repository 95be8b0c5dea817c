//! The `Retry-After` header: seconds or a date (RFC 9110, 10.2.3). Pure.
//!
//! Invariant: whatever a server writes, the wait is bounded; nonsense is as if nothing were written.

use std::time::Duration;

/// Nobody may send us away for longer.
pub const LONGEST: Duration = Duration::from_secs(600);
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How long to wait, seen from `now_ms` (since 1970).
pub fn parse(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // too many digits for a number are a very long wait
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        Duration::from_secs(date(text)?.saturating_sub(now_ms / 1000))
    };
    Some(wait.min(LONGEST))
}

/// Seconds since 1970 of an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`, or one of the two old forms.
fn date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words.as_slice() {
        [weekday, day, month, year, time, "GMT"] if weekday.ends_with(',') => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    // two digits are of the nearest century (RFC 850, long gone)
    let year = if year < 70 {
        year + 2000
    } else if year < 100 {
        year + 1900
    } else {
        year
    };
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let &[hour, minute, second] = parts.as_slice() else { return None };
    let valid = (1..=31).contains(&day) && (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second < 61;
    valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Howard Hinnant's days_from_civil, from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_are_taken_and_capped() {
        assert_eq!(parse("120", 0), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 0 ", 0), Some(Duration::ZERO));
        assert_eq!(parse("3600", 0), Some(LONGEST));
        assert_eq!(parse("99999999999999999999", 0), Some(LONGEST));
    }

    #[test]
    fn every_form_of_date_is_read() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(date("Fri, 31 Dec 1999 23:59:59 GMT"), Some(946_684_799));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770_000), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_780_000), Some(Duration::ZERO));
        assert_eq!(parse("Fri, 31 Dec 9999 23:59:59 GMT", 0), Some(LONGEST));
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["-1", "1.5", "abc", "", "120, 3600", " 120 x", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(text, 0), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", now: u64) {
            prop_assert!(parse(&text, now).is_none_or(|wait| wait <= LONGEST));
        }
    }
}
