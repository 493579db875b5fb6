//! Sizes as people write them: `512M`, `4k`, `1.5 GiB`.

/// The units, each 1024 times the one before.
const SUFFIXES: [char; 4] = ['k', 'm', 'g', 't'];

/// Why a text is not a size. The message quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is not a whole number with an optional unit.
    #[error(
        "'{0}' is not a size; expected a whole number, with k, M, G or T for powers of 1024, such as 512M"
    )]
    Malformed(String),
    /// It does not fit into 64 bits.
    #[error("'{0}' is too large")]
    TooLarge(String),
}

/// A number as typed, with its unit kept apart: what it counts without a unit is for the caller to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    /// The number, multiplied by its unit if there was one.
    pub value: u64,
    /// Whether there was a unit, so that `value` is in bytes.
    pub has_unit: bool,
}

/// Reads a size in bytes: a whole number and k, M, G or T for powers of 1024, in either case, optionally with B or iB.
///
/// ```
/// use vexfs_cli::size::parse_size;
/// assert_eq!(parse_size("64k"), Ok(65536));
/// assert_eq!(parse_size("2GiB"), Ok(2 << 30));
/// assert_eq!(parse_size("12Q").unwrap_err().to_string().split(';').next(), Some("'12Q' is not a size"));
/// ```
///
/// # Errors
/// [`SizeError`], quoting `text`.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    parse_quantity(text).map(|quantity| quantity.value)
}

/// Reads what [`parse_size`] reads, and says whether a unit was given.
///
/// # Errors
/// [`SizeError`], quoting `text`.
pub fn parse_quantity(text: &str) -> Result<Quantity, SizeError> {
    let malformed = || SizeError::Malformed(text.to_owned());
    let too_large = || SizeError::TooLarge(text.to_owned());
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(malformed());
    }
    let shift = shift_of(unit).ok_or_else(malformed)?;
    let number: u64 = digits.parse().map_err(|_| too_large())?;
    let value = number.checked_mul(1 << shift).ok_or_else(too_large)?;
    Ok(Quantity { value, has_unit: !unit.is_empty() })
}

/// The power of two that a unit stands for.
fn shift_of(unit: &str) -> Option<u32> {
    let unit = unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(0);
    }
    let place = SUFFIXES.iter().position(|&suffix| unit.starts_with(suffix))?;
    matches!(&unit[1..], "" | "b" | "ib").then_some(10 * (place as u32 + 1))
}

/// A size in bytes for people: two significant places, units of powers of 1024.
///
/// ```
/// use vexfs_cli::size::format_size;
/// assert_eq!(format_size(512), "512 bytes");
/// assert_eq!(format_size(1536), "1.5 KiB");
/// assert_eq!(format_size(64 << 20), "64 MiB");
/// ```
pub fn format_size(bytes: u64) -> String {
    const NAMES: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut name = NAMES[0];
    for next in &NAMES[1..] {
        // From here the value would be shown as 1024.
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        name = next;
    }
    let digits = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {name}", digits.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_either_case() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("512B", 512),
            ("4k", 4096),
            ("4K", 4096),
            ("4KB", 4096),
            ("4KiB", 4096),
            ("3m", 3 << 20),
            ("3G", 3 << 30),
            ("16T", 16 << 40),
            ("16tib", 16 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_quoted() {
        for text in ["", "k", "-1", "+1", "1.5G", "4 k", "4kk", "4kib2", "0x10", "4ö", "1e3", "4i"] {
            assert_eq!(parse_size(text), Err(SizeError::Malformed(text.to_owned())));
        }
        for text in ["18446744073709551616", "16777216T", "99999999999999999999999"] {
            assert_eq!(parse_size(text), Err(SizeError::TooLarge(text.to_owned())));
        }
    }

    #[test]
    fn a_unit_is_noticed() {
        assert_eq!(parse_quantity("8192"), Ok(Quantity { value: 8192, has_unit: false }));
        assert_eq!(parse_quantity("8k"), Ok(Quantity { value: 8192, has_unit: true }));
    }

    #[test]
    fn sizes_are_short_and_never_1024_of_a_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (10 * 1024 + 512, "10 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (488_369_940 * 4096, "1.8 TiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
    }
}
