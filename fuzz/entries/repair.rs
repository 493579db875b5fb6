//! Changes to a golden image, structure by structure and block by block, and then a repair of everything.
//!
//! No image may make a repair panic, hang, or allocate without bound; and what a repair calls clean, a check finds clean.

use std::sync::Arc;

use vexfs_device::{Device, MemDevice};
use vexfs_format::block_header::BlockHeader;
use vexfs_fs::check::repair::{Mode, RepairOptions, repair};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};

#[path = "image.rs"]
#[allow(dead_code)] // its own target uses the rest
pub(crate) mod image;

use image::fields::{self, Change};
use image::{GOLDEN, Golden};

/// Bytes of a block of a golden image.
const BLOCK: u64 = 4096;
/// Changes of one image.
const MOST: usize = 16;
/// Fields from here on stand for something that is done to the block in which the structure lies: no structure has so many.
pub(crate) const BLOCK_VERBS: usize = 124;

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was wrong.
    Clean,
    /// All of it was mended.
    Mended,
    /// Some of it is left.
    Left,
    /// The tools refuse it, as an error said.
    Refused,
}

/// The image that `data` stands for ([`fields::changes`], [`BLOCK_VERBS`]).
pub(crate) fn changed(data: &[u8]) -> MemDevice {
    let (which, rest) = data.split_first().map_or((0, data), |(which, rest)| (usize::from(which & 1), rest));
    let golden = &GOLDEN[which];
    let image = golden.image.fork();
    fields::changes(rest).take(MOST).for_each(|change| apply(golden, &image, change));
    image
}

fn apply(golden: &Golden, image: &MemDevice, change: Change) {
    if change.field < BLOCK_VERBS {
        return golden.places.change(image, change);
    }
    let place =
        |n: usize| golden.places.all.get(n % golden.places.all.len()).map_or(0, |place| place.at / BLOCK);
    let (this, other) = (place(change.place), place(change.value as usize));
    let mut bytes = [read(image, this), read(image, other)];
    match change.field - BLOCK_VERBS {
        0 => bytes[0].fill(0),
        1 => bytes.swap(0, 1),
        2 => bytes[0] = moved(golden, &bytes[1], this),
        _ => bytes[0]
            .iter_mut()
            .zip(change.value.to_le_bytes().iter().cycle())
            .for_each(|(byte, v)| *byte ^= v),
    }
    for (at, bytes) in [other, this].into_iter().zip([&bytes[1], &bytes[0]]) {
        image.write_at(at * BLOCK, bytes).expect("inside the image");
    }
}

/// A copy of a block that says it belongs where it is put.
fn moved(golden: &Golden, bytes: &[u8], to: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(mut header) = BlockHeader::peek(&bytes) {
        header.place = to.into();
        header.seal_into(&mut bytes, golden.places.seed());
    }
    bytes
}

fn read(image: &MemDevice, place: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK as usize];
    image.read_at(place * BLOCK, &mut bytes).expect("inside the image");
    bytes
}

/// Repairs the image that `data` stands for, and `data` itself.
///
/// # Panics
/// If the library breaks its contract.
pub(crate) fn run(data: &[u8]) {
    repair_anything(&MemDevice::from_bytes(data.to_vec()));
    repair_anything(&changed(data));
}

/// Repairs whatever a device holds.
///
/// # Panics
/// If a check finds something where the repair left nothing.
pub(crate) fn repair_anything(image: &MemDevice) -> Outcome {
    let device: Arc<dyn Device> = Arc::new(image.fork());
    let full = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    let options =
        RepairOptions { check: full.clone(), mode: Mode::Yes, now_ns: 2_000, ..RepairOptions::default() };
    let Ok(report) = repair(device.clone(), &options, &mut Vec::<Problem>::new()) else {
        return Outcome::Refused;
    };
    if !report.is_clean() {
        return Outcome::Left;
    }
    let mut found: Vec<Problem> = Vec::new();
    let second = check(device, &full, &mut found).expect("what is clean can be checked");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(second.is_clean(), "called clean: {}", found.join("\n"));
    if report.is_changed() { Outcome::Mended } else { Outcome::Clean }
}
