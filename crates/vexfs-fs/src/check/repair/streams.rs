//! Pass 5: descriptors and streams of collections.
//!
//! The stream of vectors says how many rows there are, as far as the others do not agree on fewer. What is derived (checksums of rows,
//! hashes of keys, counters) is computed anew. A row that has lost its id or key gets a new one: its vector is intact.

use std::collections::BTreeMap;

use vexfs_format::block_header::BlockHeader;
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_format::collection::{
    CollectionDesc, FLAG_IDS, FLAG_IMPORTING, FLAG_KEYS, FLAG_NORMALIZED, KIND, STREAM_IDS, STREAM_KEY_ENDS,
    STREAM_KEY_HASHES, STREAM_KEYS, STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS, STREAM_ROW_SUMS, STREAM_VECTORS,
    metric_fits, row_checksum,
};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo};
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U64};

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context, STREAMS};
use super::super::extent_walk::Extents;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::mapping::{self, Mend};
use super::salvage::{Latest, Ring};
use super::{agree, batch, connect, payload, rows};
use crate::alloc::BlockUse;
use crate::error::Result;
use crate::file::FileWriter;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// Bytes of a stream that are read at a time.
const CHUNK_BYTES: u64 = 1 << 20;
/// Blocks to either side of a place in which a descriptor is looked for.
const NEAR_BLOCKS: u64 = 64;

/// The length that each stream must have, in the order of [`STREAMS`]; for the text of keys the least, `None` where there need be none.
pub(super) fn lengths(desc: &CollectionDesc) -> [Option<u64>; STREAMS.len()] {
    let rows = desc.rows.get();
    let numbers = |width: u64| Some(rows.saturating_mul(width));
    let with = |flag, length: Option<u64>| length.filter(|_| desc.has(flag));
    [
        numbers(desc.row_bytes()),
        numbers(4),
        with(FLAG_IDS, numbers(8)),
        with(FLAG_KEYS, Some(rows)),
        with(FLAG_KEYS, numbers(8)),
        with(FLAG_KEYS, numbers(8)),
        None,
        None,
        numbers(8).filter(|_| desc.has_payload()),
    ]
}

/// Whether the contents of a stream are such as the stream `name` has, where its length leaves the choice.
pub(super) fn holds_what_it_should(
    ctx: &Context<'_>,
    collection: &CollectionInfo,
    ino: InodeNo,
    name: &str,
) -> bool {
    let Some(content) = Content::open(ctx, ino.get()) else { return false };
    let start = content.size.min(4096);
    let Some(bytes) = content.raw(&*ctx.volume.dev, 0..start) else { return false };
    let numbers: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    match name {
        STREAM_PAYLOAD_ENDS => numbers.is_sorted(),
        STREAM_KEY_ENDS => {
            let text = collection.streams[3];
            let size = ctx.read_inode(text).map_or(u64::MAX, |inode| inode.size.get());
            numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_some_and(|&end| end > 0 && end <= size)
        }
        // Hashes are larger than ids by far.
        STREAM_KEY_HASHES => numbers.iter().any(|&number| number >= 1 << 48),
        STREAM_IDS => numbers.iter().all(|&id| id < collection.desc.next_id.get()),
        STREAM_KEYS => std::str::from_utf8(&bytes).is_ok() || bytes.iter().filter(|&&b| b == 0).count() == 0,
        STREAM_ROW_SUMS => {
            let vectors = Content::open(ctx, collection.streams[0]);
            let row_bytes = collection.desc.row_bytes();
            let row =
                vectors.and_then(|vectors| vectors.raw(&*ctx.volume.dev, 0..row_bytes.min(vectors.size)));
            row.is_some_and(|row| {
                let sum = row_checksum(ctx.volume.seed(), InodeNo(collection.ino), &row);
                bytes.get(..4) == Some(&sum.to_le_bytes())
            })
        }
        _ => true,
    }
}

