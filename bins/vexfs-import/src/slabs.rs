//! The reading side of an import: rows with their identities, checked and scaled, slab by slab.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};

use anyhow::anyhow;
use vexfs_format::codes::DType;
use vexfs_io::RowSource;

use crate::ahead::Ahead;
use crate::identity::{Batch, Identities};
use crate::normalize::normalize;
use crate::payload::Payloads;
use crate::resume::{Changed, Stored};

/// Bytes of a slab: large enough that the cost of a hand-over does not show, small enough to stay in the last cache.
const SLAB_BYTES: u64 = 4 << 20;
/// Slabs under way: one being read, one waiting, one being written.
pub(crate) const SLABS: usize = 3;

/// Packed rows and how they are called.
pub(crate) struct Slab {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: usize,
    pub(crate) identities: Batch,
    /// What else is known of each; `None` if nothing is of any.
    pub(crate) payload: Option<Vec<String>>,
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
    /// Payload in a file of its own; without it, the files of vectors have it, as far as there is any.
    pub(crate) payload: Option<Payloads>,
    pub(crate) dtype: DType,
    pub(crate) dim: usize,
    /// Whether rows are scaled to length 1.
    pub(crate) is_scaled: bool,
    /// Rows that are stored already, which are compared and passed over.
    pub(crate) stored: Option<Stored>,
}

/// Slabs, and the way back for their buffers.
pub(crate) struct Slabs {
    full: Ahead<anyhow::Result<Slab>>,
    empty: Sender<Vec<u8>>,
}

impl Slabs {
    /// Begins to read. `memory` bounds the bytes of rows under way; with one of `threads`, reading and writing take turns.
    pub(crate) fn start(input: Input, memory: u64, threads: usize, untouched: &str) -> anyhow::Result<Self> {
        // The size of a slab shows in where streams of unknown length lie on the device; threads must not.
        let slab_bytes = SLAB_BYTES.min(memory / SLABS as u64) as usize;
        let count = if threads == 1 { 1 } else { SLABS };
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
                let most = match &mut self.payload {
                    Some(payload) => payload.rows_within(max_rows, slab_bytes)?,
                    None => max_rows,
                };
                let stored = self.stored.as_ref().and_then(|stored| usize::try_from(stored.left()).ok());
                let most = most.min(stored.unwrap_or(most));
                let rows = source.read_rows(&mut bytes, most)?;
                if rows == 0 {
                    spare = Some(bytes);
                    break;
                }
                prepare(&mut bytes, (self.dtype, self.dim), self.is_scaled)
                    .map_err(|(row, problem)| anyhow!("{file}: row {}: {problem}", first + row as u64))?;
                let identities = self.identities.next(rows, &mut *source)?;
                let payload = match &mut self.payload {
                    Some(payload) => Some(payload.next(rows)?),
                    None => source.beside().and_then(|beside| beside.take_payload()),
                };
                if let Some(stored) = &mut self.stored {
                    stored
                        .compare(&bytes)
                        .map_err(|row| Changed { file: file.to_string(), row: first + row as u64 })?;
                    self.stored = self.stored.take_if(|stored| stored.left() > 0);
                    first += rows as u64;
                    spare = Some(bytes);
                    continue;
                }
                let slab = Slab { bytes, rows, identities, payload, file: file.clone(), first };
                first += rows as u64;
                if sender.send(Ok(slab)).is_err() {
                    return Ok(());
                }
            }
            total += first;
        }
        if let Some(payload) = &mut self.payload {
            payload.finish(total)?;
        }
        self.identities.finish(total)
    }
}

/// Scales rows where that is asked for, and makes sure that packed bits end with the dimension.
///
/// # Errors
/// The index of a row that cannot be stored, and why.
fn prepare(
    rows: &mut [u8],
    (dtype, dim): (DType, usize),
    is_scaled: bool,
) -> Result<(), (usize, &'static str)> {
    if is_scaled {
        normalize(rows, dtype, dim).map_err(|row| (row, "has length 0 and cannot be scaled"))?;
    }
    if dtype == DType::B1 && !dim.is_multiple_of(8) {
        let beyond = |row: &[u8]| row.last().is_some_and(|&byte| byte >> (dim % 8) != 0);
        if let Some(row) = rows.chunks_exact(dim.div_ceil(8)).position(beyond) {
            return Err((row, "has bits set behind the last dimension of the collection"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bits_end_with_the_dimension() {
        let check = |rows: &[u8], dim| prepare(&mut rows.to_vec(), (DType::B1, dim), false).map_err(|e| e.0);
        assert_eq!(check(&[0xFF, 0x01, 0x00, 0x01], 9), Ok(()));
        assert_eq!(check(&[0xFF, 0x01, 0x00, 0x02], 9), Err(1));
        assert_eq!(check(&[0xFF, 0xFF], 16), Ok(()));
    }
}
