//! Every block of metadata zeroed, filled with noise, replaced by an older state of itself, and swapped with another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use vexfs_device::{Device, MemDevice};
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::inode::Inode;
use vexfs_format::{GroupNo, InodeNo};
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::{BlockSource, OpenOptions, Volume, inode};

use crate::crash_model::bytes;
use crate::sample::{SAMPLES, Sample};
use crate::totals::{Totals, run, sample};
use crate::verdict::judge;

const BLOCK: u64 = 4096;
/// Cases in the short form.
const FEW: usize = 150;
/// Blocks of a journal or table that are damaged: of those that hold something, the first ones.
const ALIKE: usize = 40;

/// A block of metadata.
#[derive(Clone, Debug)]
struct Block {
    kind: &'static str,
    place: u64,
    /// The objects that something of it belongs to.
    owners: Vec<u64>,
}

/// All blocks of metadata that hold something.
fn blocks(sample: &Sample) -> Vec<Block> {
    let volume = Volume::open(Arc::new(sample.image.fork()), &OpenOptions::default()).expect("sound");
    let geometry = volume.geometry();
    let mut found: Vec<Block> = Vec::new();
    let mut add =
        |kind, place: u64, owners: &[u64]| found.push(Block { kind, place, owners: owners.to_vec() });
    add("superblock", 0, &[]);
    for backup in geometry.backups() {
        add("backup superblock", backup.get(), &[]);
        if backup != geometry.tail_backup() {
            add("copy of the descriptors", backup.get() + 1, &[]);
        }
    }
    add("group descriptors", volume.superblock().descriptor_table.get(), &[]);
    for group in (0..geometry.groups).map(GroupNo) {
        let desc = inode::read_group(&volume, group).expect("sound");
        if !desc.block_bitmap_uninit() {
            add("block bitmap", desc.block_bitmap.get(), &[]);
        }
        if !desc.inode_bitmap_uninit() {
            add("inode bitmap", desc.inode_bitmap.get(), &[]);
        }
    }
    let journal = geometry.journal;
    let holds = |place: u64| read(&sample.image, place).iter().any(|&byte| byte != 0);
    add("journal superblock", journal.start, &[]);
    let log = (journal.start + 1..journal.end()).filter(|&place| holds(place));
    // The log does not go round: its last blocks are the last transactions.
    let log: Vec<u64> = log.collect();
    log.iter().rev().take(ALIKE).for_each(|&place| add("log", place, &[]));
    let mut records: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for ino in sample.tree.numbers() {
        let place = inode::locate(&volume, InodeNo(ino)).expect("sound").block.get();
        records.entry(place).or_default().push(ino);
        let inode = inode::read(&volume, InodeNo(ino)).expect("sound");
        add_object(&volume, &inode, &mut add);
    }
    for (place, owners) in records {
        add("inode table", place, &owners);
    }
    found
}

fn add_object(volume: &Volume, inode: &Inode, add: &mut impl FnMut(&'static str, u64, &[u64])) {
    let owner = [inode.number().get()];
    let map = ExtentMap::load(volume, inode).expect("sound");
    map.nodes().iter().for_each(|node| add("extents", node.get(), &owner));
    if inode.descriptor.get() > 0 {
        add("collection", inode.descriptor.get(), &owner);
    }
    let (kind, from) = if inode.kind().is_directory_like() { ("names", 0) } else { ("checksums", SUMS_BASE) };
    for run in map.range(from, u64::MAX) {
        (run.start.get()..run.end()).for_each(|place| add(kind, place, &owner));
    }
}

fn read(image: &MemDevice, place: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK as usize];
    image.read_at(place * BLOCK, &mut bytes).expect("inside the image");
    bytes
}

fn write(image: &MemDevice, place: u64, bytes: &[u8]) {
    image.write_at(place * BLOCK, bytes).expect("inside the image");
}

/// A block and what happens to it.
struct Case {
    sample: &'static Sample,
    block: Block,
    damage: Damage,
}

