//! Bytes that nobody wrote: whatever is on the device, a check ends, in bounded time and without a panic, and says something.

mod check_support;
mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use check_support::image::{BLOCK, Image};
use check_support::{check_level, copy, filled, lines};
use vexfs_device::{Device, MemDevice};
use vexfs_format::block_header::BlockHeader;
use vexfs_format::extent::{NodeEntries, Run};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, TxnSeq};
use vexfs_fs::FsError;
use vexfs_fs::check::{self, CheckOptions, DataLevel, MAX_TOLD, Observer, Problem};

/// Random numbers that are the same each time (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Checks a device that may hold anything.
fn survive(device: Arc<dyn Device>) -> Result<u64, FsError> {
    let mut problems: Vec<Problem> = Vec::new();
    let options = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    let report = check::check(device, &options, &mut problems)?;
    for problem in &problems {
        assert!(!problem.to_string().is_empty());
    }
    Ok(report.problems())
}

/// Blocks of metadata: those in which random bytes do most harm.
fn metadata(image: &Image) -> Vec<u64> {
    let mut blocks: Vec<u64> = (0..12).collect();
    blocks.extend([image.log_block(0), image.log_block(1), 32_768, 32_769, 76_544]);
    for path in ["/", "/many", "/models", "/models/deep", "/vectors", "/ids", "/keys", "/models/bits"] {
        let extents = image.extents(path);
        blocks.extend(extents.runs().iter().flat_map(|run| run.start.get()..run.end()));
        blocks.extend(Some(image.inode(path).descriptor.get()).filter(|&block| block > 0));
    }
    for path in ["/models/bits/vectors", "/models/bits/crc"] {
        blocks.extend(image.extents(path).nodes().iter().map(|node| node.get()));
    }
    blocks
}

/// Random filesystems, unless `VEXFS_CHECK_SAMPLES` asks for more.
const SAMPLES: u64 = 600;

/// Random bytes behind sound checksums get past the gates.
#[test]
fn random_bytes_in_metadata_end_no_check() {
    let blocks = metadata(&Image::new());
    let samples = match std::env::var("VEXFS_CHECK_SAMPLES") {
        Ok(text) => text.parse().expect("VEXFS_CHECK_SAMPLES is a number"),
        Err(_) => SAMPLES,
    };
    let mut random = Random(0x5eed);
    let mut noticed = 0;
    for _ in 0..samples {
        let image = Image::new();
        for _ in 0..=random.below(4) {
            let block = blocks[random.below(blocks.len() as u64) as usize];
            let mut bytes = image.read(block);
            for _ in 0..=random.below(6) {
                let at = random.below(BLOCK as u64) as usize;
                let value = random.next().to_le_bytes();
                let len = (random.below(8) + 1).min((BLOCK - at) as u64) as usize;
                bytes[at..at + len].copy_from_slice(&value[..len]);
            }
            image.write(block, 0, &bytes);
            reseal(&image, block);
        }
        noticed += survive(image.device.clone()).map_or(1, |problems| problems.min(1));
    }
    // The rest fell behind the entries of a block, where nothing is read.
    assert!(noticed > samples * 3 / 4, "only {noticed} of {samples} were noticed");
}

/// Makes the checksums in a block agree with its bytes, whatever they are.
fn reseal(image: &Image, block: u64) {
    let table = image.group(0).inode_table.get();
    match block {
        0 | 32_768 | 76_544 => image.edit_super(block, |_| ()),
        1 => (0..3).for_each(|group| image.edit_group(group, |_| ())),
        2 => image.edit_block_bitmap(0, |_| ()),
        5 => image.edit_inode_bitmap(0, |_| ()),
        _ if (table..table + 4).contains(&block) => {
            let first = (block - table) * 16 + 1;
            for ino in first..first + 16 {
                let (block, offset) = image.record(ino);
                if image.read(block)[offset..].starts_with(b"VXIN") {
                    image.edit_ino(ino, |_| ());
                }
            }
        }
        _ if BlockHeader::peek(&image.read(block)).is_some_and(|header| header.magic.get() != 0) => {
            image.edit_block(block, |_| ());
        }
        _ => {}
    }
}

#[test]
fn a_device_that_was_cut_off_anywhere_is_checked_as_far_as_it_goes() {
    let device = filled(64, 4096);
    let bytes = device.snapshot();
    for len in [bytes.len() - 1, bytes.len() / 2, 6 << 20, 5 << 20, 2 << 20, 40_000, 4096, 2048] {
        let cut: Arc<dyn Device> = Arc::new(MemDevice::from_bytes(bytes[..len].to_vec()));
        let (report, problems) = check_level(cut, DataLevel::Full);
        assert_eq!(problems[0].code().to_string(), "VX0003", "{len} bytes");
        assert!(!report.is_clean());
    }
    for len in [2047, 1024, 1, 0] {
        let cut: Arc<dyn Device> = Arc::new(MemDevice::from_bytes(bytes[..len].to_vec()));
        assert!(matches!(survive(cut), Err(FsError::NotVexfs { .. })), "{len} bytes");
    }
}

#[test]
fn a_backup_serves_where_the_primary_is_of_another_filesystem() {
    let image = Image::new();
    image.edit_super(0, |sb| sb.checksum_seed = 77.into());
    let options = CheckOptions { superblock: Some(BlockNo(32_768)), ..CheckOptions::default() };
    let mut problems: Vec<Problem> = Vec::new();
    let report = check::check(image.device.clone(), &options, &mut problems).expect("a check");
    assert_eq!(report.backup, Some(BlockNo(32_768)));
    assert_eq!(problems.len(), 1, "{}", lines(&problems));
    assert_eq!(problems[0].code().to_string(), "VX0002");
    let nowhere = CheckOptions { superblock: Some(BlockNo(77)), ..CheckOptions::default() };
    assert!(check::check(image.device.clone(), &nowhere, &mut problems).is_err());
}

