//! Scaling rows to length 1.

use half::{bf16, f16};
use vexfs_format::codes::DType;

/// Scales each row to Euclidean length 1, computed in f64.
///
/// # Shape
/// `rows`: n × `dim` packed elements of `dtype`.
///
/// # Errors
/// The index of a row of length 0; the rows before it are scaled. Rows of integers and bits are left alone by the caller.
pub(crate) fn normalize(rows: &mut [u8], dtype: DType, dim: usize) -> Result<(), usize> {
    match dtype {
        DType::F32 => scale::<4>(rows, dim, f32::from_le_bytes, |x| (x as f32).to_le_bytes()),
        DType::F16 => {
            scale::<2>(rows, dim, |b| f16::from_le_bytes(b).to_f32(), |x| f16::from_f64(x).to_le_bytes())
        }
        DType::BF16 => {
            scale::<2>(rows, dim, |b| bf16::from_le_bytes(b).to_f32(), |x| bf16::from_f64(x).to_le_bytes())
        }
        DType::I8 | DType::U8 | DType::B1 => Ok(()),
    }
}

fn scale<const N: usize>(
    rows: &mut [u8],
    dim: usize,
    read: impl Fn([u8; N]) -> f32,
    write: impl Fn(f64) -> [u8; N],
) -> Result<(), usize> {
    for (index, row) in rows.chunks_exact_mut(dim * N).enumerate() {
        let elements = row.as_chunks_mut::<N>().0;
        let squares: f64 = elements.iter().map(|&e| f64::from(read(e)).powi(2)).sum();
        if squares == 0.0 {
            return Err(index);
        }
        let factor = 1.0 / squares.sqrt();
        for element in elements {
            *element = write(f64::from(read(*element)) * factor);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_length_one_and_a_zero_row_is_named() {
        let mut rows: Vec<u8> = [3.0_f32, 4.0, 1e-30, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        normalize(&mut rows, DType::F32, 2).expect("scaled");
        let values: Vec<f32> = rows.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, [0.6, 0.8, 1.0, 0.0]);
        let mut rows = vec![0; 16];
        rows[3] = 0x3F;
        assert_eq!(normalize(&mut rows, DType::F32, 2), Err(1));
    }
}
