//! Rows of a binary format as [`RowSource`]: read in pieces, checked, converted.

use crate::beside::Beside;
use crate::convert::{Converter, Fault};
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place};
use crate::raw::RawRows;
use crate::source::{OpenOptions, RowSource};

/// How many bytes are read before they are checked: little enough that the check finds them in the level-2 cache, enough
/// that the system calls do not count.
const PIECE_BYTES: usize = 256 << 10;

/// The most bytes delivered at once, whatever the caller asks for: a guard against a budget given in the wrong unit.
const MAX_SLAB_BYTES: usize = 1 << 30;

/// Delivers the rows of `R` as packed rows of the target type.
///
/// Rows are read straight into the caller's vector when no conversion is needed.
pub(crate) struct Converted<R> {
    raw: R,
    converter: Converter,
    /// Source rows of a piece that has to be converted.
    scratch: Vec<u8>,
    /// Set at the end and by an error: what lies behind it is not delivered.
    ended: bool,
}

impl<R: RawRows> Converted<R> {
    /// Chooses the conversion.
    pub(crate) fn new(raw: R, options: &OpenOptions) -> Self {
        let target = options.target.unwrap_or(raw.element().default_target());
        let converter = Converter::new(raw.element(), target, raw.columns());
        Converted { raw, converter, scratch: Vec::new(), ended: false }
    }

    /// What the rows are read from.
    pub(crate) fn raw(&self) -> &R {
        &self.raw
    }

    /// Reads one piece of whole rows into `out` and returns how many there were.
    fn read_piece(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        let first_row = self.raw.next_row();
        let row_bytes = self.converter.target_row_bytes();
        let (rows, result);
        if self.converter.keeps_bytes() {
            rows = self.raw.fill(out)?;
            result = self.converter.check(&out[..rows * row_bytes]);
        } else {
            let source_row_bytes = self.converter.source_row_bytes();
            self.scratch.resize(out.len() / row_bytes * source_row_bytes, 0);
            rows = self.raw.fill(&mut self.scratch)?;
            let source = &self.scratch[..rows * source_row_bytes];
            result = self.converter.convert(source, &mut out[..rows * row_bytes]);
        }
        result.map(|()| rows).map_err(|Fault { row, column, problem }| {
            IoError::new(self.raw.name(), Place::Element { row: first_row + row, column }, problem)
        })
    }
}

impl<R: RawRows> RowSource for Converted<R> {
    fn rows(&self) -> Option<u64> {
        self.raw.rows()
    }

    fn dim(&self) -> usize {
        self.converter.dim()
    }

    fn element(&self) -> ElementType {
        self.raw.element()
    }

    fn target(&self) -> TargetType {
        self.converter.target()
    }

    fn other_columns(&self) -> Vec<String> {
        self.raw.other_columns()
    }

    fn unread_columns(&self) -> Vec<String> {
        self.raw.unread_columns()
    }

    fn beside(&mut self) -> Option<&mut Beside> {
        self.raw.beside()
    }

    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        if let Some(beside) = self.raw.beside() {
            beside.begin();
        }
        let row_bytes = self.converter.target_row_bytes();
        let left = self.raw.rows().map(|rows| rows.saturating_sub(self.raw.next_row()));
        let left = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let rows = if self.ended { 0 } else { left.min(max_rows).min((MAX_SLAB_BYTES / row_bytes).max(1)) };
        let piece_rows = (PIECE_BYTES / row_bytes.max(self.converter.source_row_bytes())).max(1);

        let mut done = 0;
        while done < rows {
            let end = (done + piece_rows).min(rows);
            // Growing by pieces, because the rows of a stream are not there until they are read; what a former slab has
            // left in `out` is not zeroed again.
            if out.len() < end * row_bytes {
                out.resize(end * row_bytes, 0);
            }
            let read = match self.read_piece(&mut out[done * row_bytes..end * row_bytes]) {
                Ok(read) => read,
                Err(error) => {
                    self.ended = true;
                    out.clear();
                    return Err(error);
                }
            };
            done += read;
            if done < end {
                // Payload may make a slab shorter.
                let is_full = read > 0 && self.raw.beside().is_some_and(|beside| beside.is_full());
                self.ended = !is_full;
                break;
            }
        }
        out.truncate(done * row_bytes);
        Ok(done)
    }
}
