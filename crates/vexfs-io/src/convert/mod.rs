//! Turns row-major source elements into packed rows of the target type, refusing every value that would change meaning.
//!
//! Floating-point numbers are rounded to the nearest number of a narrower floating-point type (ties to even);
//! everything else must be representable exactly. NaN and infinities are refused whatever the target. A u8 source read
//! as [`TargetType::B1`] is taken as bits that are packed already; any other source gives one bit per element.
//!
//! Kernels judge a whole piece without branching and only then look for the first offender, so that sound data passes at
//! the speed of memory.

mod cast;
mod finite;

use crate::element::{ElementType, TargetType};
use crate::error::Problem;

/// Whether all of these source elements are acceptable as they are.
type Check = fn(&[u8]) -> bool;

/// Writes the target elements of these source elements and tells whether all of them are sound.
type Cast = fn(&[u8], &mut [u8]) -> bool;

/// What has to be done to the elements of a row.
#[derive(Clone, Copy)]
enum Kernel {
    /// Source and target bytes are the same; `None` if every byte pattern is valid.
    Keep(Option<Check>),
    /// One element gives one element of another type.
    Cast(Cast),
    /// One element gives one bit; applied row by row because each row starts a byte.
    Pack(Cast),
}

/// Converts rows of one source type and width to one target type.
pub(crate) struct Converter {
    element: ElementType,
    target: TargetType,
    columns: usize,
    kernel: Kernel,
}

/// The first element that cannot be converted.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Row, counted from the first row given.
    pub(crate) row: u64,
    /// Column of the source.
    pub(crate) column: u64,
    /// What is wrong with it.
    pub(crate) problem: Problem,
}

impl Converter {
    /// Prepares the conversion of rows of `columns` elements (at least one).
    pub(crate) fn new(element: ElementType, target: TargetType, columns: usize) -> Self {
        let kernel = match (element, target) {
            (ElementType::U8, TargetType::U8 | TargetType::B1) | (ElementType::I8, TargetType::I8) => {
                Kernel::Keep(None)
            }
            (ElementType::F32, TargetType::F32) => Kernel::Keep(Some(finite::all_f32)),
            (ElementType::F16, TargetType::F16) => Kernel::Keep(Some(finite::all_f16)),
            (ElementType::BF16, TargetType::BF16) => Kernel::Keep(Some(finite::all_bf16)),
            (_, TargetType::B1) => Kernel::Pack(cast::packer(element)),
            _ => Kernel::Cast(cast::caster(element, target)),
        };
        Converter { element, target, columns, kernel }
    }

    /// Type of the rows delivered.
    pub(crate) fn target(&self) -> TargetType {
        self.target
    }

    /// Components of a delivered row: the columns of the source, or eight times as many for bits packed in u8.
    pub(crate) fn dim(&self) -> usize {
        match (self.element, self.target) {
            (ElementType::U8, TargetType::B1) => self.columns * 8,
            _ => self.columns,
        }
    }

    /// Length in bytes of a row as the source has it.
    pub(crate) fn source_row_bytes(&self) -> usize {
        self.columns * self.element.bytes()
    }

    /// Length in bytes of a row as it is delivered.
    pub(crate) fn target_row_bytes(&self) -> usize {
        self.target.row_bytes(self.dim())
    }

    /// Whether source rows are target rows, so that they can be read where they are needed and only [checked](Self::check).
    pub(crate) fn keeps_bytes(&self) -> bool {
        matches!(self.kernel, Kernel::Keep(_))
    }

    /// Checks whole rows that are kept as they are.
    pub(crate) fn check(&self, rows: &[u8]) -> Result<(), Fault> {
        match self.kernel {
            Kernel::Keep(Some(check)) if !check(rows) => Err(self.locate(rows, check)),
            _ => Ok(()),
        }
    }

    /// Converts whole rows from `rows` into `out`, which is exactly as long as as many delivered rows.
    pub(crate) fn convert(&self, rows: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        match self.kernel {
            Kernel::Keep(_) => {
                out.copy_from_slice(rows);
                self.check(rows)
            }
            Kernel::Cast(cast) => {
                if cast(rows, out) {
                    return Ok(());
                }
                let mut scratch = [0; 8];
                let size = self.target.row_bytes(1);
                Err(self.locate(rows, |element| cast(element, &mut scratch[..size])))
            }
            Kernel::Pack(pack) => {
                let source = rows.chunks_exact(self.source_row_bytes());
                let packed = out.chunks_exact_mut(self.target_row_bytes());
                // `&` rather than `&&`: every row is packed, the verdict comes last.
                if source.zip(packed).fold(true, |sound, (row, bits)| sound & pack(row, bits)) {
                    return Ok(());
                }
                Err(self.locate(rows, |element| pack(element, &mut [0])))
            }
        }
    }

    /// Finds the first element that `sound` rejects; called only when a kernel has rejected the whole.
    fn locate(&self, rows: &[u8], mut sound: impl FnMut(&[u8]) -> bool) -> Fault {
        let elements = rows.chunks_exact(self.element.bytes());
        let (index, element) = elements
            .enumerate()
            .find(|(_, element)| !sound(element))
            .expect("a kernel judges a slice by its elements, and it has rejected this slice");
        Fault {
            row: (index / self.columns) as u64,
            column: (index % self.columns) as u64,
            problem: cast::explain(self.element, self.target, element),
        }
    }
}

/// Reverses the bytes of each element of `size` bytes, in place.
pub(crate) fn swap_bytes(elements: &mut [u8], size: usize) {
    fn swap<const N: usize>(elements: &mut [u8]) {
        elements.as_chunks_mut::<N>().0.iter_mut().for_each(|element| element.reverse());
    }
    match size {
        2 => swap::<2>(elements),
        4 => swap::<4>(elements),
        8 => swap::<8>(elements),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