#[test]
fn unknown_features_are_told_and_no_damage() {
    let image = Image::new();
    for block in [0, 32_768, 76_544] {
        image.edit_super(block, |sb| sb.feature_ro_compat = (1 << 40).into());
    }
    let (report, problems) = check_level(image.device.clone(), DataLevel::Full);
    assert!(report.is_clean(), "{}", lines(&problems));
    assert_eq!(problems[0].code().to_string(), "VX0011");
    image.edit_super(0, |sb| sb.feature_incompat = (1 << 40).into());
    assert!(matches!(survive(image.device.clone()), Err(FsError::Incompatible(_))));
}

/// A tree of extents whose nodes all lead to one another: 168 children each, five levels deep.
#[test]
fn a_web_of_nodes_is_walked_once() {
    let image = Image::new();
    let (ino, txn) = (InodeNo(image.ino("/models/bits/vectors")), TxnSeq(1));
    let nodes: Vec<u64> = (50_000..50_005).collect();
    let every: Vec<(u64, BlockNo)> = (0..168).map(|n| (n, BlockNo(0))).collect();
    for (level, &node) in nodes.iter().enumerate() {
        let entries = if level == 0 {
            let run = |n: u64| Run { logical: LogicalBlock(n), start: BlockNo(40_000 + n), len: 1 };
            NodeEntries::Leaf((0..168).map(run).collect())
        } else {
            NodeEntries::Index(every.iter().map(|&(n, _)| (n, BlockNo(nodes[level - 1]))).collect())
        };
        let bytes = vexfs_format::extent::encode_node(
            &entries,
            level as u16,
            BlockNo(node),
            ino,
            txn,
            BLOCK,
            image.seed(),
        );
        image.write(node, 0, &bytes);
    }
    let children: Vec<(u64, BlockNo)> = (0..5).map(|n| (n, BlockNo(nodes[4]))).collect();
    image.edit("/models/bits/vectors", |inode| inode.set_root(&NodeEntries::Index(children), 5));
    let problems = survive(image.device.clone()).expect("an end");
    assert!((10..5_000).contains(&problems), "{problems} problems");
}

/// Counts what it is told.
struct Counter(u64);

impl Observer for Counter {
    fn problem(&mut self, _: Problem) -> ControlFlow<()> {
        self.0 += 1;
        ControlFlow::Continue(())
    }
}

#[test]
fn a_kind_that_occurs_without_end_is_told_so_often_and_counted() {
    // Every second block of a group is marked as in use.
    let image = Image::new();
    image.edit_block_bitmap(0, |map| map[1_000..4_000].fill(0x55));
    let mut counter = Counter(0);
    let options = CheckOptions::default();
    let report = check::check(image.device.clone(), &options, &mut counter).expect("a check");
    let code = check::table::BLOCKS_MARKED.code;
    let count = report.counts[&code];
    assert!(count > MAX_TOLD && counter.0 < count, "{count} found, {} told", counter.0);
}

#[test]
fn rows_that_are_lost_are_named_by_row_and_id_or_key() {
    let name = |path: &str, logical: u64, offset: usize| {
        let image = Image::new();
        image.flip(image.place(path, logical), offset);
        let problems = check_level(image.device.clone(), DataLevel::Full).1;
        let row = problems.iter().find(|p| p.code() == check::table::ROWS_LOST.code).expect("a row").clone();
        (row.place.row.expect("a row"), row.place.rows.expect("a count"), row.name.expect("a name"), problems)
    };
    // 32 bytes a row, 128 rows a block.
    let (row, rows, id, _) = name("/vectors/vectors", 3, 100);
    assert_eq!((row, rows, id.as_str()), (3 * 128 + 3, 1, "id 387"));
    // 64 bytes a row.
    let (row, _, id, _) = name("/ids/vectors", 1, 64);
    assert_eq!((row, id), (65, format!("id {}", (65 * 7919) % 5003 + 10)));
    let (row, _, key, problems) = name("/keys/vectors", 1, 64);
    assert_eq!((row, key.as_str()), (65, "key key-065-ä"));
    let text = lines(&problems);
    assert!(text.contains("inode 23 (/keys): row 65 damaged (key key-065-ä)"), "{text}");
    assert!(
        text.contains("(/keys/vectors): the contents of block ") && text.contains("(logical 1)"),
        "{text}"
    );
}

#[test]
fn an_unreadable_device_is_listed_to_its_end() {
    let image = Image::new();
    let file = image.place("/models/deep/large", 0);
    for bad in [0, 5, 6, 100, 170] {
        image.lose(file + bad, 1);
    }
    let problems = check_level(image.device.clone(), DataLevel::Full).1;
    let places: Vec<(u64, u64)> = problems
        .iter()
        .map(|p| (p.place.block.expect("a block") - file, p.place.blocks.expect("a length")))
        .collect();
    assert_eq!(places, [(0, 1), (5, 2), (100, 1), (170, 1)], "{}", lines(&problems));
}

#[test]
fn nothing_is_written_to_a_damaged_device() {
    let image = Image::new();
    image.flip(image.place("/many", 5), 200);
    let before = copy(&*image.device).snapshot();
    survive(image.device.clone()).expect("a check");
    assert!(copy(&*image.device).snapshot() == before);
}