/// Makes the collection descriptors anew that were decided.
pub(super) fn repair_descriptors(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Descriptor]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let ring = Ring::read(&*ctx.volume.dev, &ctx.volume.sb).latest();
    let mut found: Vec<(InodeNo, Option<CollectionDesc>)> = Vec::new();
    for ino in accepted.iter().filter_map(|problem| problem.place.inode) {
        let desc = descriptor(ctx, &ring, ino);
        if desc.is_none() {
            let text = format!(
                "inode {ino}: what its rows are is not known any more; the collection becomes a directory, its streams files"
            );
            ctx.reporter.note(text)?;
        }
        found.push((InodeNo(ino), desc));
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &found, |txn, (ino, desc)| match desc {
        Some(desc) => {
            let inode = inode::read(txn, *ino)?;
            txn.write_collection_desc(&inode, desc);
            Ok(())
        }
        None => dissolve(txn, *ino),
    })
}

/// The descriptor of a collection, from the journal or from what agrees with its streams.
fn descriptor(ctx: &Context<'_>, ring: &Latest, ino: u64) -> Option<CollectionDesc> {
    let inode = ctx.read_inode(ino)?;
    let place = BlockNo(inode.descriptor.get());
    if let Some(desc) = logged_descriptor(ctx, ring, ino).or_else(|| nearby_descriptor(ctx, &inode)) {
        return Some(desc);
    }
    let bytes = ctx.volume.read_block(place).ok()?;
    let header = BlockHeader::peek(&bytes)?;
    let is_whose = header.magic.get() == KIND.magic || header.owner.get() == ino;
    let (found, _) =
        CollectionDesc::read_from_prefix(&bytes[BlockHeader::SIZE..]).ok().filter(|_| is_whose)?;
    let mut sizes: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for entry in dir::list(&ctx.volume, &inode).ok()? {
        if let Some(stream) = ctx.read_inode(entry.inode.get()) {
            sizes.insert(entry.name, stream.size.get());
        }
    }
    agreeing(found, |name| sizes.get(name.as_bytes()).copied())
}

/// The descriptor of a collection as the log last wrote it, wherever it lay.
pub(super) fn logged_descriptor(ctx: &Context<'_>, ring: &Latest, ino: u64) -> Option<CollectionDesc> {
    let decode = |home: BlockNo, bytes: &[u8]| {
        CollectionDesc::decode(bytes, home, InodeNo(ino), ctx.volume.seed()).ok()
    };
    ring.newest_first().find_map(|home| {
        let image = ring.of(&*ctx.volume.dev, &ctx.volume.sb, home)?;
        decode(home, &image)
    })
}

/// A descriptor that says it is that of the collection, near where one should be: it is made together with the collection's names.
fn nearby_descriptor(ctx: &Context<'_>, inode: &Inode) -> Option<CollectionDesc> {
    let names = Extents::walk(&ctx.volume, inode).lookup(0);
    let around = |place: u64| place.saturating_sub(NEAR_BLOCKS)..place.saturating_add(NEAR_BLOCKS);
    let places = names.into_iter().chain([inode.descriptor.get()]).flat_map(around);
    places.filter(|&place| place < ctx.volume.blocks()).map(BlockNo).find_map(|place| {
        let bytes = ctx.volume.read_block(place).ok()?;
        CollectionDesc::decode(&bytes, place, inode.number(), ctx.volume.seed()).ok()
    })
}

