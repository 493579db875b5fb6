//! What a field becomes: the verbs of xfs_db's field fuzzing.

use crate::crash_model::bytes;

/// What a field becomes by each verb.
pub fn every(field: &[u8]) -> [(&'static str, Vec<u8>); 8] {
    let flip = |bit: usize| {
        let mut bytes = field.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let add = |by: u64| {
        let len = field.len().min(8);
        let mut number = [0; 8];
        number[..len].copy_from_slice(&field[..len]);
        let mut bytes = field.to_vec();
        bytes[..len].copy_from_slice(&u64::from_le_bytes(number).wrapping_add(by).to_le_bytes()[..len]);
        bytes
    };
    let bits = field.len() * 8;
    [
        ("zeroes", vec![0; field.len()]),
        ("ones", vec![0xFF; field.len()]),
        ("first bit", flip(0)),
        ("middle bit", flip(bits / 2)),
        ("last bit", flip(bits - 1)),
        ("plus one", add(1)),
        ("minus one", add(u64::MAX)),
        ("random", bytes(field.len() as u64, field.len())),
    ]
}

/// All values but the one it has, each once, with the first verb that makes it.
pub fn all(field: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for (verb, value) in every(field) {
        if value != field && all.iter().all(|(_, other)| *other != value) {
            all.push((verb, value));
        }
    }
    all
}
