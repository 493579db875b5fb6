//! Building: rows are coded as they are read, one after the other.

use std::io::Write;
use std::marker::PhantomData;

use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::super::coding::row_terms;
use super::flat_is_coded;
use crate::index::image::{ImageWriter, PARAM_BYTES};
use crate::index::{Build, IndexError, IndexSpec};
use crate::simd::codes::{CODE_MAX, CodeRows, LANE_SPAN, RowCode};
use crate::simd::element::{BF16, Element, F16, F32};
use crate::simd::tile::RowTerms;
use crate::simd::{Block32, Level};
use crate::{DType, Vectors, reference};

/// Section: ⌈d / 32⌉ · 32 codes per row.
pub(super) const CODES: u32 = 1;
/// Section: the terms, eight rows at a time: for each of [`TERM_COUNT`], eight f32.
pub(super) const TERMS: u32 = 2;
/// Section: row numbers, u32, ascending; only where rows are left out.
pub(super) const NUMBERS: u32 = 3;

/// Scale, offset, sum, radius, size.
pub(super) const TERM_COUNT: usize = 5;

/// Bytes of the terms of eight rows.
pub(super) const GROUP_BYTES: usize = TERM_COUNT * 32;

/// Rows that one thread codes at a time.
const CHUNK: usize = 256;

/// Chunks that are coded before they are written.
const CHUNKS: usize = 64;

/// Bytes for each row while building: its number and its terms.
const ROW_BYTES: u64 = 24;

/// Steps, of which codes and their reciprocal are normal f32 numbers: 2⁻¹⁰⁰ ..= 2¹⁰⁰. Other rows stand as their smallest element.
const SAFE_SCALE: std::ops::RangeInclusive<f32> =
    f32::from_bits((127 - 100) << 23)..=f32::from_bits((127 + 100) << 23);

/// Bytes of the codes of a row.
pub(super) fn code_bytes(dim: usize) -> u64 {
    dim.next_multiple_of(LANE_SPAN) as u64
}

/// Bytes of the terms of `count` rows.
pub(super) fn term_bytes(count: u64) -> u64 {
    count.div_ceil(8) * GROUP_BYTES as u64
}

/// How many rows one image can cover within the memory; half of it is for rows on their way.
pub(crate) fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    spec.options().finish(&[])?;
    Ok((build.memory / 2 / ROW_BYTES).max(1))
}

/// Builds the image.
pub(crate) fn build(spec: &IndexSpec, build: &Build<'_>, out: &mut dyn Write) -> Result<(), IndexError> {
    spec.options().finish(&[])?;
    let live = build.live();
    let mut writer = ImageWriter::new(out);
    if flat_is_coded(build.rows.dtype()) {
        writer.section(CODES)?;
        let mut terms = Vec::with_capacity(live.len());
        for some in live.chunks(CHUNK * CHUNKS) {
            let chunks: Vec<_> =
                some.par_chunks(CHUNK).map(|rows| code(build, rows)).collect::<Result<_, _>>()?;
            for (codes, of_rows) in chunks {
                writer.write(codes.as_bytes())?;
                terms.extend(of_rows);
            }
            build.step("coding rows", terms.len() as u64, live.len() as u64)?;
        }
        writer.section(TERMS)?;
        for eight in terms.chunks(8) {
            writer.write(&group(eight))?;
        }
        if live.len() as u64 != build.end_row - build.first_row {
            writer.section(NUMBERS)?;
            for number in &live {
                writer.write(&number.to_le_bytes())?;
            }
        }
    }
    writer.finish(&build.header(spec.kind, live.len() as u64, [0; PARAM_BYTES]))
}

/// The terms of up to eight rows as they are stored.
fn group(rows: &[RowTerms]) -> [u8; GROUP_BYTES] {
    let mut bytes = [0; GROUP_BYTES];
    for (row, terms) in rows.iter().enumerate() {
        for (term, value) in
            [terms.scale, terms.offset, terms.sum, terms.radius, terms.size].into_iter().enumerate()
        {
            bytes[32 * term + 4 * row..][..4].copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}

/// Codes rows of the image, ascending.
fn code(build: &Build<'_>, rows: &[u32]) -> Result<(Vec<Block32>, Vec<RowTerms>), IndexError> {
    let (mut codes, mut terms) = (Vec::new(), Vec::new());
    for run in rows.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let first = build.first_row + u64::from(run[0]);
        let vectors = build.rows.rows(first..first + run.len() as u64)?;
        match vectors.dtype() {
            DType::F16 => code_as::<F16>(build, vectors, &mut codes, &mut terms),
            DType::BF16 => code_as::<BF16>(build, vectors, &mut codes, &mut terms),
            _ => code_as::<F32>(build, vectors, &mut codes, &mut terms),
        }
    }
    Ok((codes, terms))
}

fn code_as<E: Element>(
    build: &Build<'_>,
    vectors: Vectors<'_>,
    codes: &mut Vec<Block32>,
    terms: &mut Vec<RowTerms>,
) {
    let (mut some, mut coded, mut wide) = (Vec::new(), Vec::new(), Vec::new());
    Level::best().run(CodeRows {
        rows: vectors.bytes(),
        dim: vectors.dim(),
        most: CODE_MAX,
        element: PhantomData::<E>,
        codes: &mut some,
        coded: &mut coded,
        wide: &mut wide,
    });
    let blocks = vectors.dim().div_ceil(LANE_SPAN);
    let mut decoded = Vec::new();
    for (index, (row, codes)) in coded.iter_mut().zip(some.chunks_exact_mut(blocks)).enumerate() {
        let values = reference::widen(vectors.dtype(), vectors.row(index));
        settle(row, codes, &values, &mut decoded);
        terms.push(row_terms(row, vectors.dim(), build.metric));
    }
    codes.extend_from_slice(&some);
}

/// Replaces what depends on the instruction set: |x − x̂|² and |x|², with x̂ rounded to f32, summed in the order of the
/// [`mod@reference`] and rounded once.
fn settle(row: &mut RowCode, codes: &mut [Block32], values: &[f32], decoded: &mut Vec<f32>) {
    if !SAFE_SCALE.contains(&row.scale) {
        codes.fill(Block32::ZERO);
        (row.scale, row.sum, row.squares) = (0.0, 0, 0);
    }
    let codes = codes.iter().flat_map(|block| block.0).take(values.len());
    decoded.clear();
    decoded.extend(codes.map(|code| row.scale * f32::from(code) + row.offset));
    row.residual = reference::l2(values, decoded) as f32;
    row.norm = reference::dot(values, values) as f32;
}
