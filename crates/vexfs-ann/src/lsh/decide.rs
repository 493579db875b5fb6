//! Deciding: the candidates of many queries are looked at in the order of the rows, so that a row that many want is fetched once.

use super::Lsh;
use super::codes::{CodedQuery, record_bytes};
use crate::flat::offer_rows;
use crate::index::{IndexError, Search, SearchStats};
use crate::{ExactScan, TopK};

/// Bytes of rows or codes that stay in the second-level cache while all queries look at what they want of them.
const BLOCK_BYTES: usize = 256 << 10;

/// Bytes of rows that are compared at a time where all are.
const PIECE_BYTES: usize = 1 << 20;

/// A query whose candidates are known.
pub(super) struct Asked<'t> {
    pub(super) query: usize,
    /// What it has found.
    pub(super) top: &'t mut TopK,
    pub(super) candidates: Candidates,
}

/// Rows of the image, by their numbers within it, ascending.
pub(super) enum Candidates {
    /// All that may be found.
    All,
    /// These.
    Some(Vec<u32>),
    /// The best of these, by their codes.
    Coded(Vec<u32>, CodedQuery),
}

impl Asked<'_> {
    /// Bytes that the candidates take.
    pub(super) fn bytes(&self) -> usize {
        match &self.candidates {
            Candidates::All => 0,
            Candidates::Some(rows) => size_of_val(&rows[..]),
            Candidates::Coded(rows, code) => size_of_val(&rows[..]) + code.bytes(),
        }
    }
}

/// Offers the candidates of each query that are near enough.
pub(super) fn decide(
    index: &Lsh<'_>,
    search: &Search<'_>,
    asked: Vec<Asked<'_>>,
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let (mut all, mut some, mut coded) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = search.k.max(search.effort.rerank as usize);
    for Asked { query, top, candidates } in asked {
        match candidates {
            Candidates::All => all.push((query, top)),
            Candidates::Some(rows) => some.push((rows, (query, top))),
            Candidates::Coded(rows, code) => coded.push((rows, (query, top, code, TopK::new(wanted)))),
        }
    }
    compare_all(index, search, all, stats)?;

    let (first_row, dim) = (index.header.rows.start, index.header.dim);
    let (mut picked, mut wide) = (Vec::new(), Vec::new());
    if let Some(codes) = &index.codes {
        stats.distance_computations += coded.iter().map(|(rows, _)| rows.len() as u64).sum::<u64>();
        in_order(record_bytes(dim), &mut coded, |rows, (_, _, code, best)| code.rank(codes, rows, best))?;
    }
    for (_, (query, top, _, best)) in coded {
        picked.clear();
        picked.extend(best.into_sorted().iter().map(|best| first_row + best.row));
        stats.distance_computations += picked.len() as u64;
        stats.reranked += picked.len() as u64;
        offer_rows((search.queries, query), search.rows, &picked, top, &mut wide)?;
    }
    let count = some.iter().map(|(rows, _)| rows.len() as u64).sum::<u64>();
    stats.distance_computations += count;
    stats.reranked += count;
    in_order(search.rows.dtype().row_bytes(dim), &mut some, |rows, (query, top)| {
        picked.clear();
        picked.extend(rows.iter().map(|row| first_row + u64::from(*row)));
        offer_rows((search.queries, *query), search.rows, &picked, top, &mut wide)
    })
}

/// Visits the rows of all lists, each of them ascending and `bytes` long, block by block.
fn in_order<T>(
    bytes: usize,
    lists: &mut [(Vec<u32>, T)],
    mut visit: impl FnMut(&[u32], &mut T) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let block = match lists.len() {
        0 | 1 => u32::MAX,
        _ => (BLOCK_BYTES / bytes).max(1) as u32,
    };
    let mut visited = vec![0; lists.len()];
    let next = |(list, at): (&(Vec<u32>, T), &usize)| list.0.get(*at).copied();
    while let Some(least) = lists.iter().zip(&visited).filter_map(next).min() {
        let last = least.saturating_add(block - 1);
        for ((rows, of), visited) in lists.iter_mut().zip(&mut visited) {
            let rest = &rows[*visited..];
            let here = rest.partition_point(|row| *row <= last);
            if here > 0 {
                visit(&rest[..here], of)?;
                *visited += here;
            }
        }
    }
    Ok(())
}

/// Compares some queries with all rows of the image that may be found, together.
fn compare_all(
    index: &Lsh<'_>,
    search: &Search<'_>,
    mut asked: Vec<(usize, &mut TopK)>,
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let Some(k) = asked.iter().map(|(_, top)| top.k()).max().filter(|k| *k > 0) else { return Ok(()) };
    let queries = search.queries.select(asked.iter().map(|(query, _)| *query));
    let mut scan = ExactScan::new(&queries, k).map_err(IndexError::source)?;
    let piece = (PIECE_BYTES / search.rows.dtype().row_bytes(index.header.dim)).max(1);
    let (start, end) = (index.header.rows.start, index.header.rows.end.min(search.rows.len()));
    for first in (start..end).step_by(piece) {
        if (search.interrupted)() {
            return Err(IndexError::Interrupted);
        }
        scan.push(search.rows.rows(first..end.min(first + piece as u64))?, first, search.excluded);
    }
    let rows = (start..end).filter(|row| !search.is_excluded(*row)).count() as u64;
    stats.distance_computations += rows * asked.len() as u64;
    stats.reranked += rows * asked.len() as u64;
    asked.iter_mut().zip(scan.into_tops()).for_each(|((_, top), found)| top.merge(found));
    Ok(())
}
