//! The rows of a build, in memory and coded: what is near what.
//!
//! Distances are those of coded vectors, exact integers made into f32 in one order: symmetric, and the same whatever the threads or
//! instructions. All of them are like squared lengths, also that of inner products: there vectors are lifted
//! into one more dimension, x' = (x, √(R² − |x|²)) with R as large as nearly all norms, in which those all have norm R and the nearest to a
//! query (q, 0) is the one of the largest product (Bachrach et al., RecSys 2014, section 3).

use rayon::prelude::*;

use crate::index::{Build, IndexError};
use crate::simd::{Block32, Job, Level, Simd};
use crate::tile::{self, Bits, Coded, Near};
use crate::{DType, Metric};

/// Share of the rows whose norm is at most R: a few huge norms would leave the others all the same height.
const LIFTED_SHARE: f64 = 0.99;

/// Rows that one thread reads and codes at a time.
const CHUNK_ROWS: usize = 1024;

/// Chunks that are read before what they became is put together.
const CHUNKS: usize = 64;

/// Coded rows.
pub(super) enum Space {
    /// Of numbers.
    Numbers {
        /// The codes; of inner products by their squared Euclidean distance.
        coded: Coded,
        /// √(R² − |x|²) of each; empty but of inner products.
        lifts: Vec<f64>,
    },
    /// Of bits, which are their own code.
    Bits {
        /// `blocks` to each row, zero beyond its bytes.
        bits: Vec<Block32>,
        /// Blocks to a row.
        blocks: usize,
    },
}

impl Space {
    /// Reads the rows `live`, numbers within the image, ascending.
    ///
    /// # Errors
    /// Those of the rows; [`IndexError::Mismatch`] for a row that is not finite; [`IndexError::Interrupted`].
    pub(super) fn read(build: &Build<'_>, live: &[u32]) -> Result<Self, IndexError> {
        let mut all = Self::empty(build);
        for (done, chunks) in live.chunks(CHUNK_ROWS * CHUNKS).enumerate() {
            build.step("coding", (done * CHUNK_ROWS * CHUNKS) as u64, live.len() as u64)?;
            let parts: Result<Vec<Self>, IndexError> = chunks
                .par_chunks(CHUNK_ROWS)
                .map(|chunk| {
                    let mut part = Self::empty(build);
                    for run in chunk.chunk_by(|a, b| a + 1 == *b) {
                        part.extend(build, run)?;
                    }
                    Ok(part)
                })
                .collect();
            parts?.iter().for_each(|part| all.append(part));
        }
        if build.metric == Metric::InnerProduct {
            all.lift();
        }
        Ok(all)
    }

    fn empty(build: &Build<'_>) -> Self {
        let dim = build.rows.dim();
        match build.metric {
            Metric::Hamming => Self::Bits { bits: Vec::new(), blocks: DType::B1.row_bytes(dim).div_ceil(32) },
            Metric::Cosine => Self::Numbers { coded: Coded::empty(dim, Metric::Cosine), lifts: Vec::new() },
            _ => Self::Numbers { coded: Coded::empty(dim, Metric::L2), lifts: Vec::new() },
        }
    }

    /// Appends consecutive rows.
    fn extend(&mut self, build: &Build<'_>, run: &[u32]) -> Result<(), IndexError> {
        let first = build.first_row + u64::from(run[0]);
        let vectors = build.rows.rows(first..first + run.len() as u64)?;
        match self {
            Self::Numbers { coded, .. } => {
                let before = coded.len();
                coded.extend(vectors);
                let is_finite = |index: &usize| {
                    let stored = coded.stored(*index);
                    [stored.scale, stored.low, stored.square].iter().all(|term| term.is_finite())
                };
                match (before..coded.len()).find(|index| !is_finite(index)) {
                    Some(at) => Err(IndexError::Mismatch(format!(
                        "row {} is not finite",
                        first + (at - before) as u64
                    ))),
                    None => Ok(()),
                }
            }
            Self::Bits { bits, .. } => {
                for row in vectors.bytes().chunks_exact(vectors.row_bytes()) {
                    for part in row.chunks(32) {
                        let mut block = Block32::ZERO;
                        block.0[..part.len()].copy_from_slice(part);
                        bits.push(block);
                    }
                }
                Ok(())
            }
        }
    }

    fn append(&mut self, part: &Self) {
        match (self, part) {
            (Self::Numbers { coded, .. }, Self::Numbers { coded: part, .. }) => coded.append(part.view()),
            (Self::Bits { bits, .. }, Self::Bits { bits: part, .. }) => bits.extend_from_slice(part),
            _ => unreachable!("parts of one build"),
        }
    }

    fn lift(&mut self) {
        let Self::Numbers { coded, lifts } = self else { return };
        let mut squares: Vec<f64> = (0..coded.len()).map(|index| coded.stored(index).square).collect();
        lifts.clone_from(&squares);
        let at = (squares.len() as f64 * LIFTED_SHARE) as usize;
        let most = match squares.len() {
            0 => 0.0,
            count => *squares.select_nth_unstable_by(at.min(count - 1), f64::total_cmp).1,
        };
        lifts.iter_mut().for_each(|square| *square = (most - *square).max(0.0).sqrt());
    }

