//! Building: a sample decides on the functions, every row is hashed, and each table is sorted and written.

use rayon::prelude::*;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::codes;
use super::hash::{Hasher, Room, key};
use super::layout::{
    BUCKETS, CODES, FUNCTIONS, FunctionRecord, GIANTS, MIDDLE, SIGNS, TABLE_ALIGNMENT, TABLES, TableRecord,
    directory_bits,
};
use super::params::{Params, Wanted, is_coded};
use super::sample::Sample;
use crate::index::image::{ImageWriter, MAX_ROWS};
use crate::index::{Build, IndexError, IndexSpec, Kind};
use crate::rng::Random;
use crate::{DType, Metric, reference};

/// Rows that one thread hashes or codes at a time.
const CHUNK: usize = 512;

/// Sets the random numbers of hashing apart from those of other kinds.
const STREAM: u64 = u64::from_le_bytes(*b"lsh hash");

/// Bytes that a build needs whatever the number of rows: the sample, and chunks under way.
const FIXED_BYTES: u64 = 240 << 20;

/// Rows that an image can cover within the memory of `build`.
///
/// # Memory
/// Per row 4 bytes for each table, and 36 for its number, the table that is sorted, and what is written of that.
pub(crate) fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    let wanted = Wanted::new(spec, build.metric)?;
    let per_row = 4 * wanted.tables as u64 + 36;
    Ok((build.memory.saturating_sub(FIXED_BYTES) / per_row).clamp(1, MAX_ROWS))
}

/// Builds the image.
pub(crate) fn build(
    spec: &IndexSpec,
    build: &Build<'_>,
    out: &mut dyn std::io::Write,
) -> Result<(), IndexError> {
    let wanted = Wanted::new(spec, build.metric)?;
    let live = build.live();
    let sample = Sample::draw(build, &live, Random::new(build.seed, STREAM))?;
    let (hasher, signs) = sample.hasher(&wanted, live.len())?;
    let sums = hash(build, &hasher, &live)?;

    let mut writer = ImageWriter::new(out);
    if let Some((space, _)) = &hasher.numbers {
        writer.section(MIDDLE)?;
        space.middle().iter().try_for_each(|value| writer.write(&value.to_le_bytes()))?;
        writer.section(SIGNS)?;
        writer.write(&signs)?;
    }
    writer.section(FUNCTIONS)?;
    hasher.functions.iter().try_for_each(|f| writer.write(FunctionRecord::new(f).as_bytes()))?;
    write_tables(build, &mut writer, &hasher.params, &live, sums)?;
    if is_coded(build.rows.dtype()) {
        write_codes(build, &mut writer, &hasher, &live)?;
    }
    if build.metric == Metric::InnerProduct {
        writer.section(GIANTS)?;
        for row in giants(build, &hasher.params, &live)? {
            writer.write(&row.to_le_bytes())?;
        }
    }
    writer.finish(&build.header(Kind::Lsh, live.len() as u64, hasher.params.to_bytes()))
}

/// Sums of the keys of all rows: live × tables.
fn hash(build: &Build<'_>, hasher: &Hasher, live: &[u32]) -> Result<Vec<u32>, IndexError> {
    let tables = hasher.params.tables;
    let mut sums = vec![0; live.len() * tables];
    let chunks = live.par_chunks(CHUNK).zip(sums.par_chunks_mut(CHUNK * tables)).enumerate();
    chunks.try_for_each_init(Room::default, |room, (at, (live_rows, sums))| {
        build.step("hashing", (at * CHUNK) as u64, live.len() as u64)?;
        let mut sums = sums.chunks_exact_mut(tables);
        each_row(build, live_rows, |_, row| {
            let Some(sums) = sums.next() else { return };
            match build.rows.dtype() {
                DType::B1 => hasher.bits(row, sums),
                dtype => hasher.row(&reference::widen(dtype, row), room, sums),
            }
        })
    })?;
    Ok(sums)
}

/// Calls `visit` with each of `rows`, ascending numbers within the image, and its bytes.
fn each_row(build: &Build<'_>, rows: &[u32], mut visit: impl FnMut(u32, &[u8])) -> Result<(), IndexError> {
    // Rows side by side are asked for at once.
    for run in rows.chunk_by(|a, b| a + 1 == *b) {
        let first = build.first_row + u64::from(run[0]);
        let vectors = build.rows.rows(first..first + run.len() as u64)?;
        run.iter().enumerate().for_each(|(at, &row)| visit(row, vectors.row(at)));
    }
    Ok(())
}

