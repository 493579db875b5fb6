//! A collection as plain values: rows with their names, and the definition of a distance as three short loops.

use std::collections::BTreeMap;

use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::create::CollectionSpec;

use crate::crash_model::Random;
use crate::payload::Payload;

/// One row, in the order in which it was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id, or its key where rows have keys.
    pub name: String,
    /// Elements, or bits as 0 and 1: small whole numbers, so that every sum of products is exact.
    pub elements: Vec<i32>,
    pub payload: Payload,
    pub is_deleted: bool,
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    pub spec: CollectionSpec,
    pub rows: Vec<Row>,
    pub next_id: u64,
    pub has_keys: bool,
    pub has_payload: bool,
    /// For each index the row behind the last that it covers; 0 for one that is to be built again.
    pub indexes: BTreeMap<String, u64>,
}

/// How rows that are added are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    Auto,
    Ids(Vec<u64>),
    Keys(Vec<String>),
}

impl Rows {
    /// An empty collection.
    pub fn new(spec: CollectionSpec) -> Self {
        let (has_keys, has_payload) = (false, false);
        Self { spec, rows: Vec::new(), next_id: 0, has_keys, has_payload, indexes: BTreeMap::new() }
    }

    /// The rows that are not deleted, with their numbers.
    pub fn live(&self) -> impl Iterator<Item = (u64, &Row)> {
        (0..).zip(&self.rows).filter(|(_, row)| !row.is_deleted)
    }

    /// The row that is called so.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.live().find(|(_, row)| row.name == name).map(|(number, _)| number)
    }

    /// Adds rows in place of those that are called the same. Without payload a row keeps that of the one before it.
    pub fn add(&mut self, elements: Vec<Vec<i32>>, names: &Names, payload: Option<&[Payload]>) {
        let count = elements.len() as u64;
        let first = self.next_id;
        let called: Vec<String> = match names {
            Names::Auto => (first..first + count).map(|id| id.to_string()).collect(),
            Names::Ids(ids) => ids.iter().map(u64::to_string).collect(),
            Names::Keys(keys) => keys.clone(),
        };
        self.next_id = match names {
            Names::Ids(ids) => ids.iter().map(|id| id + 1).max().unwrap_or(0).max(first),
            Names::Auto | Names::Keys(_) => first + count,
        };
        self.has_keys |= matches!(names, Names::Keys(_));
        self.has_payload |= payload.is_some();
        for (at, (name, elements)) in called.into_iter().zip(elements).enumerate() {
            let old = self.find(&name).map(|number| &mut self.rows[number as usize]);
            let kept = old.map(|row| {
                row.is_deleted = true;
                row.payload
            });
            let payload = payload.map_or(kept.flatten(), |given| given[at]);
            self.rows.push(Row { name, elements, payload, is_deleted: false });
        }
    }

    /// Deletes the rows that are called so.
    pub fn delete(&mut self, names: &[String]) {
        self.rows.iter_mut().filter(|row| names.contains(&row.name)).for_each(|row| row.is_deleted = true);
    }

    /// Forgets deleted rows. Indexes are to be built again if there was one.
    pub fn compact(&mut self) {
        let before = self.rows.len();
        self.rows.retain(|row| !row.is_deleted);
        if self.rows.len() < before {
            self.indexes.values_mut().for_each(|covered| *covered = 0);
        }
    }

    /// Distance of a query from a row.
    pub fn distance(&self, query: &[i32], row: &Row) -> f64 {
        let pairs = || query.iter().zip(&row.elements).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
        let squares = |elements: &[i32]| elements.iter().map(|&e| f64::from(e * e)).sum::<f64>();
        match self.spec.metric {
            Metric::L2 | Metric::Hamming => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
            Metric::InnerProduct => 0.0 - dot(),
            Metric::Cosine => (1.0 - dot() / (squares(query) * squares(&row.elements)).sqrt()).max(0.0),
        }
    }

    /// A random row: never all zero, where a cosine would mean nothing.
    pub fn random_elements(&self, random: &mut Random) -> Vec<i32> {
        let mut element = || match self.spec.dtype {
            DType::B1 => random.below(2) as i32,
            DType::U8 => random.below(200) as i32,
            _ => random.below(200) as i32 - 100,
        };
        let mut elements: Vec<i32> = (0..self.spec.dim).map(|_| element()).collect();
        if self.spec.metric == Metric::Cosine && elements.iter().all(|&element| element == 0) {
            elements[0] = 1;
        }
        elements
    }
}

/// A row as it is stored.
pub fn pack(dtype: DType, elements: &[i32]) -> Vec<u8> {
    match dtype {
        DType::F32 => elements.iter().flat_map(|&e| (e as f32).to_le_bytes()).collect(),
        DType::BF16 => elements
            .iter()
            .flat_map(|&e| [(e as f32).to_le_bytes()[2], (e as f32).to_le_bytes()[3]])
            .collect(),
        DType::F16 => elements.iter().flat_map(|&e| half(e).to_le_bytes()).collect(),
        DType::I8 | DType::U8 => elements.iter().map(|&e| e as u8).collect(),
        DType::B1 => {
            let bits = |byte: &[i32]| (0..).zip(byte).map(|(at, &bit)| (bit as u8) << at).sum();
            elements.chunks(8).map(bits).collect()
        }
    }
}

/// The elements of a row as it is stored.
pub fn unpack(dtype: DType, dim: u32, bytes: &[u8]) -> Vec<i32> {
    let pairs = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        DType::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b) as i32).collect(),
        DType::BF16 => pairs().map(|b| f32::from_le_bytes([0, 0, b[0], b[1]]) as i32).collect(),
        DType::F16 => pairs().map(|b| whole(u16::from_le_bytes(*b))).collect(),
        DType::I8 => bytes.iter().map(|&b| i32::from(b as i8)).collect(),
        DType::U8 => bytes.iter().map(|&b| i32::from(b)).collect(),
        DType::B1 => (0..dim as usize).map(|at| i32::from(bytes[at / 8] >> (at % 8) & 1)).collect(),
    }
}

/// A whole number below 2048 as IEEE binary16.
fn half(value: i32) -> u16 {
    if value == 0 {
        return 0;
    }
    let (sign, size) = (u16::from(value < 0) << 15, value.unsigned_abs());
    let exponent = size.ilog2();
    let fraction = (size << (10 - exponent)) & 0x3FF;
    sign | ((exponent as u16 + 15) << 10) | fraction as u16
}

/// The whole number that [`half`] made.
fn whole(bits: u16) -> i32 {
    let exponent = i32::from(bits >> 10 & 0x1F) - 15;
    if exponent < 0 {
        return 0;
    }
    let size = (i32::from(bits & 0x3FF) | 0x400) >> (10 - exponent);
    if bits >> 15 == 1 { -size } else { size }
}
