//! Every single bit of rows and index images turned over: the checksum of its block tells, and where it does, a check says so.

use std::sync::{Arc, Mutex};

use vexfs_device::{Device, MemDevice};
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::inode::Inode;
use vexfs_format::{LogicalBlock, Seed, sums};
use vexfs_fs::check::DataLevel;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, OpenOptions, Volume, mkfs};

use crate::check_support::check_level;
use crate::common::{append, open_rw, options, rows_f32};
use crate::sample::build;
use crate::totals::{Totals, run, sample};

const BLOCK: u64 = 4096;
const MIB: u64 = 1 << 20;
/// Rows of 8 dimensions.
const ROWS: usize = 16_000;
/// The streams whose bits are turned over. All images are checked by the blocks they lie in, of whatever kind they are.
const FILES: [&str; 3] = ["/vectors/vectors", "/vectors/index/flat.0", "/vectors/index/ivf.0"];
/// Blocks whose bits are turned over in the short form.
const FEW: usize = 16;

/// A filesystem with rows and two indexes over them.
fn filled() -> MemDevice {
    let device = Arc::new(MemDevice::new(32 * MIB));
    mkfs::format(device.clone(), &options(32 * MIB, BLOCK as u32)).expect("mkfs");
    let shared: Arc<dyn Device> = device.clone();
    let mut volume = open_rw(&shared);
    append(&mut volume, "/vectors", &rows_f32(1, ROWS, 8), RowIds::Auto).expect("rows");
    ["flat", "ivf"].iter().for_each(|kind| build(&mut volume, "/vectors", kind));
    volume.close().expect("close");
    device.fork()
}

/// A block of a stream.
struct Place {
    file: &'static str,
    inode: Inode,
    logical: u64,
    place: u64,
    /// The checksum that is stored for it.
    stored: u32,
}

fn places(volume: &Volume) -> Vec<Place> {
    let mut places = Vec::new();
    for file in FILES {
        let inode = resolve(volume, file, LastLink::Keep).expect("a stream");
        let map = ExtentMap::load(volume, &inode).expect("sound");
        let blocks = inode.size.get().div_ceil(BLOCK);
        let per_block = sums::capacity(BLOCK as usize);
        for logical in 0..blocks {
            let index = logical / per_block;
            let at = map.lookup(SUMS_BASE + index).expect("mapped");
            let bytes = volume.read_block(at).expect("read");
            let count = (blocks - index * per_block).min(per_block);
            let sums = sums::decode(&bytes, at, inode.number(), index, count, volume.seed()).expect("sound");
            let stored = sums[(logical % per_block) as usize];
            let place = map.lookup(logical).expect("mapped").get();
            places.push(Place { file, inode, logical, place, stored });
        }
    }
    places
}

fn try_one(image: &MemDevice, seed: Seed, block: &Place, totals: &Mutex<Totals>) {
    let Place { file, inode, logical, place, stored } = block;
    let mut bytes = vec![0; BLOCK as usize];
    image.read_at(place * BLOCK, &mut bytes).expect("inside the image");
    let sum = |bytes: &[u8]| {
        let generation = inode.generation.get();
        sums::data_checksum(seed, inode.number(), generation, LogicalBlock(*logical), bytes)
    };
    assert_eq!(sum(&bytes), *stored, "{file}: block {logical} is sound");
    let bits = bytes.len() * 8;
    let mut unseen = Vec::new();
    for bit in 0..bits {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if sum(&bytes) == *stored {
            unseen.push(bit);
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // A check compares the same checksums; so one bit of each block is enough for it.
    let device = image.fork();
    let bit = (logical * 7919 + place * 31) as usize % bits;
    let turned = [bytes[bit / 8] ^ 1 << (bit % 8)];
    device.write_at(place * BLOCK + bit as u64 / 8, &turned).expect("inside the image");
    let (_, problems) = check_level(Arc::new(device), DataLevel::Full);
    let is_named = problems.iter().any(|problem| problem.place.block == Some(*place));

    let mut totals = totals.lock().expect("no case panics");
    totals.count_many(file, "bits", bits as u64);
    totals.count(file, "checks");
    for bit in unseen {
        totals.wrong(format!("{file}: bit {bit} of block {logical}\n"));
    }
    if !is_named {
        totals
            .wrong(format!("{file}: a check does not name block {logical}, of which bit {bit} is turned\n"));
    }
}

#[test]
fn each_bit_of_rows_and_index_images() {
    let image = filled();
    let volume = Volume::open(Arc::new(image.fork()), &OpenOptions::default()).expect("sound");
    let all = places(&volume);
    assert!(all.len() as u64 * BLOCK >= MIB, "only {} blocks", all.len());
    let seed = volume.seed();
    let some = sample(all, FEW);
    run(&some, |block, totals| try_one(&image, seed, block, totals)).finish("bits", &["bits", "checks"]);
}