/// A descriptor whose fields agree with the lengths of the streams, if only one does.
pub(super) fn agreeing(found: CollectionDesc, size: impl Fn(&str) -> Option<u64>) -> Option<CollectionDesc> {
    let (vectors, sums) = (size(STREAM_VECTORS)?, size(STREAM_ROW_SUMS)?);
    let rows = sums / 4;
    let row_bytes = vectors.checked_div(rows);
    let fits = |dtype: DType, dim: u32| {
        (1..=vexfs_format::collection::DIM_MAX).contains(&dim)
            && row_bytes.is_none_or(|bytes| dtype.row_bytes(dim) == bytes && vectors == bytes * rows)
    };
    let metric = Metric::from_code(found.metric);
    let known = DType::from_code(found.dtype);
    let mut choices: Vec<(DType, u32)> = Vec::new();
    if let Some(dtype) = known {
        // A dimension that is out of range follows from the length of a row, unless bits are rounded up in it.
        let by_length = row_bytes.map(|bytes| (bytes / dtype.row_bytes(1).max(1)) as u32);
        let by_length = by_length.filter(|_| dtype != DType::B1);
        choices.extend([Some(found.dim.get()), by_length].into_iter().flatten().map(|dim| (dtype, dim)));
    } else if row_bytes.is_some() {
        choices.extend(DType::ALL.iter().map(|&dtype| (dtype, found.dim.get())));
    }
    choices
        .retain(|&(dtype, dim)| fits(dtype, dim) && metric.is_none_or(|metric| metric_fits(metric, dtype)));
    choices.dedup();
    let [(dtype, dim)] = choices[..] else { return None };
    // Which distance is meant nothing else says, but for bits.
    let metric = match metric {
        Some(metric) => metric,
        None if dtype == DType::B1 => Metric::Hamming,
        None => return None,
    };
    let mut desc = CollectionDesc::new(dim, dtype, metric, found.created_ns.get());
    desc.flags = U16::new(found.flags.get() & (FLAG_NORMALIZED | FLAG_IMPORTING));
    (desc.import_source, desc.import_first, desc.model) =
        (found.import_source, found.import_first, found.model);
    if size(STREAM_IDS).is_some() {
        desc.set(FLAG_IDS);
    }
    if [STREAM_KEYS, STREAM_KEY_ENDS, STREAM_KEY_HASHES].iter().all(|name| size(name).is_some()) {
        desc.set(FLAG_KEYS);
    }
    desc.set_payload([STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS].iter().all(|name| size(name).is_some()));
    (desc.rows, desc.live_rows) = (U64::new(rows), U64::new(rows));
    desc.generation = U64::new(found.generation.get().wrapping_add(1));
    let is_plausible = (rows..1 << 62).contains(&found.next_id.get());
    desc.next_id = U64::new(if is_plausible { found.next_id.get() } else { rows });
    desc.forget_impossible();
    Some(desc)
}

/// Makes a collection a directory, and its streams files in it.
fn dissolve(txn: &mut Transaction<'_>, ino: InodeNo) -> Result<()> {
    let mut collection = inode::read(txn, ino)?;
    for entry in dir::list(txn, &collection)? {
        if entry.kind == InodeKind::Stream {
            let mut stream = inode::read(txn, entry.inode)?;
            stream.kind = U16::new(InodeKind::File.code());
            stream.parent = U64::new(0);
            txn.write_inode(&mut stream)?;
            dir::remove(txn, ino, &entry.name)?;
            dir::insert(txn, ino, &entry.name, entry.inode, InodeKind::File)?;
        }
    }
    collection = inode::read(txn, ino)?;
    collection.kind = U16::new(InodeKind::Directory.code());
    collection.blocks = U64::new(collection.blocks.get().saturating_sub(1));
    collection.descriptor = U64::new(0);
    txn.write_inode(&mut collection)?;
    // The name in the directory above says another kind, which the next round brings in line.
    Ok(())
}

/// Repairs what was decided about the streams of each collection, one collection after the other.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Rows]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let mut collections: BTreeMap<u64, Vec<Problem>> = BTreeMap::new();
    for problem in accepted {
        if let Some(ino) = problem.place.inode {
            collections.entry(ino).or_default().push(problem);
        }
    }
    for (ino, problems) in collections {
        let Ok(index) = ctx.collections.binary_search_by_key(&ino, |c| c.ino) else { continue };
        let collection = ctx.collections[index].clone();
        repair_one(ctx, &collection, &problems)?;
    }
    Ok(())
}

