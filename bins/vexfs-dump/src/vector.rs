//! `get ID`: one vector as numbers.

use std::fmt::Write as _;

use half::{bf16, f16};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use vexfs_cli::output::json::Schema;
use vexfs_format::codes::DType;
use vexfs_fs::FsError;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::{Identities, Identity};
use vexfs_fs::collection::rows::Rows;

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-get", 1);

#[derive(Debug, Serialize)]
struct Vector {
    collection: String,
    /// Row in the collection.
    row: u64,
    id: u64,
    /// `None` where rows have no keys.
    key: Option<String>,
    /// Absent where no row has any, null where this one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Option<Box<RawValue>>>,
    vector: Components,
}

/// The components of a vector in the narrowest type that holds them all exactly.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Components {
    Numbers(Vec<f32>),
    Integers(Vec<i16>),
}

impl Components {
    /// The `dim` components of a packed row.
    pub(crate) fn of(row: &[u8], dtype: DType, dim: usize) -> Self {
        let halves = || row.as_chunks::<2>().0.iter().map(|&bytes| u16::from_le_bytes(bytes));
        match dtype {
            DType::F32 => Self::Numbers(row.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            DType::F16 => Self::Numbers(halves().map(|bits| f16::from_bits(bits).to_f32()).collect()),
            DType::BF16 => Self::Numbers(halves().map(|bits| bf16::from_bits(bits).to_f32()).collect()),
            DType::I8 => Self::Integers(row.iter().map(|&byte| i16::from(byte.cast_signed())).collect()),
            DType::U8 => Self::Integers(row.iter().map(|&byte| i16::from(byte)).collect()),
            DType::B1 => {
                let bit = |j: usize| row.get(j / 8).map_or(0, |byte| i16::from(byte >> (j % 8) & 1));
                Self::Integers((0..dim).map(bit).collect())
            }
        }
    }

    /// The components separated by commas, as `vexfs-query --vector` takes them.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |number: &dyn std::fmt::Display| {
            let comma = if text.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}{number}");
        };
        match self {
            Self::Numbers(numbers) => numbers.iter().for_each(|number| add(number)),
            Self::Integers(numbers) => numbers.iter().for_each(|number| add(number)),
        }
        text
    }
}

/// Prints the vector called `id` of the collection `name`.
pub(crate) fn show(dump: &mut Dump<'_>, name: &str, id: &str) -> anyhow::Result<()> {
    let collection = Collection::open(&dump.volume, name)?;
    let deletions = collection.deletions(&dump.volume)?;
    let identities: Identities = collection.identities(&dump.volume)?;
    let row = identities.find(id, &deletions)?;
    let rows = collection.open_rows(&dump.volume)?;
    let bytes = intact_row(&rows, row)?;
    let components = Components::of(bytes, collection.desc.dtype(), collection.dim());
    let payloads = collection.payloads(&dump.volume)?;
    let payload = payloads.as_ref().map(|payloads| payloads.get(row)).transpose()?;
    if !dump.json {
        dump.out.line(format_args!("{}", components.text()))?;
        if let Some(payload) = payload.filter(|payload| !payload.is_empty()) {
            dump.out.line(format_args!("{payload}"))?;
        }
        return Ok(());
    }
    // What is no JSON, whoever wrote it, is shown as the text it is.
    let json = |text: &str| RawValue::from_string(text.to_owned()).or_else(|_| to_raw_value(text)).ok();
    let payload = payload.map(|text| if text.is_empty() { None } else { json(text) });
    let key = match identities.identity(row)? {
        Identity::Key(key) => Some(key),
        Identity::Id(_) => None,
    };
    let id = identities.id(row)?;
    dump.document(SCHEMA, &Vector { collection: collection.path, row, id, key, payload, vector: components })
}

/// The bytes of one row, which may lie in a damaged block and be whole.
fn intact_row(rows: &Rows, row: u64) -> Result<&[u8], FsError> {
    let mut result = None;
    let mut damage = None;
    rows.salvage(row..row + 1, |_, bytes| result = Some(bytes), |_, error| damage = Some(error));
    match (result, damage) {
        (_, Some(damage)) => Err(damage),
        (bytes, None) => Ok(bytes.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_shown_as_its_numbers() {
        let text = |row: &[u8], dtype, dim| Components::of(row, dtype, dim).text();
        let floats: Vec<u8> = [0.1_f32, -2.5, 1e-30].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(text(&floats[..8], DType::F32, 2), "0.1,-2.5");
        assert_eq!(text(&f16::from_f32(1.5).to_le_bytes(), DType::F16, 1), "1.5");
        assert_eq!(text(&bf16::from_f32(-3.0).to_le_bytes(), DType::BF16, 1), "-3");
        assert_eq!(text(&[0x80, 0x7F], DType::I8, 2), "-128,127");
        assert_eq!(text(&[0x80, 0xFF], DType::U8, 2), "128,255");
        assert_eq!(text(&[0b101, 1], DType::B1, 9), "1,0,1,0,0,0,0,0,1");
    }

    #[test]
    fn text_reads_back_as_the_same_number() {
        for x in [0.1_f32, 1e-45, f32::MAX, -0.0, 16_777_217.0] {
            let text = Components::of(&x.to_le_bytes(), DType::F32, 1).text();
            assert_eq!(text.parse::<f32>().expect(&text).to_bits(), x.to_bits(), "{text}");
        }
    }
}
