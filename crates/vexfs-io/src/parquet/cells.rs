//! Values as JSON, and as names of rows.

use half::f16;

use super::schema::{Leaf, Meaning};
use crate::beside::push_string;
use crate::element::ElementType;
use crate::error::Problem;

/// The JSON text of a value; `None` of a NaN, which stands for a value that is missing. Whether it is JSON, whoever takes it looks.
///
/// # Errors
/// As [`text`].
pub(super) fn json(value: &[u8], leaf: &Leaf) -> Result<Option<String>, Problem> {
    let text = text(value, leaf)?;
    Ok(match leaf.meaning {
        Meaning::Number(_) if text == "NaN" => None,
        Meaning::Bool | Meaning::Decimal(_) | Meaning::Number(_) => Some(text),
        // A line end of JSON lies between values, and payload is written a line each.
        Meaning::Json => Some(text.trim().replace(['\n', '\r'], " ")),
        _ => {
            let mut string = String::with_capacity(text.len() + 2);
            push_string(&mut string, &text);
            Some(string)
        }
    })
}

/// The text of a value.
///
/// # Errors
/// [`Problem::Text`] where the bytes are none of what the column holds, such as text that is not UTF-8.
pub(super) fn text(value: &[u8], leaf: &Leaf) -> Result<String, Problem> {
    let found = "bytes that are no value of its type";
    written(value, leaf)
        .ok_or_else(|| Problem::Text { found: found.to_owned(), expected: "values that can be read" })
}

fn written(value: &[u8], leaf: &Leaf) -> Option<String> {
    Some(match leaf.meaning {
        Meaning::Bool => if value == [0] { "false" } else { "true" }.to_owned(),
        Meaning::Number(element) => number(value, element)?,
        Meaning::Text | Meaning::Json => std::str::from_utf8(value).ok()?.to_owned(),
        Meaning::Date => date(i32::from_le_bytes(*value.first_chunk()?).into()),
        Meaning::Timestamp(parts, is_utc) => {
            let parts = i64::from(parts);
            let time = i64::from_le_bytes(*value.first_chunk()?);
            let fraction = (time.rem_euclid(parts) * (1_000_000_000 / parts)) as u32;
            timestamp(time.div_euclid(parts), fraction, is_utc)
        }
        Meaning::Int96 => {
            let nanoseconds = u64::from_le_bytes(*value.first_chunk()?);
            let julian = u32::from_le_bytes(*value.last_chunk()?);
            let seconds = (i64::from(julian) - 2_440_588) * 86_400 + (nanoseconds / 1_000_000_000) as i64;
            timestamp(seconds, (nanoseconds % 1_000_000_000) as u32, false)
        }
        Meaning::Decimal(scale) => decimal(value, leaf, scale)?,
        Meaning::Uuid => {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            parts.map(|(start, end)| hex.get(start..end).unwrap_or_default()).join("-")
        }
        Meaning::Other => return None,
    })
}

fn number(value: &[u8], element: ElementType) -> Option<String> {
    let signed = || match value.len() {
        4 => value.first_chunk().map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
        _ => value.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
    };
    Some(match element {
        ElementType::F16 => f16::from_le_bytes(*value.first_chunk()?).to_f32().to_string(),
        ElementType::F32 => f32::from_le_bytes(*value.first_chunk()?).to_string(),
        ElementType::F64 => f64::from_le_bytes(*value.first_chunk()?).to_string(),
        ElementType::U32 => u32::from_le_bytes(*value.first_chunk()?).to_string(),
        ElementType::U64 => u64::from_le_bytes(*value.first_chunk()?).to_string(),
        _ => signed()?.to_string(),
    })
}

/// `2026-11-21` of days since 1970-01-01 (Hinnant, days from civil, the other way round).
fn date(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn timestamp(seconds: i64, nanoseconds: u32, is_utc: bool) -> String {
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut text = date(day);
    text.push_str(&format!("T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60));
    if nanoseconds > 0 {
        let fraction = format!("{nanoseconds:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    if is_utc {
        text.push('Z');
    }
    text
}

fn decimal(value: &[u8], leaf: &Leaf, scale: u32) -> Option<String> {
    let mut bytes = value.to_vec();
    if leaf.is_little_decimal {
        bytes.reverse();
    }
    if bytes.is_empty() || bytes.len() > 16 {
        return None;
    }
    let filling = if bytes[0] >= 0x80 { 0xff } else { 0 };
    let mut whole = [filling; 16];
    whole[16 - bytes.len()..].copy_from_slice(&bytes);
    let whole = i128::from_be_bytes(whole);
    let digits = format!("{:0width$}", whole.unsigned_abs(), width = scale as usize + 1);
    let (before, behind) = digits.split_at(digits.len() - scale as usize);
    let sign = if whole < 0 { "-" } else { "" };
    Some(if behind.is_empty() { format!("{sign}{before}") } else { format!("{sign}{before}.{behind}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet::schema::Physical;

    fn leaf(physical: Physical, meaning: Meaning, is_little_decimal: bool) -> Leaf {
        let name = "x".to_owned();
        Leaf { name, physical, meaning, max_def: 0, max_rep: 0, is_plain: true, is_little_decimal }
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        let of = |value: &[u8], physical, meaning| {
            json(value, &leaf(physical, meaning, true)).unwrap().unwrap_or_default()
        };
        let fixed = Physical::Fixed;
        assert_eq!(of(&[1], Physical::Bool, Meaning::Bool), "true");
        assert_eq!(of(&(-5_i32).to_le_bytes(), fixed(4), Meaning::Number(ElementType::I8)), "-5");
        assert_eq!(
            of(&u64::MAX.to_le_bytes(), fixed(8), Meaning::Number(ElementType::U64)),
            u64::MAX.to_string()
        );
        assert_eq!(of(&0.1_f32.to_le_bytes(), fixed(4), Meaning::Number(ElementType::F32)), "0.1");
        assert_eq!(of(&f64::NAN.to_le_bytes(), fixed(8), Meaning::Number(ElementType::F64)), "");
        assert_eq!(of("a\"b".as_bytes(), Physical::Bytes, Meaning::Text), "\"a\\\"b\"");
        assert_eq!(of(&f64::INFINITY.to_le_bytes(), fixed(8), Meaning::Number(ElementType::F64)), "inf");
        assert!(json(b"\xff", &leaf(Physical::Bytes, Meaning::Text, true)).is_err());
        assert_eq!(of(b" {\"a\":\n1} ", Physical::Bytes, Meaning::Json), "{\"a\": 1}");
        for (days, text) in
            [(0, "1970-01-01"), (-1, "1969-12-31"), (11_016, "2000-02-29"), (20_778, "2026-11-21")]
        {
            assert_eq!(date(days), text);
        }
        let time = Meaning::Timestamp(1000, true);
        assert_eq!(of(&(-1_i64).to_le_bytes(), fixed(8), time), "\"1969-12-31T23:59:59.999Z\"");
        assert_eq!(of(&(-1234_i32).to_le_bytes(), fixed(4), Meaning::Decimal(2)), "-12.34");
        assert_eq!(of(&5_i64.to_le_bytes(), fixed(8), Meaning::Decimal(2)), "0.05");
        let big_endian = leaf(Physical::Bytes, Meaning::Decimal(1), false);
        assert_eq!(json(&[0xff, 0x00], &big_endian).unwrap(), Some("-25.6".to_owned()));
        assert_eq!(of(&[0x12; 16], fixed(16), Meaning::Uuid), "\"12121212-1212-1212-1212-121212121212\"");
    }
}
