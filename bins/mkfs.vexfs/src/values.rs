//! The values of the flags of `mkfs.vexfs`: what the text may be and what it means.

use uuid::Uuid;
use vexfs_cli::Usage;
use vexfs_cli::extended::key_value;
use vexfs_cli::size::{Quantity, parse_quantity, parse_size};
use vexfs_format::superblock::{BLOCK_SIZES, LABEL_MAX};

/// Largest share that `-m` accepts, in percent.
const MAX_RESERVED_PERCENT: f64 = 50.0;

/// SIZE: bytes, blocks or KiB, depending on `-b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeOperand(Quantity);

impl SizeOperand {
    /// Reads a number with an optional unit.
    ///
    /// # Errors
    /// The text is no size.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_quantity(text).map(Self).map_err(|error| error.to_string())
    }

    /// The size in bytes, given the block size if `-b` was.
    ///
    /// # Errors
    /// [`Usage`] if it does not fit into 64 bits.
    pub fn bytes(self, block_size: Option<u32>) -> Result<u64, Usage> {
        let unit = match (self.0.has_unit, block_size) {
            (true, _) => 1,
            (false, Some(block_size)) => u64::from(block_size),
            (false, None) => 1024,
        };
        self.0.value.checked_mul(unit).ok_or_else(|| Usage::new("SIZE is too large"))
    }
}

/// Size of the journal in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSize(pub u64);

impl JournalSize {
    /// Reads `size=N`, MiB unless N has a unit.
    ///
    /// # Errors
    /// There is no `size`, or it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ("size", Some(number)) = key_value(text) else {
            return Err(format!("'{text}' is not a journal option; expected size=N, in MiB"));
        };
        let quantity = parse_quantity(number).map_err(|error| error.to_string())?;
        let unit = if quantity.has_unit { 1 } else { 1 << 20 };
        quantity.value.checked_mul(unit).map(Self).ok_or_else(|| format!("'{number}' is too large"))
    }
}

/// The UUID of the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidChoice {
    /// One that nothing else has.
    Random,
    /// This one.
    Given(Uuid),
}

impl UuidChoice {
    /// Reads a UUID or `random`.
    ///
    /// # Errors
    /// It is neither, or the nil UUID, which stands for none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Uuid::parse_str(text) {
            _ if text == "random" => Ok(Self::Random),
            Ok(uuid) if !uuid.is_nil() => Ok(Self::Given(uuid)),
            Ok(_) => Err("the nil UUID stands for none".to_owned()),
            Err(_) => Err(format!("'{text}' is neither a UUID nor 'random'")),
        }
    }
}

/// One extended option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Byte of the device at which the filesystem begins.
    Offset(u64),
    /// Discard all blocks first.
    Discard,
    /// Do not discard.
    NoDiscard,
}

impl Extended {
    /// Reads one option of the list.
    ///
    /// # Errors
    /// It is unknown, or its value is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match key_value(text) {
            ("offset", Some(value)) => parse_size(value).map(Self::Offset).map_err(|error| error.to_string()),
            ("discard", None) => Ok(Self::Discard),
            ("nodiscard", None) => Ok(Self::NoDiscard),
            _ => Err("expected offset=N, discard or nodiscard".to_owned()),
        }
    }
}

/// Name of the feature that `-V` switches on.
pub const VECTOR_ZONE: &str = "vector_zone";

/// A feature that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
}

/// All features that can be chosen.
pub const FEATURES: &[Feature] = &[Feature {
    name: VECTOR_ZONE,
    about: "a run of blocks reserved for vectors, so that they lie in long contiguous extents",
}];

/// One word of `-O`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureChange {
    /// Print the features, do nothing.
    List,
    /// Switch one.
    Set {
        /// Which.
        feature: Feature,
        /// On or off.
        on: bool,
    },
}

impl FeatureChange {
    /// Reads one word.
    ///
    /// # Errors
    /// No feature has this name; the message lists those that exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "list" {
            return Ok(Self::List);
        }
        let (name, on) = text.strip_prefix('^').map_or((text, true), |name| (name, false));
        match FEATURES.iter().find(|feature| feature.name == name) {
            Some(&feature) => Ok(Self::Set { feature, on }),
            None => {
                let known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
                Err(format!("there is no feature '{name}'; there are: {}", known.join(", ")))
            }
        }
    }
}

/// Reads a block size.
///
/// # Errors
/// It is not a power of two in the format's range.
pub fn block_size(text: &str) -> Result<u32, String> {
    power_of_two(text, *BLOCK_SIZES.start(), *BLOCK_SIZES.end())
}

/// Reads an inode size. That it is no larger than a block is for the layout to check.
///
/// # Errors
/// It is not a power of two in the format's range.
pub fn inode_size(text: &str) -> Result<u32, String> {
    power_of_two(text, vexfs_format::geometry::DEFAULT_INODE_SIZE, *BLOCK_SIZES.end())
}

fn power_of_two(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let size = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(size) {
        Ok(size) if size.is_power_of_two() && (min..=max).contains(&size) => Ok(size),
        _ => Err(format!("expected a power of two from {min} to {max}")),
    }
}

/// Reads a label.
///
/// # Errors
/// It is too long, or has a control character.
pub fn label(text: &str) -> Result<String, String> {
    if text.len() > LABEL_MAX {
        return Err(format!("it has {} bytes; a label has at most {LABEL_MAX}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("a label has no control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a percentage of blocks.
///
/// # Errors
/// It is not a number from 0 to 50.
pub fn reserved_percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=MAX_RESERVED_PERCENT).contains(&percent) => Ok(percent),
        _ => Err(format!("expected a number from 0 to {MAX_RESERVED_PERCENT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_given_in_mib() {
        assert_eq!(JournalSize::parse("size=64"), Ok(JournalSize(64 << 20)));
        assert_eq!(JournalSize::parse("size:64M"), Ok(JournalSize(64 << 20)));
        assert_eq!(JournalSize::parse("size=4096k"), Ok(JournalSize(4 << 20)));
        for wrong in ["64", "size", "size=", "device=/dev/sda", "size=18446744073709551615"] {
            assert!(JournalSize::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        assert_eq!((block_size("64k"), inode_size("512")), (Ok(65536), Ok(512)));
        for wrong in ["2048", "12288", "128k", "4G"] {
            assert!(block_size(wrong).is_err(), "{wrong}");
        }
        assert!(inode_size("128").is_err());
        for wrong in ["-1", "51", "NaN", "inf", "x", ""] {
            assert!(reserved_percent(wrong).is_err(), "{wrong}");
        }
        assert_eq!(reserved_percent("2.5"), Ok(2.5));
    }

    #[test]
    fn a_label_keeps_to_its_room() {
        assert!(label(&"x".repeat(64)).is_ok());
        assert!(label(&"x".repeat(65)).is_err());
        assert!(label("a\x1b[2J").is_err());
    }

    #[test]
    fn a_uuid_is_given_or_random() {
        let uuid = "0a1b2c3d-1234-5678-9abc-0123456789ab";
        assert_eq!(UuidChoice::parse(uuid), Ok(UuidChoice::Given(uuid.parse().expect("a UUID"))));
        assert_eq!(UuidChoice::parse("random"), Ok(UuidChoice::Random));
        assert!(UuidChoice::parse("time").is_err());
        assert!(UuidChoice::parse("00000000-0000-0000-0000-000000000000").is_err());
    }
}
