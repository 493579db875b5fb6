//! Rows of numbers.

use std::fs::File;

use hdf5::datatype::ByteOrder;
use hdf5::plist::dataset_create::Layout;
use hdf5::types::{FloatSize, IntSize, TypeDescriptor};
use hdf5::{Dataset, H5Type, Hyperslab, Selection};

use super::failed;
use super::locate::{Located, locate};
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::Input;
use crate::raw::{Axes, RawRows, shape_text};
use crate::read_at::ReadAt;

/// Bytes that are asked of the library at least: calls do not count then.
const SLAB_BYTES: usize = 1 << 20;

/// The rows of a dataset.
pub(crate) struct Hdf5Rows {
    name: String,
    element: ElementType,
    rows: u64,
    columns: usize,
    next_row: u64,
    data: Data,
}

/// The two ways to get at rows.
enum Data {
    /// As they are wanted, one behind the other from `offset` of the file on.
    Plain { file: File, offset: u64 },
    /// In another byte order, in chunks, compressed: through the library.
    Library { dataset: Dataset, axes: usize, slab_rows: usize, slab: Slab },
}

/// Rows that the library has read.
#[derive(Default)]
struct Slab {
    bytes: Vec<u8>,
    /// How many of the bytes were handed out.
    used: usize,
}

impl Hdf5Rows {
    /// Opens the dataset that `input` names, or the only one of that many axes. `memory` bounds what is read at once, in bytes.
    ///
    /// # Errors
    /// Those of finding it; [`Problem::ElementType`], [`Problem::Shape`]; [`Problem::NeverWritten`]; [`Problem::Chunk`].
    pub(crate) fn open(input: Input, axes: Axes, memory: usize) -> Result<Self, IoError> {
        let is_list = matches!(axes, Axes::List);
        let count = if is_list { 1 } else { 2 };
        let fits = |dataset: &Dataset| dataset.ndim() == count && element(dataset).is_ok_and(|e| e.is_some());
        let Located { dataset, path, name } = locate(input, fits)?;
        let fail = |problem| IoError::new(&name, Place::Whole, problem);

        let shape = dataset.get_shape().map_err(|error| failed(&name, "read the shape", &error))?;
        let shape: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
        let (rows, columns) = axes
            .measure(&shape)
            .map_err(|reason| fail(Problem::Shape { shape: shape_text(&shape), reason }))?;
        let found = element(&dataset).map_err(|error| failed(&name, "read the element type", &error))?;
        let Some(element) = found else {
            let descr = dataset.dtype().and_then(|dtype| dtype.to_descriptor());
            let descr = descr
                .map_or_else(|_| "unknown".to_owned(), |descr| crate::error::excerpt(&descr.to_string()));
            let advice = "numbers are read: float16 to float64, int8 to int64, uint8 to uint64";
            return Err(fail(Problem::ElementType { descr, name: "HDF5", advice }));
        };
        if rows > 0 && dataset.storage_size() == 0 {
            return Err(fail(Problem::NeverWritten));
        }
        let row_bytes = columns * element.bytes();
        let offset = if is_little_endian(&dataset) { dataset.offset() } else { None };
        let data = match offset {
            Some(offset) if matches!(dataset.layout(), Layout::Contiguous) => {
                let file = File::open(&path).map_err(|error| IoError::system(&name, "open", error))?;
                let length = file.length().map_err(|error| IoError::system(&name, "measure", error))?;
                let promised = rows.checked_mul(row_bytes as u64).and_then(|bytes| bytes.checked_add(offset));
                if promised.is_none_or(|promised| promised > length) {
                    let row = length.saturating_sub(offset) / row_bytes as u64;
                    let promised = promised.unwrap_or(u64::MAX);
                    return Err(fail(Problem::Truncated { promised, found: length, row }));
                }
                Data::Plain { file, offset }
            }
            _ => {
                let slab_rows = slab_rows(&dataset, row_bytes, element, memory).map_err(fail)?;
                Data::Library { dataset, axes: shape.len(), slab_rows, slab: Slab::default() }
            }
        };
        Ok(Hdf5Rows { name, element, rows, columns, next_row: 0, data })
    }
}

/// How many rows are read at once: whole chunks, so that each is decoded once, unless these are more than `memory`.
fn slab_rows(
    dataset: &Dataset,
    row_bytes: usize,
    element: ElementType,
    memory: usize,
) -> Result<usize, Problem> {
    let fit = (SLAB_BYTES / row_bytes).max(1);
    let Some(chunk) = dataset.chunk() else { return Ok(fit) };
    let bytes = chunk.iter().try_fold(element.bytes(), |bytes, length| bytes.checked_mul(*length));
    match bytes {
        Some(bytes) if bytes <= memory.max(SLAB_BYTES) => {}
        _ => {
            return Err(Problem::Chunk {
                shape: shape_text(&chunk.iter().map(|n| *n as u64).collect::<Vec<_>>()),
            });
        }
    }
    let high = chunk.first().copied().unwrap_or(1).max(1);
    let most = (memory / row_bytes).max(1);
    Ok(if high >= most { most } else { (fit / high).max(1) * high }.min(most.max(fit)))
}