    /// |x|² of a row of numbers.
    pub(super) fn square(&self, row: usize) -> f64 {
        match self {
            Self::Numbers { coded, .. } => coded.stored(row).square,
            Self::Bits { .. } => 0.0,
        }
    }

    /// A number that is the same for rows with equal codes, and rarely for others.
    pub(super) fn print(&self, row: u32) -> u64 {
        let (codes, terms) = self.parts(row);
        let words = codes.iter().flat_map(|block| block.0.as_chunks::<8>().0);
        let words = words.map(|word| u64::from_le_bytes(*word)).chain(terms.map(f64::to_bits));
        words.fold(0, |print: u64, word| (print.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Whether two rows have equal codes.
    pub(super) fn is_twin(&self, a: u32, b: u32) -> bool {
        self.parts(a) == self.parts(b)
    }

    /// All that distances depend on.
    fn parts(&self, row: u32) -> (&[Block32], [f64; 2]) {
        match self {
            Self::Numbers { coded, .. } => {
                let stored = coded.stored(row as usize);
                (stored.codes, [stored.scale, stored.low])
            }
            Self::Bits { bits, blocks } => (&bits[row as usize * blocks..][..*blocks], [0.0; 2]),
        }
    }

    /// Number of rows, n.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers { coded, .. } => coded.len(),
            Self::Bits { bits, blocks } => bits.len() / blocks,
        }
    }

    /// The rows `ids`, in that order.
    pub(super) fn gather(&self, ids: &[u32]) -> Self {
        match self {
            Self::Numbers { coded, lifts } => Self::Numbers {
                coded: coded.gather(ids),
                lifts: ids.iter().filter_map(|&id| lifts.get(id as usize).copied()).collect(),
            },
            Self::Bits { bits, blocks } => {
                let row = |id: &u32| &bits[*id as usize * blocks..][..*blocks];
                Self::Bits { bits: ids.iter().flat_map(row).copied().collect(), blocks: *blocks }
            }
        }
    }

    /// Sets `distances` to those of row `from` from each of `picks`.
    pub(super) fn distances(&self, from: u32, picks: &[u32], distances: &mut Vec<f32>) {
        let from = from as usize;
        match self {
            Self::Numbers { coded, lifts } => {
                coded.view().distances(from, coded.view(), picks, distances);
                if !lifts.is_empty() {
                    for (distance, &pick) in distances.iter_mut().zip(picks) {
                        *distance = lifted(*distance, lifts[from], lifts[pick as usize]);
                    }
                }
            }
            Self::Bits { bits, blocks } => {
                distances.clear();
                let one = &bits[from * blocks..][..*blocks];
                Level::best().run(Differing { one, rows: bits, picks: picks.iter().copied(), distances });
            }
        }
    }

    /// Calls `visit` with the index of each row of this space and the `k` nearest of `rows`, nearest first, ties by lower row.
    /// With `own`, row i of this space is row i of `rows`, and is not found for itself.
    pub(super) fn nearest(&self, rows: &Self, k: usize, own: bool, mut visit: impl FnMut(usize, &[Near])) {
        match (self, rows) {
            (Self::Numbers { coded, lifts }, Self::Numbers { coded: other, lifts: other_lifts }) => {
                let mut lifted_list = Vec::new();
                tile::nearest(coded.view(), other.view(), k, own.then_some(0), |index, list| {
                    if lifts.is_empty() {
                        return visit(index, list);
                    }
                    lifted_list.clear();
                    lifted_list.extend(list.iter().map(|near| Near {
                        row: near.row,
                        distance: lifted(near.distance, lifts[index], other_lifts[near.row as usize]),
                    }));
                    lifted_list.sort_unstable_by(closer);
                    visit(index, &lifted_list);
                });
            }
            (Self::Bits { bits, blocks }, Self::Bits { bits: other, .. }) => {
                let of = |rows| Bits { rows, blocks: *blocks };
                tile::nearest_bits(of(bits), of(other), k, own, visit);
            }
            _ => unreachable!("spaces of one build"),
        }
    }
}

/// Nearest first; ties by lower row.
pub(super) fn closer(a: &Near, b: &Near) -> std::cmp::Ordering {
    a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row))
}

/// The distance in one more dimension.
fn lifted(distance: f32, a: f64, b: f64) -> f32 {
    (f64::from(distance) + (a - b) * (a - b)) as f32
}

/// Appends the number of bits in which `one` differs from some rows.
struct Differing<'a, I> {
    one: &'a [Block32],
    rows: &'a [Block32],
    picks: I,
    distances: &'a mut Vec<f32>,
}

impl<I: Iterator<Item = u32>> Job for Differing<'_, I> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for pick in self.picks {
            let row = &self.rows[pick as usize * self.one.len()..][..self.one.len()];
            let mut count = simd.zero_count();
            for (a, b) in self.one.iter().zip(row) {
                count = simd.count_xor(count, &a.0, &b.0);
            }
            self.distances.push(simd.sum_count(count) as f32);
        }
    }
}
