//! Writing the files of an index to fresh blocks: its parts, its description, its calibration.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use vexfs_ann::calibrate::{self, Calibration, DEFAULT_QUERIES, Sample};
use vexfs_ann::index::image::MAX_ROWS;
use vexfs_ann::index::{self, Build, Index, IndexError, IndexSpec, Progress, Search, SearchStats};
use vexfs_ann::{DType, Metric, TopK};
use vexfs_device::LARGE_PAGE;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::inode::Inode;

use super::bytes::RowBytes;
use super::files::{CALIBRATION, SPEC, file_name};
use super::{fault, problem};
use crate::alloc::BlockUse;
use crate::collection::Collection;
use crate::collection::rows::{Deletions, Rows};
use crate::error::{FsError, Result};
use crate::file::FileWriter;
use crate::inode;
use crate::search::{dtype, metric};
use crate::txn::transaction::Transaction;
use crate::view::FileView;
use crate::volume::Volume;

/// Bytes of an image that are gathered before they are written: the page cache makes large pages of writes that fill some.
const BUFFER_BYTES: usize = 2 * LARGE_PAGE;

/// Most parts that one build may make: each is searched for itself, so that an index of thousands would be slower than none.
const MAX_PARTS: u64 = 256;

/// The rows that an index is built of, and how.
pub(super) struct Source<'a> {
    path: String,
    name: &'a str,
    spec: &'a IndexSpec,
    rows: Rows,
    deletions: Deletions,
    dim: usize,
    dtype: DType,
    metric: Metric,
    generation: u64,
    seed: u64,
    memory: u64,
    pool: rayon::ThreadPool,
}

/// A part that was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenPart {
    /// The rows it covers.
    pub rows: Range<u64>,
    /// Bytes of its image; 0 before it was written.
    pub bytes: u64,
    /// Its stream, once it was written.
    pub inode: InodeNo,
}

impl<'a> Source<'a> {
    /// Opens the rows of `collection` for the index `name`.
    pub(super) fn open(
        volume: &Volume,
        collection: &Collection,
        (name, spec): (&'a str, &'a IndexSpec),
        threads: usize,
        memory: u64,
    ) -> Result<Self> {
        collection.check_rows(volume)?;
        let rows = collection.open_rows(volume)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        Ok(Self {
            path: collection.path.clone(),
            name,
            spec,
            rows,
            deletions: collection.deletions(volume)?,
            dim: collection.dim(),
            dtype: dtype(collection.desc.dtype()),
            metric: metric(collection.desc.metric()),
            generation: collection.desc.generation.get(),
            seed: volume.sb.random_seed.get(),
            memory,
            pool: pool.map_err(|e| problem(&collection.path, name, format!("cannot start threads: {e}")))?,
        })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> u64 {
        self.rows.len()
    }

    /// How many rows from `from` on one part covers, at most.
    pub(super) fn rows_in_part(&self, from: u64, progress: &dyn Progress) -> Result<u64> {
        let rows = self.row_bytes();
        let build = self.build(&rows, from..self.len(), progress);
        let most =
            index::rows_within_memory(self.spec, &build).map_err(|e| fault(&self.path, self.name, e))?;
        Ok(most.clamp(1, MAX_ROWS))
    }

    /// The parts that would cover `range`; one over no rows if it is empty.
    ///
    /// # Errors
    /// [`FsError::Index`] if there is so little memory that there would be more than [`MAX_PARTS`].
    pub(super) fn plan_parts(&self, range: Range<u64>, progress: &dyn Progress) -> Result<Vec<WrittenPart>> {
        let most = self.rows_in_part(range.start, progress)?;
        let rows = range.end - range.start;
        let count = rows.div_ceil(most);
        if count > MAX_PARTS {
            let what = format!(
                "{} bytes of memory are enough for {most} of {rows} rows at a time, which would make {count} parts of it; {MAX_PARTS} are allowed: allow more memory",
                self.memory
            );
            return Err(problem(&self.path, self.name, what));
        }
        // Of one size, rather than many full ones and a small one.
        let per_part = rows.div_ceil(count.max(1)).max(1);
        let part =
            |start| WrittenPart { rows: start..range.end.min(start + per_part), bytes: 0, inode: InodeNo(0) };
        let mut parts = vec![part(range.start)];
        while let Some(last) = parts.last().filter(|last| last.rows.end < range.end) {
            parts.push(part(last.rows.end));
        }
        Ok(parts)
    }

    /// Builds parts from number `first` on over `range` and writes them into `directory`; one over no rows if it is empty.
    ///
    /// # Durability
    /// The images lie in fresh blocks that nothing refers to before the transaction commits.
    pub(super) fn write_parts(
        &self,
        txn: &mut Transaction<'_>,
        directory: InodeNo,
        first: u32,
        range: Range<u64>,
        progress: &dyn Progress,
    ) -> Result<Vec<WrittenPart>> {
        let mut parts = self.plan_parts(range, progress)?;
        for (number, part) in (first..).zip(&mut parts) {
            let name = file_name(self.name, number);
            let inode = self.write_part(txn, directory, &name, part.rows.clone(), progress)?;
            (part.bytes, part.inode) = (inode.size.get(), inode.number());
        }
        Ok(parts)
    }

    /// Writes the description by which the index can be extended and built again.
    pub(super) fn write_spec(&self, txn: &mut Transaction<'_>, directory: InodeNo) -> Result<()> {
        write_small(txn, directory, &file_name(self.name, SPEC), self.spec.to_string().as_bytes())
    }

    /// Measures the recall of parts that cover the rows `0 .. end` and writes it beside them; false if there is nothing to measure.
    pub(super) fn calibrate(
        &self,
        txn: &mut Transaction<'_>,
        directory: InodeNo,
        parts: &[InodeNo],
        end: u64,
        progress: &dyn Progress,
    ) -> Result<bool> {
        let mut views = Vec::new();
        for &part in parts {
            let view = txn.volume.view_as_of(txn, &inode::read(txn, part)?)?;
            view.advise_random();
            views.push(view);
        }
        let calibration = self.measure(&views, end, progress).map_err(|e| fault(&self.path, self.name, e))?;
        let Some(calibration) = calibration else { return Ok(false) };
        write_small(txn, directory, &file_name(self.name, CALIBRATION), &calibration.to_bytes())?;
        Ok(true)
    }

    fn measure(
        &self,
        views: &[FileView],
        end: u64,
        progress: &dyn Progress,
    ) -> Result<Option<Calibration>, IndexError> {
        let parts: Vec<Box<dyn Index + '_>> =
            views.iter().map(|view| index::open(view)).collect::<Result<_, _>>()?;
        let Some(first) = parts.iter().max_by_key(|part| part.header().indexed) else { return Ok(None) };
        if parts.iter().all(|part| part.is_exact()) {
            return Ok(None);
        }
        let rows = self.row_bytes();
        let interrupted = || progress.is_interrupted();
        let sample = Sample {
            rows: &rows,
            metric: self.metric,
            first_row: 0,
            end_row: end,
            excluded: self.deletions.words(),
            seed: self.seed,
            queries: DEFAULT_QUERIES,
            interrupted: &interrupted,
        };
        let asked = AtomicU64::new(0);
        let search =
            |search: &Search<'_>, range: Range<usize>, tops: &mut [TopK], stats: &mut SearchStats| {
                let done = asked.fetch_add(range.len() as u64, Ordering::Relaxed);
                if done == 0 {
                    // The truth was read from front to back. What decides between candidates lies here and there: where not all
                    // rows fit into memory, reading ahead would drive out for each of them what the others need.
                    self.rows.view().advise_random();
                }
                // How many efforts are worth measuring is known when they were.
                progress.step("calibrating", done, 0);
                parts.iter().try_for_each(|part| part.search(search, range.clone(), tops, stats))
            };
        let efforts = |k| first.efforts(k);
        let calibration = self.pool.install(|| calibrate::measure(&sample, &efforts, &search))?;
        Ok(Some(calibration).filter(|calibration| !calibration.curves.is_empty()))
    }

