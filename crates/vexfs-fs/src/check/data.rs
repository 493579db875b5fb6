//! Reading the contents of a file against their checksums, at the speed of the device and past what cannot be read.
//!
//! The data is read in large chunks by two threads: one verifies what it has read while the other reads. A chunk that cannot be
//! read is read block by block, so that each bad block is found and only the bad ones are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use vexfs_device::Device;
use vexfs_format::extent::SUMS_BASE;

use super::content::{Content, NoSums, Sums};
use super::context::{Context, reason};
use super::problem::Problem;
use super::table;
use crate::error::Result;

/// Bytes that are read at a time: they stay in a second-level cache until they are verified.
const CHUNK_BYTES: u64 = 256 << 10;
/// Bytes between two looks at whether to go on; at least a chunk for each thread many times over.
const BATCH_BYTES: u64 = 64 << 20;
/// Threads that read and verify.
const THREADS: usize = 2;

/// A run of data blocks that are not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// First logical block.
    pub(super) logical: u64,
    /// Its block on the device.
    pub(super) block: u64,
    /// Number of blocks.
    pub(super) len: u64,
    pub(super) what: What,
}

/// Why a data block is not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its bytes do not agree with its checksum.
    Damaged,
    /// It cannot be read, as the words say.
    Unreadable(String),
    /// Its checksum is not known.
    Unproven,
    /// It is the last one, and not zero behind the end of the file; what belongs to the file is sound.
    Tail,
}

/// A piece of a file to be read at once: logical block, block on the device, length.
type Chunk = (u64, u64, u64);

/// Verifies all blocks of a file and reports what is wrong; `after` is told of the blocks done and of their faults, a batch at
/// a time.
pub(super) fn verify(
    ctx: &mut Context<'_>,
    content: &Content,
    mut after: impl FnMut(&mut Context<'_>, u64, &[Fault]) -> Result<()>,
) -> Result<()> {
    let per_chunk = CHUNK_BYTES / content.block_size as u64;
    let batch_blocks = BATCH_BYTES / content.block_size as u64;
    let mut reported = None;
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut blocks = 0;
    let mut runs = content.extents.range(0, content.blocks).peekable();
    while let Some((mut logical, mut block, mut len)) = runs.next() {
        while len > 0 {
            let take = len.min(per_chunk);
            chunks.push((logical, block, take));
            (logical, block, len) = (logical + take, block + take, len - take);
            blocks += take;
            if blocks >= batch_blocks || (len == 0 && runs.peek().is_none()) {
                let sums = content
                    .sums(&*ctx.volume.dev, chunks.iter().map(|&(logical, _, len)| logical..logical + len));
                for (index, fault) in sums.faults() {
                    // One that covers several batches is reported with the first.
                    if reported < Some(index) {
                        reported = Some(index);
                        report_sums(ctx, content, index, fault)?;
                    }
                }
                let faults = read_batch(&*ctx.volume.dev, content, &sums, &chunks);
                for fault in &faults {
                    report_fault(ctx, content, fault)?;
                }
                after(ctx, blocks, &faults)?;
                chunks.clear();
                blocks = 0;
            }
        }
    }
    Ok(())
}

/// Verifies the checksum blocks of a file only.
pub(super) fn verify_sums(ctx: &mut Context<'_>, content: &Content) -> Result<()> {
    let count = content.blocks.div_ceil(content.per_sums_block());
    for (logical, _, len) in content.extents.range(SUMS_BASE, SUMS_BASE + count) {
        for index in logical - SUMS_BASE..logical - SUMS_BASE + len {
            if let Err(fault) = content.read_sums_block(&*ctx.volume.dev, index) {
                report_sums(ctx, content, index, &fault)?;
            }
        }
    }
    Ok(())
}

fn report_sums(ctx: &mut Context<'_>, content: &Content, index: u64, fault: &NoSums) -> Result<()> {
    let at =
        |kind, block: u64| Problem::new(kind).inode(content.ino.get()).block(block).name(index.to_string());
    match fault {
        NoSums::NotMapped => Ok(()),
        NoSums::Damaged(block, found) | NoSums::Unreadable(block, found) if content.is_of_index => {
            ctx.report(at(table::INDEX_SUMS, *block).found(found))
        }
        NoSums::Damaged(block, found) => ctx.report(at(table::SUMS_DAMAGED, *block).found(found)),
        NoSums::Unreadable(block, found) => ctx.report(at(table::SUMS_UNREADABLE, *block).found(found)),
    }
}

fn report_fault(ctx: &mut Context<'_>, content: &Content, fault: &Fault) -> Result<()> {
    let kind = match fault.what {
        What::Damaged | What::Tail if content.is_of_index => table::INDEX_DATA,
        What::Unreadable(_) if content.is_of_index => table::INDEX_UNREADABLE,
        What::Damaged | What::Unreadable(_) if content.is_known_lost => table::DATA_LOST,
        What::Damaged => table::DATA_DAMAGED,
        What::Unreadable(_) => table::DATA_UNREADABLE,
        What::Tail => table::TAIL,
        // Reported with the checksum block.
        What::Unproven => return Ok(()),
    };
    let logical = match fault.len {
        1 => fault.logical.to_string(),
        len => format!("{} to {}", fault.logical, fault.logical + len - 1),
    };
    let mut problem =
        Problem::new(kind).inode(content.ino.get()).blocks(fault.block, fault.len).name(logical);
    if let What::Unreadable(reason) = &fault.what {
        problem = problem.found(reason);
    }
    ctx.report(problem)
}

/// Reads and verifies `chunks`, and returns what is not proven in logical order, joined into runs.
fn read_batch(dev: &dyn Device, content: &Content, sums: &Sums, chunks: &[Chunk]) -> Vec<Fault> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Fault>> = Mutex::default();
    let work = || {
        let longest = chunks.iter().map(|&(_, _, len)| len).max().unwrap_or(0);
        let mut buffer = vec![0; longest as usize * content.block_size];
        while let Some(&chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let faults = read_chunk(dev, content, sums, chunk, &mut buffer);
            if !faults.is_empty() {
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
            }
        }
    };
    if chunks.len() < THREADS * 2 {
        work();
    } else {
        thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(work);
            }
            work();
        });
    }
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_unstable_by_key(|fault| fault.logical);
    join(found)
}