fn repair_one(ctx: &mut Context<'_>, collection: &CollectionInfo, problems: &[Problem]) -> Result<()> {
    let of = |kinds: &[&'static super::super::Kind]| -> Vec<Problem> {
        problems.iter().filter(|problem| kinds.contains(&problem.kind)).cloned().collect()
    };
    let extra = of(&[table::STREAM_EXTRA]);
    if !extra.is_empty() {
        return take_extra(ctx, collection, &extra);
    }
    if !of(&[table::STREAM_MISSING, table::STREAM_SIZE]).is_empty() {
        if agree::repair(ctx, collection)? {
            return Ok(());
        }
        return rows::restore_lengths(ctx, collection);
    }
    let keys = of(&[table::KEY_END, table::KEY_TEXT, table::KEY_TWICE, table::KEYS_LENGTH]);
    if !keys.is_empty() {
        let twice = keys.iter().filter(|problem| problem.kind == table::KEY_TWICE);
        let lost: Vec<u64> = twice.filter_map(|problem| problem.other).collect();
        return rows::rewrite_keys(ctx, collection, &lost);
    }
    let texts = of(&[table::PAYLOAD_END, table::PAYLOAD_TEXT, table::PAYLOAD_LENGTH]);
    if !texts.is_empty() {
        return payload::rewrite(ctx, collection);
    }
    let ids = of(&[table::ID_TWICE, table::ID_RANGE]);
    let damaged: Vec<u64> = ids
        .iter()
        .filter_map(|problem| if problem.kind == table::ID_TWICE { problem.other } else { problem.place.row })
        .collect();
    if !damaged.is_empty() {
        return rows::give_new_ids(ctx, collection, &damaged);
    }
    let hashes: Vec<(u64, Vec<u8>)> = of(&[table::KEY_HASH])
        .iter()
        .filter_map(|problem| {
            let text = problem.expected.as_deref()?.strip_prefix("0x")?;
            let hash = u64::from_str_radix(text, 16).ok()?;
            Some((problem.place.row? * 8, hash.to_le_bytes().to_vec()))
        })
        .collect();
    if !hashes.is_empty() {
        let mend = Mend { patches: hashes.into_iter().collect(), ..Mend::default() };
        let stream = [(InodeNo(collection.streams[5]), mend)];
        batch::run(&mut ctx.volume, &mut ctx.reporter, &stream, |txn, (ino, mend)| {
            mapping::mend(txn, *ino, mend)
        })?;
    }
    if !of(&[table::DELETED_BEYOND]).is_empty() {
        clear_beyond(ctx, collection)?;
    }
    let counters = of(&[table::LIVE_ROWS, table::NEXT_ID]);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &counters, |txn, problem| {
        let number = problem.expected.as_deref().and_then(|text| text.parse().ok());
        edit(txn, collection, |desc| {
            let field =
                if problem.kind == table::LIVE_ROWS { &mut desc.live_rows } else { &mut desc.next_id };
            *field = U64::new(number.unwrap_or(field.get()));
        })
    })
}

/// Changes the descriptor of a collection.
pub(super) fn edit(
    txn: &mut Transaction<'_>,
    collection: &CollectionInfo,
    change: impl FnOnce(&mut CollectionDesc),
) -> Result<()> {
    let inode = inode::read(txn, InodeNo(collection.ino))?;
    let place = BlockNo(inode.descriptor.get());
    let bytes = txn.read_block(place)?;
    let mut desc = CollectionDesc::decode(&bytes, place, inode.number(), txn.seed())?;
    change(&mut desc);
    // Rows that are gone may have been those of an import that is not finished.
    desc.forget_impossible();
    txn.write_collection_desc(&inode, &desc);
    Ok(())
}

/// Takes streams into account that the descriptor does not know of, where they have the lengths of its rows; others get a name in
/// lost+found.
fn take_extra(ctx: &mut Context<'_>, collection: &CollectionInfo, extra: &[Problem]) -> Result<()> {
    let size = |name: &str| {
        let stream = STREAMS.iter().position(|stream| *stream == name)?;
        ctx.read_inode(collection.streams[stream]).map(|inode| inode.size.get())
    };
    let numbers = Some(collection.desc.rows.get().saturating_mul(8));
    let has_ids = size(STREAM_IDS) == numbers;
    let has_keys =
        size(STREAM_KEYS).is_some() && size(STREAM_KEY_ENDS) == numbers && size(STREAM_KEY_HASHES) == numbers;
    let has_payload = size(STREAM_PAYLOAD).is_some() && size(STREAM_PAYLOAD_ENDS) == numbers;
    let (mut flags, mut takes_payload) = (0, false);
    let mut moved: Vec<(String, InodeNo)> = Vec::new();
    for name in extra.iter().filter_map(|problem| problem.name.as_deref()) {
        match name {
            STREAM_IDS if has_ids => flags |= FLAG_IDS,
            STREAM_KEYS | STREAM_KEY_ENDS | STREAM_KEY_HASHES if has_keys => flags |= FLAG_KEYS,
            STREAM_PAYLOAD | STREAM_PAYLOAD_ENDS if has_payload => takes_payload = true,
            _ => {
                let stream = STREAMS.iter().position(|stream| *stream == name).unwrap_or(0);
                moved.push((name.to_owned(), InodeNo(collection.streams[stream])));
            }
        }
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &moved, |txn, (name, ino)| {
        dir::remove(txn, InodeNo(collection.ino), name.as_bytes())?;
        connect::keep(txn, *ino)
    })?;
    if flags > 0 || takes_payload {
        batch::run(&mut ctx.volume, &mut ctx.reporter, &[flags], |txn, &flags| {
            edit(txn, collection, |desc| {
                desc.set(flags);
                desc.set_payload(takes_payload || desc.has_payload());
            })
        })?;
    }
    Ok(())
}