#[derive(Clone, Debug)]
enum Damage {
    Zeroes,
    Noise,
    Stale,
    Swapped(Block),
}

impl Damage {
    fn name(&self) -> &'static str {
        match self {
            Self::Zeroes => "zeroed",
            Self::Noise => "noise",
            Self::Stale => "stale",
            Self::Swapped(_) => "swapped",
        }
    }
}

fn cases(sample: &'static Sample) -> Vec<Case> {
    let blocks = blocks(sample);
    let mut cases = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        let mut damages = vec![Damage::Zeroes, Damage::Noise];
        if read(&SAMPLES.older, block.place) != read(&sample.image, block.place) {
            damages.push(Damage::Stale);
        }
        // With its neighbour, which is mostly of its kind, and with one from elsewhere.
        for other in [n + 1, n + blocks.len() / 2] {
            let other = &blocks[other % blocks.len()];
            if read(&sample.image, other.place) != read(&sample.image, block.place) {
                damages.push(Damage::Swapped(other.clone()));
            }
        }
        cases.extend(damages.into_iter().map(|damage| Case { sample, block: block.clone(), damage }));
    }
    cases
}

/// Why damage may mean nothing.
fn excuse(case: &Case) -> Option<&'static str> {
    let is_log = |block: &Block| block.kind == "log";
    let is_swapped_in_log = matches!(&case.damage, Damage::Swapped(other) if is_log(other));
    if is_log(&case.block) && (is_swapped_in_log || !matches!(case.damage, Damage::Swapped(_))) {
        return Some("what is home already, or never was committed, is read no more");
    }
    if case.sample.name == "unclean" {
        return Some("the log holds a newer image of the block");
    }
    match (&case.damage, case.block.kind) {
        (Damage::Stale, "journal superblock") => {
            return Some("what is home already is brought home once more");
        }
        (Damage::Stale, "inode table") => return Some("the records differ in times only"),
        _ => {}
    }
    // A sound superblock of earlier transactions, with counters that agree.
    (matches!(case.damage, Damage::Stale) && case.block.kind == "backup superblock")
        .then_some("only the primary superblock counts")
}

fn try_one(case: &Case, totals: &Mutex<Totals>) {
    let (sample, block) = (case.sample, &case.block);
    let image = sample.image.fork();
    let mut owners: Vec<u64> = block.owners.clone();
    let mut kinds = vec![block.kind];
    match &case.damage {
        Damage::Zeroes => write(&image, block.place, &vec![0; BLOCK as usize]),
        Damage::Noise => write(&image, block.place, &bytes(block.place, BLOCK as usize)),
        Damage::Stale => write(&image, block.place, &read(&SAMPLES.older, block.place)),
        Damage::Swapped(other) => {
            write(&image, block.place, &read(&sample.image, other.place));
            write(&image, other.place, &read(&sample.image, block.place));
            owners.extend(&other.owners);
            kinds.push(other.kind);
        }
    }
    let mut touched: BTreeSet<u64> = owners.into_iter().flat_map(|owner| sample.reach(owner)).collect();
    if kinds.iter().any(|kind| matches!(*kind, "log" | "journal superblock")) {
        touched.extend(sample.logged.iter().flat_map(|ino| sample.reach(*ino)));
    }
    let verdict = judge(&image, &sample.tree, &touched);
    let swapped = match &case.damage {
        Damage::Swapped(other) => format!(" with {} {}", other.kind, other.place),
        _ => String::new(),
    };
    let story = format!("{}: {} {} {}{swapped}", sample.name, block.kind, block.place, case.damage.name());
    let row = format!("{}, {}", block.kind, sample.name);
    totals.lock().expect("no case panics").verdict(&row, &story, verdict, excuse(case));
}

#[test]
fn each_block_of_metadata() {
    let mut all = cases(&SAMPLES.clean);
    all.extend(cases(&SAMPLES.unclean));
    let some = sample(all, FEW);
    run(&some, try_one).finish("blocks", &["cases", "mended", "meaningless", "refused"]);
}
