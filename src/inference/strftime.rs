//! Writing a moment as chat templates ask for it (`strftime_now("%d %b %Y")`). UTC, in English, pure.
//!
//! Not here: reading the clock.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The fields that templates use; an unknown one stays as it is written.
pub fn strftime(format: &str, unix_ms: u64) -> String {
    let moment = Moment::new(unix_ms / 1000);
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        match characters.next() {
            // `%-d`: without the leading zero
            Some('-') => match characters.next() {
                Some(field) => {
                    let padded = moment.field(field).unwrap_or_else(|| format!("%-{field}"));
                    let bare = padded.trim_start_matches('0');
                    text.push_str(if bare.is_empty() { "0" } else { bare });
                }
                None => text.push_str("%-"),
            },
            Some(field) => text.push_str(&moment.field(field).unwrap_or_else(|| format!("%{field}"))),
            None => text.push('%'),
        }
    }
    text
}

struct Moment {
    year: u64,
    month: usize,
    day: u64,
    weekday: usize,
    seconds: u64,
}

impl Moment {
    /// Howard Hinnant's civil_from_days.
    fn new(unix_s: u64) -> Self {
        let days = unix_s / 86_400;
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: month as usize,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            weekday: ((days + 4) % 7) as usize,
            seconds: unix_s % 86_400,
        }
    }

    fn field(&self, field: char) -> Option<String> {
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let month_name = MONTHS.get(self.month - 1).copied().unwrap_or_default();
        let day_name = DAYS.get(self.weekday).copied().unwrap_or_default();
        let short = |name: &str| name.chars().take(3).collect::<String>();
        Some(match field {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'B' => month_name.to_owned(),
            'b' | 'h' => short(month_name),
            'A' => day_name.to_owned(),
            'a' => short(day_name),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", if hour % 12 == 0 { 12 } else { hour % 12 }),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'Z' => "UTC".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_as_the_field_does() {
        assert_eq!(strftime("%d %b %Y", 0), "01 Jan 1970");
        assert_eq!(strftime("%A, %-d %B %Y %H:%M:%S", 1_709_210_096_000), "Thursday, 29 February 2024 12:34:56");
        assert_eq!(strftime("%Y-%m-%d", 1_763_683_200_000), "2025-11-21");
        assert_eq!(strftime("%F %T %Z %I %p %a %e %y", 951_782_399_000), "2000-02-28 23:59:59 UTC 11 PM Mon 28 00");
    }

    #[test]
    fn what_is_not_a_field_stays() {
        assert_eq!(strftime("100% %q %", 0), "100% %q %");
        assert_eq!(strftime("%%%-", 0), "%%-");
    }
}