/// Clears the marks of deleted rows behind the last row.
fn clear_beyond(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let rows = collection.desc.rows.get();
    let stream = collection.streams[6];
    let Some(content) = Content::open(ctx, stream) else { return Ok(()) };
    let mut patches = BTreeMap::new();
    if !rows.is_multiple_of(8)
        && let Some(bytes) = content.raw(&*ctx.volume.dev, rows / 8..rows / 8 + 1)
    {
        patches.insert(rows / 8, vec![bytes[0] & ((1 << (rows % 8)) - 1)]);
    }
    let size = content.size.min(rows.div_ceil(8));
    let mend = Mend { patches, size: Some(size), clear_tail: true, ..Mend::default() };
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[(InodeNo(stream), mend)], |txn, (ino, mend)| {
        mapping::mend(txn, *ino, mend)
    })
}

/// Writes a stream of a collection as a whole; it is made where it is missing.
pub(super) fn write_stream(
    txn: &mut Transaction<'_>,
    collection: &CollectionInfo,
    name: &str,
    mut part: impl FnMut(u64) -> Option<Vec<u8>>,
) -> Result<()> {
    let ino = InodeNo(collection.ino);
    let directory = inode::read(txn, ino)?;
    let stream = match dir::lookup(txn, &directory, name.as_bytes())? {
        Some(entry) => entry.inode,
        None => txn.create(ino, name.as_bytes(), InodeKind::Stream, 0o644)?.number(),
    };
    let mut writer = FileWriter::replace(txn, stream, BlockUse::Vectors)?;
    let mut at = 0;
    while let Some(bytes) = part(at) {
        at += bytes.len() as u64;
        writer.write(txn, &bytes)?;
    }
    writer.finish(txn).map(drop)
}

/// The parts in which a stream of `len` bytes is read.
pub(super) fn parts(len: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..len.div_ceil(CHUNK_BYTES)).map(move |n| n * CHUNK_BYTES..len.min((n + 1) * CHUNK_BYTES))
}

/// The name under which what is saved of a collection goes to lost+found.
pub(super) fn saved_name(collection: &CollectionInfo, what: &str) -> String {
    format!("#{}-{what}", collection.ino)
}

#[cfg(test)]
mod tests {
    use zerocopy::little_endian::U32;

    use super::*;

    fn sizes(name: &str) -> Option<u64> {
        match name {
            STREAM_VECTORS => Some(64 * 100),
            STREAM_ROW_SUMS => Some(400),
            _ => None,
        }
    }

    #[test]
    fn a_descriptor_is_derived_where_only_one_agrees_with_the_streams() {
        let sound = CollectionDesc::new(16, DType::F32, Metric::L2, 5);
        let derive = |change: fn(&mut CollectionDesc)| {
            let mut desc = sound;
            change(&mut desc);
            agreeing(desc, sizes).map(|desc| (desc.dim.get(), desc.dtype(), desc.rows.get()))
        };
        assert_eq!(derive(|_| ()), Some((16, DType::F32, 100)));
        assert_eq!(derive(|desc| desc.dtype = 99), Some((16, DType::F32, 100)));
        assert_eq!(derive(|desc| desc.dim = U32::new(0)), Some((16, DType::F32, 100)));
        assert_eq!(derive(|desc| (desc.dim, desc.dtype) = (U32::new(32), 99)), None, "f16 or bf16");
        assert_eq!(derive(|desc| desc.metric = 77), None, "which distance?");
        // An import that is not finished is still known, unless it would begin behind the rows.
        let import = |first: u64| {
            let mut desc = sound;
            desc.set(FLAG_IMPORTING);
            (desc.dim, desc.import_source, desc.import_first) = (U32::new(0), U64::new(7), U64::new(first));
            desc.set_model("m");
            let desc = agreeing(desc, sizes).expect("a descriptor");
            (desc.has(FLAG_IMPORTING), desc.import_source.get(), desc.model().map(str::to_owned))
        };
        assert_eq!(import(100), (true, 7, Some("m".into())));
        assert_eq!(import(101), (false, 0, Some("m".into())));
    }
}
