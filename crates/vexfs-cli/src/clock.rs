//! The time that is stamped on what a tool writes. Libraries get it from here: they read no clock.

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
