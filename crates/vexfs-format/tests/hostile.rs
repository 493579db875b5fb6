//! No bytes make a gate panic, and what a gate lets through keeps the gate's promise: arbitrary bytes, and sound
//! structures with changed fields whose checksum was computed anew, as an enemy or a broken writer would.

use proptest::prelude::*;
use vexfs_format::block_header::{BlockHeader, BlockKind};
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_format::collection::{self, CollectionDesc};
use vexfs_format::dir_block::{self, DirEntries, DirEntry, Placement};
use vexfs_format::extent::{self, NodeEntries, Run, SUMS_BASE};
use vexfs_format::geometry::{BlockRun, Geometry, GeometryParams};
use vexfs_format::group_desc::{self, GroupDesc};
use vexfs_format::inode::{self, Inode, Root};
use vexfs_format::journal::commit::{self, Chain, JournalCommit};
use vexfs_format::journal::superblock::{self as journal_superblock, JournalSuperblock};
use vexfs_format::journal::{descriptor, revoke};
use vexfs_format::superblock::{Superblock, recognise_ancestor};
use vexfs_format::{BlockNo, GroupNo, InodeNo, LogicalBlock, Seed, TxnSeq, checksum, sums};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 1000;
const SEED: Seed = Seed(0x5EED);
const PLACE: BlockNo = BlockNo(77);
const OWNER: InodeNo = InodeNo(12);
const TXN: TxnSeq = TxnSeq(9);
const JOURNAL: BlockRun = BlockRun { start: 200, len: 256 };

fn run(logical: u64, start: u64, len: u32) -> Run {
    Run { logical: LogicalBlock(logical), start: BlockNo(start), len }
}

/// One number written over some bytes: the position is taken modulo the length of what is changed.
#[derive(Clone, Debug)]
struct Change {
    at: usize,
    size: usize,
    value: u64,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let value = prop_oneof![
        0_u64..8,
        prop::sample::select(vec![
            u64::MAX,
            u64::MAX - 1,
            1 << 63,
            i64::MAX as u64,
            1 << 48,
            (1 << 48) - 1,
            1 << 32,
            0xFFFF,
            BLOCKS,
            BLOCKS - 1,
            BLOCK as u64,
        ]),
        any::<u64>(),
    ];
    // Headers and first entries are where the numbers are that other numbers depend on.
    let at = prop_oneof![0_usize..64, 0_usize..400, any::<usize>()];
    let change = (at, prop::sample::select(vec![1, 2, 4, 8]), value);
    prop::collection::vec(change.prop_map(|(at, size, value)| Change { at, size, value }), 1..6)
}

fn apply(bytes: &mut [u8], changes: &[Change]) {
    for change in changes {
        let at = change.at % bytes.len();
        let size = change.size.min(bytes.len() - at);
        bytes[at..at + size].copy_from_slice(&change.value.to_le_bytes()[..size]);
    }
}

