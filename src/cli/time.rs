//! Points in time and durations as people read and write them.

use std::time::{Duration, UNIX_EPOCH};

use humantime_serde::re::humantime;

/// `2026-11-21T00:31:00Z`.
pub fn date(ms: u64) -> String {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(ms))
        .map_or_else(|| "?".to_owned(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

/// The two largest units: `3h 5m`, `12s`, `0s`.
pub fn span(seconds: u64) -> String {
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let from_first = units.iter().skip_while(|(_, count)| *count == 0);
    let shown: Vec<String> =
        from_first.take(2).filter(|(_, count)| *count > 0).map(|(unit, count)| format!("{count}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown.join(" ") }
}

/// `90` seconds, or with units: `24h`, `7d`, `1h 30m`.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write seconds, or for example 24h or 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown: Vec<String> = [0, 59, 60, 3_661, 90_000, 86_400].map(span).to_vec();
        assert_eq!(shown, ["0s", "59s", "1m", "1h 1m", "1d 1h", "1d"]);
    }

    #[test]
    fn seconds_and_units_are_both_understood() {
        assert_eq!(parse_span("86400"), parse_span("24h"));
        assert_eq!(parse_span("1d"), Ok(Duration::from_secs(86_400)));
        assert!(parse_span("soon").is_err());
    }

    #[test]
    fn a_date_is_rfc_3339() {
        assert_eq!(date(1_763_684_999_123), "2025-11-21T00:29:59Z");
    }
}