    fn write_part(
        &self,
        txn: &mut Transaction<'_>,
        directory: InodeNo,
        name: &str,
        part: Range<u64>,
        progress: &dyn Progress,
    ) -> Result<Inode> {
        let ino = txn.create(directory, name.as_bytes(), InodeKind::Stream, 0o644)?.number();
        let writer = FileWriter::append(txn, ino, BlockUse::Vectors)?;
        let mut out = StreamOut { txn, writer, buffer: Vec::new(), failed: None };
        let outcome = self.pool.install(|| {
            let rows = self.row_bytes();
            let build = self.build(&rows, part, progress);
            index::build(self.spec, &build, &mut out)?;
            out.flush().map_err(IndexError::from)
        });
        let StreamOut { txn, writer, failed, .. } = out;
        if let Some(error) = failed {
            return Err(error);
        }
        outcome.map_err(|e| fault(&self.path, self.name, e))?;
        writer.finish(txn)
    }

    fn row_bytes(&self) -> RowBytes<'_> {
        RowBytes { rows: &self.rows, dim: self.dim, dtype: self.dtype }
    }

    fn build<'b>(
        &'b self,
        rows: &'b RowBytes<'b>,
        part: Range<u64>,
        progress: &'b dyn Progress,
    ) -> Build<'b> {
        Build {
            rows,
            metric: self.metric,
            first_row: part.start,
            end_row: part.end,
            excluded: self.deletions.words(),
            generation: self.generation,
            seed: self.seed,
            memory: self.memory,
            progress,
        }
    }
}

/// Writes a new stream that fits into memory.
fn write_small(txn: &mut Transaction<'_>, directory: InodeNo, name: &str, bytes: &[u8]) -> Result<()> {
    let ino = txn.create(directory, name.as_bytes(), InodeKind::Stream, 0o644)?.number();
    let mut writer = FileWriter::append(txn, ino, BlockUse::Vectors)?;
    writer.write(txn, bytes)?;
    writer.finish(txn)?;
    Ok(())
}

/// A stream of the filesystem as something to write to.
struct StreamOut<'t, 'v> {
    txn: &'t mut Transaction<'v>,
    writer: FileWriter,
    buffer: Vec<u8>,
    /// Why it could not be written: more than an [`io::Error`] can say.
    failed: Option<FsError>,
}

impl Write for StreamOut<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // No more than fits: an image may hand over half of the memory that its build may take.
        let room = BUFFER_BYTES - self.buffer.len();
        let some = &bytes[..bytes.len().min(room)];
        self.buffer.extend_from_slice(some);
        if some.len() == room {
            self.flush()?;
        }
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.write(self.txn, &self.buffer).map_err(|error| {
            let copy = io::Error::other(error.to_string());
            self.failed = Some(error);
            copy
        })?;
        self.buffer.clear();
        Ok(())
    }
}