/// Makes the identity and the checksum of a self-describing block right again.
fn reseal(block: &mut [u8], kind: BlockKind, place: u64, owner: u64) {
    block[..4].copy_from_slice(&kind.magic.to_le_bytes());
    block[8..16].copy_from_slice(&owner.to_le_bytes());
    block[16..24].copy_from_slice(&place.to_le_bytes());
    let sum = SEED.sum_around(kind.magic, place, owner, block, 4);
    block[4..8].copy_from_slice(&sum.to_le_bytes());
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn sound_superblock() -> Superblock {
    let params = GeometryParams { vector_zone: true, ..GeometryParams::new(100_000, BLOCK as u32) };
    let mut sb = Superblock::empty();
    Geometry::plan(&params).expect("390 MiB can be planned").store(&mut sb);
    sb.checksum_seed = U32::new(SEED.0);
    sb.seal();
    sb
}

fn check_runs(runs: &[Run]) {
    for (n, run) in runs.iter().enumerate() {
        assert!(run.len > 0 && run.start.get() > 0 && run.end() <= BLOCKS, "{run:?}");
        assert!(run.logical_end() <= SUMS_BASE || run.logical.get() >= SUMS_BASE, "{run:?}");
        assert!(n == 0 || runs[n - 1].logical_end() <= run.logical.get(), "{runs:?}");
    }
}

fn check_node(entries: &NodeEntries) {
    match entries {
        NodeEntries::Leaf(runs) => check_runs(runs),
        NodeEntries::Index(children) => {
            assert!(children.iter().all(|(_, child)| (1..BLOCKS).contains(&child.get())));
            assert!(children.is_sorted_by_key(|(logical, _)| *logical));
        }
    }
}

fn check_dir(entries: &DirEntries, level: u16) {
    assert!(entries.encoded_len() <= dir_block::capacity(BLOCK));
    match entries {
        DirEntries::Leaf(entries) => {
            assert!(entries.iter().all(|e| e.inode.get() > 0 && dir_block::is_valid_name(&e.name)));
        }
        DirEntries::Index(children) => {
            assert!(level > 0 && children.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
    let at = Placement { place: PLACE, logical: LogicalBlock(3), owner: OWNER, txn: TXN };
    let again = dir_block::encode(entries, level, at, BLOCK, SEED);
    let decoded = dir_block::decode(&again, PLACE, OWNER, LogicalBlock(3), SEED);
    assert_eq!(decoded, Ok((entries.clone(), level)), "what was accepted can be written and read again");
}

/// Runs every gate over `block` and checks what each promises; returns how many accepted it.
fn all_gates(block: &[u8], sb: &Superblock) -> usize {
    let mut accepted = 0;
    if let Ok(found) = Superblock::decode(block, None) {
        accepted += 1;
        assert!(found.block_size.get().is_power_of_two());
        let _ = (found.label(), found.features().names(), found.same_filesystem(sb));
    }
    let _ = Superblock::decode(block, Some(BlockNo(0)));
    let _ = recognise_ancestor(block);
    if let Ok(desc) = GroupDesc::decode(block, GroupNo(1), sb) {
        accepted += 1;
        assert!(desc.unused_inodes.get() <= desc.free_inodes.get());
        assert!(desc.inode_table.get() < sb.blocks.get());
    }
    if let Ok(inode) = Inode::decode(block, OWNER, BLOCK as u32, BLOCKS, SEED) {
        accepted += 1;
        match inode.root(BLOCKS).expect("decode has looked at the root") {
            Root::Extents(runs) => check_runs(&runs),
            Root::Index(children) => assert!(!children.is_empty()),
            Root::Target(target) => assert!(!target.is_empty() && target.len() <= inode::ROOT_BYTES),
        }
        let _ = inode.kind();
    }
    for level in 0..=extent::MAX_DEPTH {
        if let Ok(entries) = extent::decode_node(block, PLACE, OWNER, level, BLOCKS, SEED) {
            accepted += 1;
            check_node(&entries);
            let again = extent::encode_node(&entries, level, PLACE, OWNER, TXN, BLOCK, SEED);
            assert_eq!(extent::decode_node(&again, PLACE, OWNER, level, BLOCKS, SEED), Ok(entries));
        }
    }
    for count in [0, 1, 5, usize::MAX] {
        let _ = extent::decode_extents(block, count, BLOCKS).map(|runs| check_runs(&runs));
        let _ = extent::decode_index(block, count, BLOCKS);
    }
    if let Ok(found) = sums::decode(block, PLACE, OWNER, 3, 2, SEED) {
        accepted += 1;
        assert!((2..=sums::capacity(BLOCK)).contains(&(found.len() as u64)));
    }
    if let Ok((entries, level)) = dir_block::decode(block, PLACE, OWNER, LogicalBlock(3), SEED) {
        accepted += 1;
        check_dir(&entries, level);
    }
    if let Ok(desc) = CollectionDesc::decode(block, PLACE, OWNER, SEED) {
        accepted += 1;
        let bytes = desc.rows.get().checked_mul(desc.row_bytes()).expect("decode has bounded the rows");
        assert!(desc.row_bytes() > 0 && bytes <= i64::MAX as u64);
        assert!(collection::metric_fits(desc.metric(), desc.dtype()));
    }
    if let Ok(jsb) = JournalSuperblock::decode(block, JOURNAL, SEED) {
        accepted += 1;
        assert!((1..JOURNAL.len).contains(&jsb.tail.get()) && jsb.tail_txn.get() > 0);
    }
    let index = PLACE.get();
    if let Ok(tags) = descriptor::decode(block, index, TXN, BLOCKS, SEED) {
        accepted += 1;
        assert!(!tags.is_empty() && tags.iter().all(|tag| tag.home.get() < BLOCKS));
    }
    if let Ok(revoked) = revoke::decode(block, index, TXN, BLOCKS, SEED) {
        accepted += 1;
        assert!(!revoked.is_empty() && revoked.iter().all(|block| block.get() < BLOCKS));
    }
    accepted += usize::from(commit::decode(block, index, TXN, SEED).is_ok());
    Chain::default().add(block);
    let _ = BlockHeader::peek(block);
    accepted
}

/// A sound structure of each kind, and how its checksum is made right again after a change.
struct Sample {
    name: &'static str,
    bytes: Vec<u8>,
    reseal: fn(&mut [u8]),
}

fn block(name: &'static str, bytes: Vec<u8>, reseal: fn(&mut [u8])) -> Sample {
    Sample { name, bytes, reseal }
}

fn samples() -> Vec<Sample> {
    let sb = sound_superblock();
    let geometry = sb.geometry();
    let mut desc = GroupDesc::empty();
    let (block_bitmap, inode_bitmap, table) = geometry.group_metadata(GroupNo(1));
    desc.block_bitmap = block_bitmap.get().into();
    desc.inode_bitmap = inode_bitmap.get().into();
    desc.inode_table = table.get().into();
    desc.free_inodes = (geometry.inodes_per_group as u32).into();
    desc.seal(SEED, GroupNo(1));

    let leaf = NodeEntries::Leaf(vec![run(0, 300, 7), run(7, 20, 1), run(SUMS_BASE, 500, 1)]);
    let index = NodeEntries::Index(vec![(0, BlockNo(30)), (5, BlockNo(31)), (900, BlockNo(32))]);
    let mut file = Inode::new(OWNER, 3, InodeKind::File, 0o644);
    file.links = U32::new(1);
    file.set_root(&leaf, 0);
    file.seal(SEED);
    let mut link = Inode::new(OWNER, 3, InodeKind::Symlink, 0o777);
    link.links = U32::new(1);
    assert!(link.set_inline_target(b"../somewhere/else"));
    link.seal(SEED);

    let entry =
        |hash, name: &[u8]| DirEntry { hash, inode: InodeNo(20), kind: InodeKind::File, name: name.to_vec() };
    let names = DirEntries::Leaf(vec![entry(5, b"a"), entry(5, b"model-card.md"), entry(9, &[b'x'; 255])]);
    let children = DirEntries::Index(vec![(0, LogicalBlock(1)), (77, LogicalBlock(2))]);
    let at = Placement { place: PLACE, logical: LogicalBlock(3), owner: OWNER, txn: TXN };
    let mut coll = CollectionDesc::new(768, DType::F32, Metric::L2, 5);
    coll.rows = 1000.into();
    coll.live_rows = 900.into();
    let tags: Vec<descriptor::Tag> =
        (1..40).map(|n| descriptor::Tag { home: BlockNo(n), image_checksum: n as u32 }).collect();
    let revoked: Vec<BlockNo> = (1..40).map(BlockNo).collect();
    let index_in_journal = PLACE.get();
    let end = JournalCommit { log_blocks: 3.into(), chain: 4.into(), time_ns: 5.into() };
    let node =
        |entries: &NodeEntries, level| extent::encode_node(entries, level, PLACE, OWNER, TXN, BLOCK, SEED);

    let superblock = sb.as_bytes().to_vec();
    vec![
        block("superblock", superblock, |b| {
            let sum = checksum::crc32c_around(&b[..1024], 8);
            put_u32(b, 8, sum);
        }),
        block("group descriptor", desc.as_bytes().to_vec(), |b| {
            let sum = SEED.sum_around(group_desc::KIND, 1, 0, &b[..64], 60);
            put_u32(b, 60, sum);
        }),
        block("inode of a file", file.as_bytes().to_vec(), reseal_inode),
        block("inode of a link", link.as_bytes().to_vec(), reseal_inode),
        block("extent leaf", node(&leaf, 0), |b| reseal(b, extent::NODE, PLACE.get(), OWNER.get())),
        block("extent index", node(&index, 1), |b| reseal(b, extent::NODE, PLACE.get(), OWNER.get())),
        block("checksum block", sums::encode(&[1, 2, 3], PLACE, OWNER, 3, TXN, BLOCK, SEED), |b| {
            reseal(b, sums::KIND, PLACE.get(), OWNER.get())
        }),
        block("directory leaf", dir_block::encode(&names, 0, at, BLOCK, SEED), |b| {
            reseal(b, dir_block::KIND, PLACE.get(), OWNER.get())
        }),
        block("directory index", dir_block::encode(&children, 1, at, BLOCK, SEED), |b| {
            reseal(b, dir_block::KIND, PLACE.get(), OWNER.get())
        }),
        block("collection descriptor", coll.encode(PLACE, OWNER, TXN, BLOCK, SEED), |b| {
            reseal(b, collection::KIND, PLACE.get(), OWNER.get())
        }),
        block(
            "journal superblock",
            JournalSuperblock::empty(JOURNAL, 5, TXN, SEED).as_bytes().to_vec(),
            |b| {
                put_u32(b, 0, journal_superblock::MAGIC);
                b[8..16].copy_from_slice(&JOURNAL.start.to_le_bytes());
                let sum = SEED.sum_around(journal_superblock::MAGIC, JOURNAL.start, 0, &b[..512], 4);
                put_u32(b, 4, sum);
            },
        ),
        block("descriptor block", descriptor::encode(&tags, index_in_journal, TXN, BLOCK, SEED), |b| {
            reseal(b, descriptor::KIND, PLACE.get(), 0)
        }),
        block("revoke block", revoke::encode(&revoked, index_in_journal, TXN, BLOCK, SEED), |b| {
            reseal(b, revoke::KIND, PLACE.get(), 0)
        }),
        block("commit block", commit::encode(&end, index_in_journal, TXN, BLOCK, SEED), |b| {
            reseal(b, commit::KIND, PLACE.get(), 0)
        }),
    ]
}

fn reseal_inode(b: &mut [u8]) {
    put_u32(b, 0, inode::MAGIC);
    b[8..16].copy_from_slice(&OWNER.get().to_le_bytes());
    let generation = u64::from_le_bytes(b[16..24].try_into().expect("eight bytes"));
    let sum = SEED.sum_around(inode::MAGIC, OWNER.get(), generation, &b[..256], 4);
    put_u32(b, 4, sum);
}

#[test]
fn each_sample_passes_exactly_its_own_gate() {
    let sb = sound_superblock();
    for sample in samples() {
        assert_eq!(all_gates(&sample.bytes, &sb), 1, "{}", sample.name);
        let mut resealed = sample.bytes.clone();
        (sample.reseal)(&mut resealed);
        assert_eq!(resealed, sample.bytes, "{}: sealing again changes nothing", sample.name);
    }
}

#[test]
fn no_gate_accepts_a_structure_cut_short() {
    let sb = sound_superblock();
    for sample in samples() {
        for len in [0, 1, 3, 4, 7, 8, 47, 48, 63, sample.bytes.len() / 2, sample.bytes.len() - 1] {
            assert_eq!(all_gates(&sample.bytes[..len], &sb), 0, "{} cut to {len} bytes", sample.name);
        }
    }
}

#[test]
fn no_gate_accepts_a_flipped_bit() {
    let sb = sound_superblock();
    for sample in samples() {
        for bit in (0..sample.bytes.len() * 8).step_by(131) {
            let mut bytes = sample.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(all_gates(&bytes, &sb), 0, "{}, bit {bit}", sample.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert_eq!(all_gates(&bytes, &sound_superblock()), 0);
    }

    #[test]
    fn changed_structures_with_a_right_checksum_do_no_harm(changes in changes()) {
        let sb = sound_superblock();
        for sample in samples() {
            let mut bytes = sample.bytes;
            apply(&mut bytes, &changes);
            (sample.reseal)(&mut bytes);
            all_gates(&bytes, &sb);
        }
    }
}
