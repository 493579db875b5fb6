//! Where everything lies: the check value, the rules that hold for every plan, and superblocks made to do harm.

use proptest::prelude::*;
use proptest::sample::select;
use vexfs_format::bitmap;
use vexfs_format::geometry::{
    BlockRun, FixedUse, Geometry, GeometryParams, HEAD_BYTES, MIN_BYTES, PlanError, TAIL_BYTES,
};
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

const BLOCK_SIZES: [u32; 5] = [4096, 8192, 16384, 32768, 65536];

fn plan(params: &GeometryParams) -> Geometry {
    Geometry::plan(params).unwrap_or_else(|e| panic!("{params:?}: {e}"))
}

#[test]
fn the_check_value_of_the_requirements_is_met() {
    let geometry = plan(&GeometryParams { vector_zone: true, ..GeometryParams::new(488_369_940, 4096) });
    assert_eq!(geometry.groups, 14_904);
    assert_eq!(geometry.blocks_per_group(), 32_768);
    assert_eq!(geometry.inodes_per_group, 8_192);
    assert_eq!(geometry.journal.len, 32_768);
    assert_eq!(geometry.zone.len, 131_072);
    assert_eq!(geometry.data_blocks() / 100_000, 4_805, "about 480.5 million");
    assert_eq!(format!("{:.1}", geometry.efficiency() * 100.0), "98.4");
}