fn read_chunk(
    dev: &dyn Device,
    content: &Content,
    sums: &Sums,
    (logical, block, len): Chunk,
    buffer: &mut [u8],
) -> Vec<Fault> {
    let size = content.block_size;
    let bytes = &mut buffer[..len as usize * size];
    let is_whole = dev.read_at(block.saturating_mul(size as u64), bytes).is_ok();
    let mut faults = Vec::new();
    for (n, bytes) in (0..len).zip(bytes.chunks_exact_mut(size)) {
        let mut add = |what| faults.push(Fault { logical: logical + n, block: block + n, len: 1, what });
        if !is_whole && let Err(e) = dev.read_at((block + n).saturating_mul(size as u64), bytes) {
            add(What::Unreadable(reason(&e.into())));
            continue;
        }
        match sums.get(logical + n) {
            None => add(What::Unproven),
            Some(stored) if stored != content.checksum(logical + n, bytes) => add(What::Damaged),
            Some(_) if !content.ends_in_zeros(logical + n, bytes) => add(What::Tail),
            Some(_) => {}
        }
    }
    faults
}

/// Joins neighbours with the same fault.
fn join(faults: Vec<Fault>) -> Vec<Fault> {
    let mut joined: Vec<Fault> = Vec::new();
    for fault in faults {
        match joined.last_mut() {
            Some(last)
                if last.what == fault.what
                    && last.logical + last.len == fault.logical
                    && last.block + last.len == fault.block =>
            {
                last.len += fault.len;
            }
            _ => joined.push(fault),
        }
    }
    joined
}
