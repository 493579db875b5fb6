//! Small arrays as a whole: ground truth, calibration queries, test data.

use std::path::Path;

use super::array::{ArrayReader, Axes};
use super::integers::Integers;
use super::reader::NpyReader;
use crate::element::TargetType;
use crate::error::{IoError, Place, Problem};
use crate::source::{DEFAULT_MEMORY, OpenOptions, Opened, RowSource};

/// The most elements that are read into memory at once: 1 GiB of u64.
const MAX_ELEMENTS: u64 = 1 << 27;

/// An array in memory: `rows × columns` values, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix<T> {
    /// Number of rows.
    pub rows: usize,
    /// Values per row, at least 1.
    pub columns: usize,
    /// `rows · columns` values.
    pub values: Vec<T>,
}

impl<T> Matrix<T> {
    /// The values of one row.
    ///
    /// # Panics
    /// If `row` is not below [`rows`](Self::rows).
    pub fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }
}

/// Reads an integer array such as the ground truth: `(queries, k)` row numbers, nearest first. One axis is one row.
///
/// # Errors
/// Those of [`NpyReader::from_file`]; [`Problem::ElementType`] unless the elements are integers; [`Problem::Negative`] at
/// its row and column; [`Problem::Shape`] beyond 2^27 elements.
pub fn read_matrix_u64(path: &Path) -> Result<Matrix<u64>, IoError> {
    let (input, name) = Opened::path(path)?;
    let axes = Axes::Rows { single: true };
    let array = ArrayReader::open(input.into(), &name, axes, false, DEFAULT_MEMORY)?;
    let columns = array.columns();
    check_size(&name, array.rows(), columns)?;
    let values = Integers::new(array)?.collect::<Result<Vec<u64>, IoError>>()?;
    Ok(Matrix { rows: values.len() / columns, columns, values })
}

/// Reads an array of any number type as f32, converted and checked as by [`NpyReader`]. One axis is one row.
///
/// # Errors
/// Those of [`NpyReader`]; [`Problem::Shape`] beyond 2^27 elements.
pub fn read_matrix_f32(path: &Path) -> Result<Matrix<f32>, IoError> {
    let options =
        OpenOptions { target: Some(TargetType::F32), single_vector: true, ..OpenOptions::default() };
    let (input, name) = Opened::path(path)?;
    let mut reader = NpyReader::new(input.into(), &name, &options)?;
    let columns = reader.dim();
    check_size(&name, reader.rows().unwrap_or(u64::MAX), columns)?;

    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    let slab = reader.rows_within(1 << 20);
    while reader.read_rows(&mut bytes, slab)? > 0 {
        values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(Matrix { rows: values.len() / columns, columns, values })
}

fn check_size(name: &str, rows: u64, columns: usize) -> Result<(), IoError> {
    match rows.checked_mul(columns as u64) {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
        _ => {
            let shape = format!("({rows}, {columns})");
            let problem = Problem::Shape { shape, reason: "more than 134217728 elements to hold in memory" };
            Err(IoError::new(name, Place::Whole, problem))
        }
    }
}
