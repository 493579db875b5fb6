//! Some rows here and there: what an index found by codes, decided by full rows.

use crate::TopK;
use crate::index::{IndexError, RowSource};
use crate::simd::{Job, Level, Simd};

use super::Queries;
use super::stream::{self, Place};

/// Rows asked for before they are looked at: a row far away takes as long to come as some to be compared.
const AHEAD: usize = 4;

/// Offers `rows`, by their numbers in `source`, to `top`, with their distances from query `query` of `queries`, as the
/// [`mod@crate::reference`] defines them.
///
/// `wide` is scratch space.
///
/// # Errors
/// Those of `source`; [`IndexError::Damaged`] for a row that `source` does not have. `top` has then seen some of the rows.
pub(crate) fn offer_rows(
    (queries, query): (&Queries, usize),
    source: &dyn RowSource,
    rows: &[u64],
    top: &mut TopK,
    wide: &mut Vec<f32>,
) -> Result<(), IndexError> {
    assert_eq!(
        (source.dim(), source.dtype()),
        (queries.dim(), queries.dtype()),
        "rows and queries are of one kind"
    );
    let row_bytes = queries.dtype().row_bytes(queries.dim());
    let mut failed = Ok(());
    source.expect(rows);
    let place = Picked { source, rows, row_bytes, count: source.len(), failed: &mut failed };
    stream::scan(Level::best(), (queries, query), place, 0..rows.len(), 0, top, wide);
    failed
}

/// Bytes of rows that are asked for together, at most: more would drive out of the second-level cache what is worked with.
const MOST_BYTES: usize = 128 << 10;

/// Asks memory for the first of `rows` of `source`, which need not exist: they come while something else is done.
pub(crate) fn prefetch_rows(source: &dyn RowSource, rows: &[u64]) {
    Level::best().run(Prefetch { source, rows });
}

/// See [`prefetch_rows`].
struct Prefetch<'a> {
    source: &'a dyn RowSource,
    rows: &'a [u64],
}

impl Job for Prefetch<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row_bytes = self.source.dtype().row_bytes(self.source.dim());
        let rows = self.rows.iter().take(MOST_BYTES / row_bytes.max(1));
        rows.for_each(|row| prefetch(simd, self.source, *row, row_bytes));
    }
}

/// Asks memory for a row.
#[inline(always)]
fn prefetch<S: Simd>(simd: S, source: &dyn RowSource, row: u64, row_bytes: usize) {
    let address = source.address(row);
    (0..row_bytes).step_by(64).for_each(|at| simd.prefetch(address.wrapping_add(at)));
}

/// Rows of a source by their numbers.
struct Picked<'a, 'e> {
    source: &'a dyn RowSource,
    rows: &'a [u64],
    row_bytes: usize,
    count: u64,
    failed: &'e mut Result<(), IndexError>,
}

impl<'a> Place<'a> for Picked<'a, '_> {
    #[inline(always)]
    fn row<S: Simd>(&mut self, simd: S, index: usize) -> Option<(u64, &'a [u8])> {
        if let Some(&later) = self.rows.get(index + AHEAD) {
            prefetch(simd, self.source, later, self.row_bytes);
        }
        let row = self.rows[index];
        if self.failed.is_err() {
            return None;
        }
        if row >= self.count {
            *self.failed = Err(IndexError::damaged(0, format!("row {row} of {}", self.count)));
            return None;
        }
        match self.source.rows(row..row + 1) {
            Ok(one) => Some((row, one.bytes())),
            Err(error) => {
                *self.failed = Err(error);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Mutex;

    use super::*;
    use crate::{DType, ExactScan, Metric, Vectors};

    #[test]
    fn picked_rows_have_the_distances_of_a_scan() {
        let bytes: Vec<u8> = (0..40 * 37).map(|at: u32| ((at * at) >> 3) as u8).collect();
        let rows = Vectors::new(&bytes, 37, DType::I8).unwrap();
        let values: Vec<f32> = (0..74).map(|at| at as f32 - 30.5).collect();
        let queries = Queries::new(&values, 37, DType::I8, Metric::L2).unwrap();
        let picks = [3u64, 39, 0, 17];
        let not_picked =
            (0..40u64).filter(|row| !picks.contains(row)).fold(0, |bits, row| bits | 1u64 << row);
        let mut scan = ExactScan::new(&queries, 3).unwrap();
        scan.push(rows, 0, Some(&[not_picked]));
        let (mut top, mut wide) = (TopK::new(3), Vec::new());
        offer_rows((&queries, 1), &rows, &picks, &mut top, &mut wide).unwrap();
        assert_eq!(top.into_sorted(), scan.finish()[1]);
    }

    /// Rows that note which were expected before any was asked for.
    struct Noting<'a>(Vectors<'a>, Mutex<Vec<Vec<u64>>>);

    impl RowSource for Noting<'_> {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn dtype(&self) -> DType {
            self.0.dtype()
        }
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn rows(&self, range: Range<u64>) -> Result<Vectors<'_>, IndexError> {
            self.1.lock().unwrap().push(vec![range.start]);
            RowSource::rows(&self.0, range)
        }
        fn address(&self, row: u64) -> *const u8 {
            self.0.address(row)
        }
        fn expect(&self, rows: &[u64]) {
            self.1.lock().unwrap().push(rows.to_vec());
        }
    }

    #[test]
    fn all_rows_are_announced_before_the_first_is_asked_for() {
        let rows = Noting(Vectors::new(&[1, 2, 3], 1, DType::U8).unwrap(), Mutex::default());
        let queries = Queries::new(&[1.0], 1, DType::U8, Metric::L2).unwrap();
        offer_rows((&queries, 0), &rows, &[2, 0], &mut TopK::new(3), &mut Vec::new()).unwrap();
        assert_eq!(rows.1.into_inner().unwrap(), [vec![2, 0], vec![2], vec![0]]);
    }

    #[test]
    fn rows_that_do_not_exist_are_an_error() {
        let rows = Vectors::new(&[1, 2, 3], 1, DType::U8).unwrap();
        let queries = Queries::new(&[1.0], 1, DType::U8, Metric::L2).unwrap();
        for row in [3, u64::MAX] {
            let offered = offer_rows((&queries, 0), &rows, &[0, row, 1], &mut TopK::new(3), &mut Vec::new());
            assert!(matches!(offered, Err(IndexError::Damaged { .. })));
        }
    }
}
