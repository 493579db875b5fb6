//! The time that is stamped on what a tool writes, and times as text. Libraries get the time from here: they read no clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Usage;

/// Environment variable that fixes the time, in seconds since 1970-01-01 UTC, for reproducible images
/// (reproducible-builds.org, SOURCE_DATE_EPOCH specification).
pub const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Nanoseconds since 1970-01-01 UTC: of SOURCE_DATE_EPOCH where it is set, else of the clock.
///
/// # Errors
/// [`Usage`] if the variable is set to something that is no number of seconds.
pub fn now_ns() -> Result<u64, Usage> {
    let Some(text) = std::env::var_os(EPOCH_VARIABLE).filter(|text| !text.is_empty()) else {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    };
    let seconds = text.to_str().and_then(|text| text.parse::<u64>().ok());
    seconds.and_then(|s| s.checked_mul(1_000_000_000)).ok_or_else(|| {
        Usage::new(format!("{EPOCH_VARIABLE} is {text:?}, which is no number of seconds since 1970"))
    })
}

/// A time as people read it: `2026-11-21T04:25:43Z` (RFC 3339), without its fraction of a second; `-` for 0, which stands for
/// never.
///
/// ```
/// use vexfs_cli::clock::format_time;
/// assert_eq!(format_time(1_700_000_000_000_000_000), "2023-11-14T22:13:20Z");
/// assert_eq!(format_time(0), "-");
/// ```
pub fn format_time(ns: u64) -> String {
    if ns == 0 {
        return "-".to_owned();
    }
    let seconds = ns / 1_000_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, `days` days after 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 0000-03-01, a year ends with its leap day, and the calendar repeats every 400 years.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have those from August on.
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    (era * 400 + year + u64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_up_through_the_calendar() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        // Past the end of what 64 bits of nanoseconds can say.
        for days in 0..220_000 {
            assert_eq!(date(days), (year, month, day), "{days} days");
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(format_time(1), "1970-01-01T00:00:00Z");
        assert_eq!(format_time(u64::MAX), "2554-07-21T23:34:33Z");
    }
}