/// Device sizes with the default options from the smallest to far beyond what the requirements name.
#[test]
fn the_defaults_fit_every_device_size_at_every_block_size() {
    for block_size in BLOCK_SIZES {
        for log2 in 23..=46 {
            for extra in [0, 1, 17, 4097] {
                let device_blocks = (1_u64 << log2) / u64::from(block_size) + extra;
                for vector_zone in [false, true] {
                    let defaults = GeometryParams::new(device_blocks, block_size);
                    check_cheap(&plan(&GeometryParams { vector_zone, ..defaults.clone() }), &defaults);
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    let good = GeometryParams::new(16384, 4096);
    let parameter = |params: GeometryParams| match Geometry::plan(&params) {
        Err(PlanError::Parameter { name, .. }) => name,
        other => panic!("{params:?}: {other:?}"),
    };
    assert_eq!(parameter(GeometryParams { block_size: 2048, ..good.clone() }), "block size");
    assert_eq!(parameter(GeometryParams { block_size: 12288, ..good.clone() }), "block size");
    assert_eq!(parameter(GeometryParams { inode_size: 8192, ..good.clone() }), "inode size");
    assert_eq!(parameter(GeometryParams { bytes_per_inode: 1023, ..good.clone() }), "bytes per inode");
    assert_eq!(parameter(GeometryParams { inodes: Some(15), ..good.clone() }), "number of inodes");
    assert_eq!(
        parameter(GeometryParams { journal_blocks: Some(31), ..good.clone() }),
        "journal size in blocks"
    );
    assert_eq!(parameter(GeometryParams { device_blocks: 1 << 51, ..good.clone() }), "device size in blocks");
    let small = GeometryParams::new(MIN_BYTES / 4096 - 1, 4096);
    assert!(matches!(Geometry::plan(&small), Err(PlanError::TooSmall { .. })));
    for params in [
        GeometryParams { inodes: Some(u64::MAX), ..good.clone() },
        GeometryParams { journal_blocks: Some(u64::MAX), ..good.clone() },
        GeometryParams { journal_blocks: Some(16000), ..good.clone() },
        GeometryParams::new(1 << 45, 4096),
    ] {
        assert!(matches!(Geometry::plan(&params), Err(PlanError::DoesNotFit { .. })), "{params:?}");
    }
}

#[test]
fn a_last_group_without_room_is_left_off() {
    let whole = plan(&GeometryParams::new(32768 * 3, 4096));
    for extra in 0..=256 + 15 {
        let geometry = plan(&GeometryParams::new(32768 * 3 + extra, 4096));
        assert_eq!((geometry.groups, geometry.blocks), (3, whole.blocks), "{extra} blocks in the last group");
    }
}

#[test]
fn backups_lie_in_group_1_and_powers_of_3_5_and_7() {
    let geometry = plan(&GeometryParams::new(32768 * 400, 4096));
    let groups: Vec<u64> = (0..geometry.groups).filter(|&g| geometry.has_backup(GroupNo(g))).collect();
    assert_eq!(groups, [1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
}

fn any_params() -> impl Strategy<Value = GeometryParams> {
    let device = prop_oneof![
        // close to the edges of groups, where the last one is kept or left off
        (1_u64..40, -600_i64..600).prop_map(|(groups, d)| (groups, d, 0)),
        (23_u32..46, 0_u64..1 << 46).prop_map(|(log2, r)| (0, 0, (1 << log2) + r % (1 << log2))),
    ];
    let ratio = prop_oneof![Just(16384), 1024_u64..1 << 20, Just(1 << 40)];
    let inodes = proptest::option::weighted(0.2, 16_u64..1 << 24);
    let journal = proptest::option::weighted(0.2, 256_u64..100_000);
    (select(&BLOCK_SIZES), device, ratio, inodes, 0_u32..9, journal, any::<bool>()).prop_map(
        |(
            block_size,
            (groups, delta, bytes),
            bytes_per_inode,
            inodes,
            inode_log2,
            journal_blocks,
            vector_zone,
        )| {
            let device_blocks = if groups > 0 {
                (groups * u64::from(block_size) * 8).saturating_add_signed(delta)
            } else {
                bytes / u64::from(block_size)
            };
            let inode_size = (256 << inode_log2).min(block_size);
            GeometryParams {
                device_blocks,
                block_size,
                bytes_per_inode,
                inodes,
                inode_size,
                journal_blocks,
                vector_zone,
            }
        },
    )
}

/// What every plan keeps and can be told without going through all groups.
fn check_cheap(geometry: &Geometry, params: &GeometryParams) {
    let block_size = u64::from(geometry.block_size);
    assert!(geometry.blocks <= params.device_blocks);
    assert_eq!(geometry.groups, geometry.blocks.div_ceil(geometry.blocks_per_group()));
    assert!(
        geometry.head_blocks * block_size >= HEAD_BYTES && geometry.tail_blocks * block_size >= TAIL_BYTES
    );
    assert!(geometry.inodes() >= InodeNo::FIRST_ORDINARY.get(), "room for the reserved inodes");
    let (journal, zone) = (geometry.journal, geometry.zone);
    for run in [journal, zone] {
        if run.len > 0 {
            assert!(
                run.start >= geometry.head_blocks && run.end() <= geometry.tail_backup().get(),
                "{run:?}"
            );
        }
    }
    assert!(zone.end() <= journal.start || journal.end() <= zone.start || zone.len == 0);
    let last_backup = geometry.backups().last().copied();
    assert_eq!(last_backup, Some(geometry.tail_backup()), "the last backup lies at the start of the tail");

    let mut sb = Superblock::empty();
    geometry.store(&mut sb);
    sb.seal();
    let decoded = Superblock::decode(sb.as_bytes(), Some(BlockNo(0))).expect("what is planned is accepted");
    assert_eq!(decoded.geometry(), *geometry);
}

/// Everything about the fixed runs, group by group.
fn check_fixed_runs(geometry: &Geometry) {
    let (per_group, zone) = (geometry.blocks_per_group(), geometry.zone);
    let mut fixed: Vec<(BlockRun, FixedUse)> = geometry.fixed_runs().collect();
    fixed.sort_by_key(|(run, _)| run.start);
    for pair in fixed.windows(2) {
        assert!(pair[0].0.end() <= pair[1].0.start, "{pair:?} overlap");
    }
    for &(run, used_for) in &fixed {
        assert!(run.len > 0 && run.end() <= geometry.blocks, "{used_for:?} {run:?}");
        assert!(
            zone.len == 0 || run.end() <= zone.start || zone.end() <= run.start,
            "{used_for:?} in the zone"
        );
    }
    let count = |wanted| fixed.iter().filter(|(_, used_for)| *used_for == wanted).count();
    assert_eq!(count(FixedUse::Journal), 1);
    let superblocks: Vec<BlockNo> = fixed
        .iter()
        .filter(|(_, used_for)| *used_for == FixedUse::Superblock)
        .map(|(run, _)| BlockNo(run.start))
        .collect();
    let mut expected = vec![BlockNo(0)];
    expected.extend(geometry.backups());
    assert_eq!(superblocks, expected, "the primary and all backups");
    let from_groups: Vec<BlockNo> = (1..geometry.groups)
        .filter(|&g| geometry.has_backup(GroupNo(g)))
        .map(|g| BlockNo(geometry.group_start(GroupNo(g))))
        .chain([geometry.tail_backup()])
        .collect();
    assert_eq!(geometry.backups(), from_groups);

    // What the groups say, put side by side, is what the fixed runs say.
    let mut from_groups: Vec<BlockRun> = Vec::new();
    for g in 0..geometry.groups {
        let (start, len) = (geometry.group_start(GroupNo(g)), geometry.group_blocks(GroupNo(g)));
        for run in geometry.group_runs(GroupNo(g)) {
            assert!(run.start >= start && run.end() <= start + len, "a run of group {g} leaves it");
            from_groups.push(run);
        }
    }
    assert_eq!(joined(from_groups), joined(fixed.iter().map(|(run, _)| *run).collect()));
    let sum: u64 = fixed.iter().map(|(run, _)| run.len).sum();
    assert_eq!(geometry.fixed_blocks(), sum);
    assert_eq!(geometry.data_blocks(), geometry.blocks - sum - zone.len);
    let mut sb = Superblock::empty();
    geometry.store(&mut sb);
    assert_eq!(sb.free_blocks.get(), geometry.blocks - sum);

    // The ends of the device are in use as a whole.
    let covers = |from: u64, to: u64| {
        let runs = joined(fixed.iter().map(|(run, _)| *run).collect());
        runs.iter().any(|run| run.start <= from && to <= run.end())
    };
    assert!(covers(0, geometry.head_blocks), "the head holds no data");
    assert!(covers(geometry.tail_backup().get(), geometry.blocks), "the tail holds no data");

    // Each group's bitmaps and table lie in a metadata run, and no two share a block.
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for g in 0..geometry.groups {
        let (blocks, inodes, table) = geometry.group_metadata(GroupNo(g));
        parts.extend([(blocks.get(), 1), (inodes.get(), 1), (table.get(), geometry.inode_table_blocks())]);
    }
    parts.sort_unstable();
    let metadata: Vec<BlockRun> = parts.iter().map(|&(start, len)| BlockRun { start, len }).collect();
    for pair in metadata.windows(2) {
        assert!(pair[0].end() <= pair[1].start, "{pair:?} overlap");
    }
    let runs = fixed.iter().filter(|(_, used_for)| *used_for == FixedUse::GroupMetadata).map(|(run, _)| *run);
    assert_eq!(joined(metadata), joined(runs.collect()));

    // The bitmaps say the same; the first, the last and a few groups between stand for all.
    for g in [0, 1, geometry.groups / 2, geometry.groups - 1].map(|g| g.min(geometry.groups - 1)) {
        let group = GroupNo(g);
        let mut map = vec![0_u8; geometry.block_size as usize];
        geometry.fill_block_bitmap(group, &mut map);
        let runs = geometry.group_runs(group);
        let used: u64 = runs.iter().map(|run| run.len).sum();
        let clear = bitmap::count_clear(&map, per_group as usize) as u64;
        assert_eq!(clear, geometry.group_blocks(group) - used, "group {g}");
        for run in runs {
            let first = (run.start - geometry.group_start(group)) as usize;
            assert_eq!(bitmap::first_clear(&map, first, first + run.len as usize), None, "group {g} {run:?}");
        }
        let mut map = vec![0_u8; geometry.block_size as usize];
        geometry.fill_inode_bitmap(&mut map);
        assert_eq!(bitmap::count_clear(&map, per_group as usize) as u64, geometry.inodes_per_group);
        assert_eq!(bitmap::first_set(&map, 0, per_group as usize) as u64, geometry.inodes_per_group);
    }
}

/// Runs in order with touching ones made one.
fn joined(mut runs: Vec<BlockRun>) -> Vec<BlockRun> {
    runs.sort_unstable_by_key(|run| run.start);
    let mut joined: Vec<BlockRun> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.end() == run.start => last.len += run.len,
            _ => joined.push(run),
        }
    }
    joined
}

fn check_inodes(geometry: &Geometry, picks: &[u64]) {
    assert_eq!(geometry.locate_inode(InodeNo(0)), None);
    assert_eq!(geometry.locate_inode(InodeNo(geometry.inodes() + 1)), None);
    assert_eq!(geometry.locate_inode(InodeNo(1)), Some((GroupNo(0), 0)));
    for pick in picks {
        let ino = 1 + pick % geometry.inodes();
        let (group, index) = geometry.locate_inode(InodeNo(ino)).expect("an inode of the filesystem");
        assert!(group.get() < geometry.groups && index < geometry.inodes_per_group);
        assert_eq!(group.get() * geometry.inodes_per_group + index + 1, ino);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Either a plan is refused with a reason, or it keeps all rules.
    #[test]
    fn every_plan_keeps_the_rules(params in any_params(), picks in proptest::collection::vec(any::<u64>(), 4)) {
        if let Ok(geometry) = Geometry::plan(&params) {
            check_cheap(&geometry, &params);
            check_inodes(&geometry, &picks);
            // Beyond this many groups the check costs more than it can find: the rule does not change with their number.
            if geometry.groups <= 20_000 {
                check_fixed_runs(&geometry);
            }
        } else {
            let ample = params.device_blocks * u64::from(params.block_size) >= 64 << 20;
            let defaults = GeometryParams {
                vector_zone: params.vector_zone,
                ..GeometryParams::new(params.device_blocks, params.block_size)
            };
            prop_assert!(!ample || Geometry::plan(&defaults).is_ok(), "{defaults:?}");
        }
    }
}

/// A superblock whose numbers were chosen by an enemy who knows how to compute checksums.
fn hostile() -> impl Strategy<Value = Superblock> {
    let size = (select(&BLOCK_SIZES), 0_u32..9, 1_u32..=524_288, 0_u32..=16);
    let blocks = prop_oneof![16_u64..100_000, 16_u64..1 << 51, (1_u64 << 47)..(1 << 51)];
    (size, blocks, proptest::collection::vec(any::<u64>(), 12)).prop_map(
        |((block_size, inode_log2, inodes_per_group, flex_log2), blocks, r)| {
            let per_group = u64::from(block_size) * 8;
            let blocks =
                blocks.min(i64::MAX as u64 / u64::from(block_size)).min(per_group * u64::from(u32::MAX));
            let groups = blocks.div_ceil(per_group);
            let inode_size = (256 << inode_log2).min(block_size);
            let per_block = block_size / inode_size;
            let inodes_per_group = inodes_per_group.next_multiple_of(per_block).min(block_size * 8);
            let needed = (groups * 64).div_ceil(block_size.into());
            let inodes = groups * u64::from(inodes_per_group);
            // A run anywhere inside, as long as it likes.
            let run = |start: u64, len: u64, least: u64| {
                let start = 1 + start % (blocks - least).max(1);
                (start, least + len % (blocks - start - least + 1).max(1))
            };
            let mut sb = Superblock::empty();
            sb.block_size = U32::new(block_size);
            sb.blocks_per_group = U32::new(per_group as u32);
            sb.blocks = U64::new(blocks);
            sb.groups = U32::new(groups as u32);
            sb.inode_size = U32::new(inode_size);
            sb.inodes_per_group = U32::new(inodes_per_group);
            sb.inodes = U64::new(inodes);
            sb.free_blocks = U64::new(r[0] % blocks);
            sb.free_inodes = U64::new(r[1] % inodes);
            sb.flex_log2 = U32::new(flex_log2);
            sb.descriptor_table = U64::new(1);
            let table_blocks = needed + r[2] % blocks.saturating_sub(needed).max(1);
            sb.descriptor_blocks = U32::new(table_blocks.min(u32::MAX.into()) as u32);
            let (start, len) = run(r[3], r[4], 8);
            sb.journal_start = U64::new(start);
            sb.journal_blocks = U64::new(len);
            let (start, len) = run(r[5], r[6], 1);
            if r[7] % 4 != 0 {
                sb.zone_start = U64::new(start);
                sb.zone_blocks = U64::new(len);
            }
            sb.root_inode = U64::new(1 + r[8] % inodes);
            sb.lost_found_inode = U64::new(r[9] % inodes);
            sb.hash_version = U32::new(1);
            sb.head_blocks = U64::new(r[10] % blocks);
            sb.tail_blocks = U64::new(1 + r[11] % (blocks - 1));
            sb.seal();
            sb
        },
    )
}

/// Calls every method that does not go through all groups; each must return, and what it returns must be of bounded size.
fn exercise(geometry: &Geometry, group: GroupNo, block: BlockNo, ino: InodeNo) {
    let runs = geometry.group_runs(group);
    assert!(runs.len() <= 8);
    for pair in runs.windows(2) {
        assert!(pair[0].end() < pair[1].start);
    }
    let (start, len) = (geometry.group_start(group), geometry.group_blocks(group));
    for run in &runs {
        assert!(run.len > 0 && run.start >= start && run.end() <= start + len);
    }
    assert!(geometry.backups().len() <= 64);
    let _ = geometry.has_backup(group);
    let _ = geometry.group_metadata(group);
    let _ = geometry.group_of_block(block);
    let _ = geometry.tail_backup();
    let _ = geometry.group_metadata_blocks();
    if let Some((group, index)) = geometry.locate_inode(ino) {
        assert!(group.get() < geometry.groups && index < geometry.inodes_per_group);
    }
    let mut map = vec![0_u8; geometry.block_size as usize];
    geometry.fill_block_bitmap(group, &mut map);
    geometry.fill_inode_bitmap(&mut map);
    let _ = geometry.fixed_runs().take(20).collect::<Vec<_>>();
    if geometry.groups <= 1000 {
        let fixed = geometry.fixed_blocks();
        assert!(fixed <= geometry.blocks);
        assert!(geometry.data_blocks() <= geometry.blocks);
        assert!((0.0..=1.0).contains(&geometry.efficiency()));
        let mut sb = Superblock::empty();
        geometry.store(&mut sb);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_accepted_superblock_makes_the_geometry_panic(
        sb in hostile(),
        group in any::<u64>(),
        block in any::<u64>(),
        ino in any::<u64>(),
    ) {
        if let Ok(sb) = Superblock::decode(sb.as_bytes(), Some(BlockNo(0))) {
            let geometry = sb.geometry();
            for group in [0, 1, group % geometry.groups, geometry.groups - 1, geometry.groups, group, u64::MAX] {
                exercise(&geometry, GroupNo(group), BlockNo(block), InodeNo(ino));
            }
        }
    }

    #[test]
    fn superblocks_with_any_number_in_any_field_do_no_harm(
        sb in hostile(),
        changes in proptest::collection::vec((0..Superblock::FIELDS.len(), any::<u64>(), 0_u32..64), 1..4),
    ) {
        let mut bytes = sb.as_bytes().to_vec();
        for (field, value, shift) in changes {
            let field = Superblock::FIELDS[field];
            let value = (value >> shift).to_le_bytes();
            let size = field.size.min(8);
            bytes[field.offset..field.offset + size].copy_from_slice(&value[..size]);
        }
        let sum = vexfs_format::checksum::crc32c_around(&bytes, 8);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        if let Ok(sb) = Superblock::decode(&bytes, Some(BlockNo(0))) {
            let geometry = sb.geometry();
            for group in [0, geometry.groups - 1] {
                exercise(&geometry, GroupNo(group), BlockNo(u64::MAX), InodeNo(u64::MAX));
            }
        }
    }
}