/// Writes the buckets of each table, and where they are.
fn write_tables(
    build: &Build<'_>,
    writer: &mut ImageWriter<'_>,
    params: &Params,
    live: &[u32],
    sums: Vec<u32>,
) -> Result<(), IndexError> {
    writer.section(BUCKETS)?;
    let mut records = Vec::with_capacity(params.tables);
    let mut offset = 0u64;
    for table in 0..params.tables {
        build.step("sorting", table as u64, params.tables as u64)?;
        // The row in the lower half decides ties, so that the order is that of any sort.
        let entry = |(at, row): (usize, &u32)| {
            u64::from(key(sums[at * params.tables + table])) << 32 | u64::from(*row)
        };
        let mut entries: Vec<u64> = live.par_iter().enumerate().map(entry).collect();
        entries.par_sort_unstable();
        let (bytes, buckets) = table_bytes(&entries);
        records.push(TableRecord {
            offset: U64::new(offset),
            buckets: U32::new(buckets as u32),
            directory_bits: U32::new(directory_bits(buckets)),
        });
        writer.write(&bytes)?;
        let fill = bytes.len().next_multiple_of(TABLE_ALIGNMENT as usize) - bytes.len();
        writer.write(&[0; TABLE_ALIGNMENT as usize][..fill])?;
        offset += (bytes.len() + fill) as u64;
    }
    writer.section(TABLES)?;
    writer.write(records.as_bytes())
}

/// Directory, keys, starts and rows of a table, of entries sorted by key and row; and the number of buckets.
fn table_bytes(entries: &[u64]) -> (Vec<u8>, usize) {
    let (mut keys, mut starts): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    for (at, entry) in entries.iter().enumerate() {
        let key = (entry >> 32) as u32;
        if keys.last() != Some(&key) {
            keys.push(key);
            starts.push(at as u32);
        }
    }
    starts.push(entries.len() as u32);
    let bits = directory_bits(keys.len());
    let mut bytes = Vec::with_capacity(4 * ((1 << bits) + 2 * keys.len() + entries.len() + 2));
    let mut push = |value: u32| bytes.extend_from_slice(&value.to_le_bytes());
    let mut below = 0;
    for slot in 0..=1u64 << bits {
        while keys.get(below).is_some_and(|key| u64::from(*key) < slot << (32 - bits)) {
            below += 1;
        }
        push(below as u32);
    }
    keys.iter().chain(&starts).for_each(|value| push(*value));
    entries.iter().for_each(|entry| push(*entry as u32));
    (bytes, keys.len())
}

/// Writes the code of every covered row, zeros for those that are not indexed.
fn write_codes(
    build: &Build<'_>,
    writer: &mut ImageWriter<'_>,
    hasher: &Hasher,
    live: &[u32],
) -> Result<(), IndexError> {
    writer.section(CODES)?;
    let Some((space, _)) = &hasher.numbers else { return Ok(()) };
    let bytes = codes::record_bytes(build.rows.dim());
    let covered = build.end_row - build.first_row;
    // Chunks by the dozen: written in order, made by all threads.
    let group = (CHUNK * 16) as u64;
    for start in (0..covered).step_by(group as usize) {
        build.step("coding", start, covered)?;
        let end = covered.min(start + group);
        let from = live.partition_point(|row| u64::from(*row) < start);
        let to = live.partition_point(|row| u64::from(*row) < end);
        let mut records = vec![0u8; (end - start) as usize * bytes];
        let chunks = records.par_chunks_mut(CHUNK * bytes).enumerate();
        chunks.try_for_each(|(at, records)| {
            let first = start as u32 + (at * CHUNK) as u32;
            let live = &live[from..to];
            let live = &live[live.partition_point(|row| *row < first)..];
            let live = &live[..live.partition_point(|row| u64::from(*row) < u64::from(first) + CHUNK as u64)];
            let mut place = Vec::new();
            each_row(build, live, |row, stored| {
                let wide = reference::widen(build.rows.dtype(), stored);
                if build.metric == Metric::InnerProduct {
                    place.clear();
                    place.extend(wide.iter().map(|value| f64::from(*value)));
                } else {
                    space.row(&wide, &mut place);
                }
                codes::write(&place, build.metric, &mut records[(row - first) as usize * bytes..][..bytes]);
            })
        })?;
        writer.write(&records)?;
    }
    Ok(())
}

/// The rows longer than the common norm.
fn giants(build: &Build<'_>, params: &Params, live: &[u32]) -> Result<Vec<u32>, IndexError> {
    let chunks = live.par_chunks(CHUNK).map(|live| {
        let mut giants = Vec::new();
        each_row(build, live, |row, stored| {
            let wide = reference::widen(build.rows.dtype(), stored);
            if reference::dot(&wide, &wide).sqrt() > params.norm {
                giants.push(row);
            }
        })?;
        Ok(giants)
    });
    Ok(chunks.collect::<Result<Vec<_>, IndexError>>()?.concat())
}
