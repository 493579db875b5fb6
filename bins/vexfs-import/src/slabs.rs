//! The reading side of an import: rows with their identities, checked and scaled, slab by slab.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};

use anyhow::bail;
use vexfs_format::codes::DType;
use vexfs_io::RowSource;

use crate::ahead::Ahead;
use crate::identity::{Batch, Identities};
use crate::normalize::normalize;

/// Bytes of a slab: large enough that the cost of a hand-over does not show, small enough to stay in the last cache.
const SLAB_BYTES: u64 = 4 << 20;
/// Slabs under way: one being read, one waiting, one being written.
const SLABS: usize = 3;

/// Packed rows and how they are called.
pub(crate) struct Slab {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: usize,
    pub(crate) identities: Batch,
    /// The file they come from, for messages.
    pub(crate) file: Arc<str>,
    /// Number of the first row in that file.
    pub(crate) first: u64,
}

/// All that is to be read.
pub(crate) struct Input {
    /// Files with their names for messages.
    pub(crate) sources: Vec<(Arc<str>, Box<dyn RowSource>)>,
    pub(crate) identities: Identities,
    /// Element type and dimension, if rows are scaled to length 1.
    pub(crate) scaled: Option<(DType, usize)>,
}

/// Slabs, and the way back for their buffers.
pub(crate) struct Slabs {
    full: Ahead<anyhow::Result<Slab>>,
    empty: Sender<Vec<u8>>,
}

impl Slabs {
    /// Begins to read. `memory` bounds the bytes of rows under way; with one of `threads`, reading and writing take turns.
    pub(crate) fn start(input: Input, memory: u64, threads: usize, untouched: &str) -> anyhow::Result<Self> {
        let count = if threads == 1 { 1 } else { SLABS };
        let slab_bytes = SLAB_BYTES.min(memory / count as u64) as usize;
        let (empty, buffers) = channel();
        for _ in 0..count {
            // The receiver is in this function.
            let _ = empty.send(Vec::new());
        }
        let full = Ahead::start(untouched, 1, move |sender| {
            if let Err(error) = input.read(slab_bytes, &buffers, &sender) {
                // Nobody listens when the writing side has failed, or was told to stop.
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(Self { full, empty })
    }

    /// The next slab, `None` after the last.
    ///
    /// # Errors
    /// [`Interrupted`](vexfs_cli::Interrupted); what is wrong with a file, a row or an identity.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Slab>> {
        self.full.next()?.transpose()
    }

    /// Gives the buffer of a slab back to be filled again.
    pub(crate) fn give_back(&self, slab: Slab) {
        // After the last slab nobody fills it.
        let _ = self.empty.send(slab.bytes);
    }
}

impl Input {
    fn read(
        mut self,
        slab_bytes: usize,
        buffers: &Receiver<Vec<u8>>,
        sender: &SyncSender<anyhow::Result<Slab>>,
    ) -> anyhow::Result<()> {
        let mut total = 0;
        let mut spare = None;
        for (file, mut source) in self.sources {
            let max_rows = source.rows_within(slab_bytes);
            let mut first = 0;
            loop {
                let Some(mut bytes) = spare.take().or_else(|| buffers.recv().ok()) else { return Ok(()) };
                let rows = source.read_rows(&mut bytes, max_rows)?;
                if rows == 0 {
                    spare = Some(bytes);
                    break;
                }
                if let Some((dtype, dim)) = self.scaled
                    && let Err(row) = normalize(&mut bytes, dtype, dim)
                {
                    bail!("{file}: row {}: has length 0 and cannot be scaled", first + row as u64);
                }
                let identities = self.identities.next(rows)?;
                let slab = Slab { bytes, rows, identities, file: file.clone(), first };
                first += rows as u64;
                if sender.send(Ok(slab)).is_err() {
                    return Ok(());
                }
            }
            total += first;
        }
        self.identities.finish(total)
    }
}
