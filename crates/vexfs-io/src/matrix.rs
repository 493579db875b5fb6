//! Small arrays as a whole: ground truth, calibration queries, test data.

use std::path::Path;

use crate::element::TargetType;
use crate::error::{IoError, Place, Problem};
use crate::integers::Integers;
use crate::source::{OpenOptions, open, open_integers};

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
/// Those of [`open`]; [`Problem::NotInteger`] unless the elements are integers; [`Problem::Negative`] at its row and column;
/// [`Problem::Shape`] beyond 2^27 elements.
pub fn read_matrix_u64(path: &Path, options: &OpenOptions) -> Result<Matrix<u64>, IoError> {
    let array = open_integers(path, options)?;
    let (columns, name) = (array.columns(), array.name().to_owned());
    check_size(&name, array.rows().unwrap_or(0), columns)?;
    let mut values = Vec::new();
    for value in Integers::new(array)? {
        if values.len() as u64 == MAX_ELEMENTS {
            check_size(&name, u64::MAX, columns)?;
        }
        values.push(value?);
    }
    Ok(Matrix { rows: values.len() / columns, columns, values })
}

/// Reads vectors of any number type as f32, converted and checked. One axis is one row.
///
/// # Errors
/// Those of [`open`]; [`Problem::Shape`] beyond 2^27 elements.
pub fn read_matrix_f32(path: &Path, options: &OpenOptions) -> Result<Matrix<f32>, IoError> {
    let options = OpenOptions { target: Some(TargetType::F32), single_vector: true, ..options.clone() };
    let mut reader = open(path, &options)?;
    let (columns, name) = (reader.dim(), path.display().to_string());
    check_size(&name, reader.rows().unwrap_or(0), columns)?;

    let (mut values, mut bytes) = (Vec::new(), Vec::new());
    let slab = reader.rows_within(1 << 20);
    while reader.read_rows(&mut bytes, slab)? > 0 {
        values.extend(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        check_size(&name, (values.len() / columns) as u64, columns)?;
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