/// Whether the elements lie in the file as they are wanted.
fn is_little_endian(dataset: &Dataset) -> bool {
    let order = dataset.dtype().map(|dtype| dtype.byte_order());
    matches!(order, Ok(ByteOrder::LittleEndian | ByteOrder::None))
}

/// The type of the elements; `None` if they are not numbers.
fn element(dataset: &Dataset) -> hdf5::Result<Option<ElementType>> {
    Ok(match dataset.dtype()?.to_descriptor()? {
        TypeDescriptor::Float(FloatSize::U2) => Some(ElementType::F16),
        TypeDescriptor::Float(FloatSize::U4) => Some(ElementType::F32),
        TypeDescriptor::Float(FloatSize::U8) => Some(ElementType::F64),
        TypeDescriptor::Integer(IntSize::U1) => Some(ElementType::I8),
        TypeDescriptor::Integer(IntSize::U2) => Some(ElementType::I16),
        TypeDescriptor::Integer(IntSize::U4) => Some(ElementType::I32),
        TypeDescriptor::Integer(IntSize::U8) => Some(ElementType::I64),
        TypeDescriptor::Unsigned(IntSize::U1) => Some(ElementType::U8),
        TypeDescriptor::Unsigned(IntSize::U2) => Some(ElementType::U16),
        TypeDescriptor::Unsigned(IntSize::U4) => Some(ElementType::U32),
        TypeDescriptor::Unsigned(IntSize::U8) => Some(ElementType::U64),
        _ => None,
    })
}

impl RawRows for Hdf5Rows {
    fn name(&self) -> &str {
        &self.name
    }

    fn element(&self) -> ElementType {
        self.element
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next_row(&self) -> u64 {
        self.next_row
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        let row_bytes = self.row_bytes();
        let left = usize::try_from(self.rows - self.next_row).unwrap_or(usize::MAX);
        let rows = (out.len() / row_bytes).min(left);
        let out = &mut out[..rows * row_bytes];
        match &mut self.data {
            Data::Plain { file, offset } => file
                .read_exact_at(out, *offset + self.next_row * row_bytes as u64)
                .map_err(|error| IoError::system(&self.name, "read", error))?,
            Data::Library { dataset, axes, slab_rows, slab } => {
                let mut done = 0;
                while done < out.len() {
                    if slab.used == slab.bytes.len() {
                        // Slabs are used up as a whole, so one begins with the row that is wanted next.
                        let first = self.next_row as usize + done / row_bytes;
                        let last = first.saturating_add(*slab_rows).min(self.rows as usize);
                        let selection = select(*axes, first, last, self.columns);
                        slab.used = 0;
                        slab.bytes.clear();
                        read(dataset, self.element, selection, &mut slab.bytes).map_err(|error| {
                            failed(&self.name, "read the rows", &error).at(Place::Row(first as u64))
                        })?;
                    }
                    let some = &slab.bytes[slab.used..];
                    let some = &some[..some.len().min(out.len() - done)];
                    out[done..done + some.len()].copy_from_slice(some);
                    done += some.len();
                    slab.used += some.len();
                }
            }
        }
        self.next_row += rows as u64;
        Ok(rows)
    }
}

/// Rows `first` to `last`; a single axis is one row, or a row for each element.
fn select(axes: usize, first: usize, last: usize, columns: usize) -> Selection {
    match axes {
        2 => Hyperslab::from((first..last, 0..columns)).into(),
        _ => Hyperslab::from(first * columns..last * columns).into(),
    }
}

/// Reads the elements of a selection as little-endian bytes.
fn read(
    dataset: &Dataset,
    element: ElementType,
    selection: Selection,
    out: &mut Vec<u8>,
) -> hdf5::Result<()> {
    macro_rules! as_bytes {
        ($type:ty) => {{
            let values = elements::<$type>(dataset, selection)?;
            out.reserve(size_of_val(&*values));
            values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }};
    }
    match element {
        ElementType::F16 => as_bytes!(half::f16),
        ElementType::F32 => as_bytes!(f32),
        ElementType::F64 => as_bytes!(f64),
        ElementType::I8 => as_bytes!(i8),
        ElementType::I16 => as_bytes!(i16),
        ElementType::I32 => as_bytes!(i32),
        ElementType::I64 => as_bytes!(i64),
        ElementType::U8 => as_bytes!(u8),
        ElementType::U16 => as_bytes!(u16),
        ElementType::U32 => as_bytes!(u32),
        ElementType::U64 => as_bytes!(u64),
        ElementType::BF16 | ElementType::Bool => return Err("not a type of HDF5".into()),
    }
    Ok(())
}

fn elements<T: H5Type>(dataset: &Dataset, selection: Selection) -> hdf5::Result<Vec<T>> {
    let array = dataset.read_slice::<T, _, ndarray::IxDyn>(selection)?;
    Ok(array.into_raw_vec_and_offset().0)
}
