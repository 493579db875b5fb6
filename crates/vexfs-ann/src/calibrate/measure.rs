//! Measuring: rows of the collection as queries, an exact scan as truth.

use std::ops::Range;

use rayon::prelude::*;

use super::curve::{Calibration, Curve, Point};
use crate::index::{Effort, IndexError, RowSource, Search, SearchStats};
use crate::rng::Random;
use crate::{DType, ExactScan, Metric, Neighbor, Queries, TopK, Vectors, reference};

/// The k that are measured, as far as there are that many other rows.
pub const CALIBRATED_K: [usize; 3] = [1, 10, 100];

/// Queries of a calibration: 1,000 tell a recall of 0.95 within about 0.005 and one of 0.99 within 0.003.
pub const DEFAULT_QUERIES: usize = 1000;

/// Bytes of rows that are scanned between two questions whether to stop.
const PIECE_BYTES: usize = 4 << 20;

/// Fewest queries that are answered together, if there are as many.
const PIECE_QUERIES: usize = 16;

/// Of the rows every so many-th tells which queries are far from their neighbours,
const THINNED: u64 = 8;

/// unless these are fewer than so many.
const LEAST_THINNED: u64 = 2048;

/// Pieces that the queries are cut into, for each thread: the fewer, the more queries meet a list or a row while it is in cache.
const PIECES: usize = 2;

/// An effort that misses no more than one neighbour in this many is the last that is measured: for one that misses none, as many
/// queries could promise 0.002 more at most.
const MISSED: u64 = 1000;

/// Between two efforts one is measured if their promises are farther apart than this, which is about what so many queries can tell,
const APART: f64 = 0.005;

/// and if the greater promise is at least this: below, the chord will do.
const WORTHWHILE: f64 = 0.8;

/// Sets the random numbers of calibration apart from those of builds.
const STREAM: u64 = u64::from_le_bytes(*b"calibrat");

/// What answers: an index, or several behind one function; as [`Index::search`](crate::index::Index::search).
pub type Answer<'a> =
    dyn Fn(&Search<'_>, Range<usize>, &mut [TopK], &mut SearchStats) -> Result<(), IndexError> + Sync + 'a;

/// What to measure with.
#[derive(Clone, Copy)]
pub struct Sample<'a> {
    /// The rows, by their numbers in the collection.
    pub rows: &'a dyn RowSource,
    /// Metric of the collection.
    pub metric: Metric,
    /// First row that is searched.
    pub first_row: u64,
    /// Row behind the last that is searched.
    pub end_row: u64,
    /// Deleted rows, as in [`Search::excluded`]: neither queries nor answers.
    pub excluded: Option<&'a [u64]>,
    /// Chooses the queries.
    pub seed: u64,
    /// Queries to ask, [`DEFAULT_QUERIES`] unless there is a reason; half of the rows if there are fewer than twice as many.
    pub queries: usize,
    /// Asked now and then whether to stop.
    pub interrupted: &'a (dyn Fn() -> bool + Sync),
}

/// Measures the recall of an index, or of several that answer as one.
///
/// `efforts` gives the efforts for a k, in order of cost ([`Index::efforts`](crate::index::Index::efforts)); those behind the first
/// that misses next to none are not measured, and of those before it only what tells something. `search` answers as
/// [`Index::search`](crate::index::Index::search) does, for the rows `first_row` .. `end_row` of the sample.
///
/// It runs in the rayon pool of the caller. The result depends on the sample and the index alone, not on threads,
/// instruction set or the clock.
///
/// # Errors
/// [`IndexError::Source`] for rows that cannot be read, or are no queries because they are not finite; those of `search`;
/// [`IndexError::Interrupted`].
///
/// # Complexity
/// (1 + 2 / 8) · queries · n · d for the truth, and for each k and effort the time of as many searches as there are queries.
pub fn measure(
    sample: &Sample<'_>,
    efforts: &dyn Fn(usize) -> Vec<Effort>,
    search: &Answer<'_>,
) -> Result<Calibration, IndexError> {
    let live = sample.live();
    let ks: Vec<usize> = CALIBRATED_K.into_iter().filter(|&k| (k as u64) < live).collect();
    let most = ks.last().copied().unwrap_or(0);
    let chosen = sample.farther(sample.choose(live), live, most)?;
    let mut calibration = Calibration {
        queries: chosen.len() as u32,
        seed: sample.seed,
        rows: sample.first_row..sample.end_row,
        curves: Vec::new(),
    };
    if ks.is_empty() {
        return Ok(calibration);
    }
    let truth = sample.nearest(&chosen, most, 1)?;
    let queries = sample.queries_of(&chosen)?.of_rows(&chosen).map_err(IndexError::source)?;
    for k in ks {
        let least = least_worthwhile(calibration.curves.last(), chosen.len() as u32);
        let curve = curve((k, least), chosen.len() as u32, &efforts(k), &|effort| {
            let asked = Search {
                queries: &queries,
                // The row itself is found too, and is no answer.
                k: k + 1,
                effort,
                rows: sample.rows,
                excluded: sample.excluded,
                interrupted: sample.interrupted,
            };
            Ok(count(effort, k, &answer(&asked, search)?, &chosen, &truth))
        })?;
        calibration.curves.push(curve);
    }
    Ok(calibration)
}

/// The first effort for which `smaller`, the curve of a smaller k, promises something that is worthwhile: more neighbours take no less.
fn least_worthwhile(smaller: Option<&Curve>, queries: u32) -> u32 {
    let points = smaller.map_or(&[][..], |curve| &curve.points);
    let enough = |point: &&Point| smaller.is_some_and(|curve| curve.promised(point, queries) >= WORTHWHILE);
    points.iter().find(enough).map_or(0, |point| point.effort.effort)
}

/// Measures the first of `efforts`, of those from `least` on every second, up to the first that misses next to none, and of those
/// between them what the chord of a curve does not tell: the greatest efforts take most of the time, and differ least.
fn curve(
    (k, least): (usize, u32),
    queries: u32,
    efforts: &[Effort],
    measured: &dyn Fn(Effort) -> Result<Point, IndexError>,
) -> Result<Curve, IndexError> {
    let mut curve = Curve { k: k as u32, points: Vec::new() };
    let wanted = k as u64 * u64::from(queries);
    let last = efforts.len().saturating_sub(1);
    // And before which point each belongs.
    let mut skipped = Vec::new();
    for (at, &effort) in efforts.iter().enumerate() {
        if at != 0 && at != last && effort.effort < least {
            continue;
        }
        if at % 2 == 1 && at != last {
            skipped.push((curve.points.len(), effort));
            continue;
        }
        let point = measured(effort)?;
        curve.points.push(point);
        if point.found >= wanted - wanted / MISSED {
            break;
        }
    }
    // From behind, so that those before stay where they are.
    for (at, effort) in skipped.into_iter().rev() {
        let Some(greater) = curve.points.get(at) else { continue };
        let promise = curve.promised(greater, queries);
        if promise >= WORTHWHILE && promise - curve.promised(&curve.points[at - 1], queries) > APART {
            let point = measured(effort)?;
            curve.points.insert(at, point);
        }
    }
    Ok(curve)
}

impl Sample<'_> {
    fn is_live(&self, row: u64) -> bool {
        let word = self.excluded.and_then(|words| words.get((row / 64) as usize));
        word.is_none_or(|word| word >> (row % 64) & 1 == 0)
    }

    /// Number of rows that are neither deleted nor out of range.
    fn live(&self) -> u64 {
        (self.first_row..self.end_row).filter(|row| self.is_live(*row)).count() as u64
    }

    /// The rows that queries are taken from, ascending: twice as many, as far as the `live` ones go.
    fn choose(&self, live: u64) -> Vec<u64> {
        let count = self.queries.min(u32::MAX as usize / 2) * 2;
        let picks = Random::new(self.seed, STREAM).sample(live, count);
        let live = (self.first_row..self.end_row).filter(|row| self.is_live(*row));
        let mut picks = picks.into_iter().peekable();
        live.zip(0u64..).filter_map(|(row, at)| picks.next_if_eq(&at).map(|_| row)).collect()
    }

    /// The half of `drawn` that is farther from its `k` nearest of the `live` rows, in the order of the rows.
    ///
    /// Rows have each other for neighbours; queries come from elsewhere, and as a rule from farther away, where neighbours are
    /// harder to find. What is promised to them is what the farther half of the rows finds. Products depend on the size of a query and
    /// neighbours do not, so that they are compared as if all queries had the same. How far the neighbours are is told well enough by an
    /// eighth of the rows and an eighth of `k`.
    fn farther(&self, mut drawn: Vec<u64>, live: u64, k: usize) -> Result<Vec<u64>, IndexError> {
        let count = drawn.len().div_ceil(2);
        let step = (live / LEAST_THINNED).clamp(1, THINNED);
        if k == 0 {
            drawn.truncate(count);
            return Ok(drawn);
        }
        let nearest = self.nearest(&drawn, k.div_ceil(step as usize), step)?;
        let queries = self.queries_of(&drawn)?;
        let distance = |at: usize| {
            let farthest = nearest[at].last().map_or(0.0, |hit| hit.distance);
            let size = if self.metric == Metric::InnerProduct { queries.norm(at).sqrt() } else { 1.0 };
            if size > 0.0 { farthest / size } else { 0.0 }
        };
        let mut order: Vec<(f64, u64)> =
            drawn.iter().enumerate().map(|(at, row)| (distance(at), *row)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut chosen: Vec<u64> = order[..count].iter().map(|(_, row)| *row).collect();
        chosen.sort_unstable();
        Ok(chosen)
    }

    fn queries_of(&self, chosen: &[u64]) -> Result<Queries, IndexError> {
        let (dim, dtype) = (self.rows.dim(), self.rows.dtype());
        let (mut numbers, mut bits) = (Vec::new(), Vec::new());
        for &row in chosen {
            let one = self.rows.rows(row..row + 1)?;
            match dtype {
                DType::B1 => bits.extend_from_slice(one.bytes()),
                _ => numbers.extend(reference::widen(dtype, one.bytes())),
            }
        }
        match dtype {
            DType::B1 => Queries::of_bits(&bits, dim),
            _ => Queries::new(&numbers, dim, dtype, self.metric),
        }
        .map_err(IndexError::source)
    }

    /// The `k` nearest of each of `queries`, rows themselves, by an exact scan of every `step`-th row, itself left out.
    ///
    /// Threads share the queries, and each looks at all rows: a scan that begins anew has no bounds yet, and until it has, it
    /// decides every row for each of its queries.
    fn nearest(&self, queries: &[u64], k: usize, step: u64) -> Result<Vec<Vec<Neighbor>>, IndexError> {
        let share = queries.len().div_ceil(rayon::current_num_threads()).max(1);
        let shares: Result<Vec<_>, _> =
            queries.par_chunks(share).map(|queries| self.nearest_of(queries, k, step)).collect();
        Ok(shares?.concat())
    }

    /// As [`nearest`](Self::nearest), by one thread. Rows are scanned under their number divided by `step`.
    fn nearest_of(&self, queries: &[u64], k: usize, step: u64) -> Result<Vec<Vec<Neighbor>>, IndexError> {
        let of_rows = self.queries_of(queries)?;
        let mut scan = ExactScan::new(&of_rows, k + 1).map_err(IndexError::source)?;
        let thinned = self.excluded.filter(|_| step > 1).map(|_| self.thin(step));
        let excluded = thinned.as_deref().or(self.excluded);
        let (dim, dtype) = (self.rows.dim(), self.rows.dtype());
        let piece = (PIECE_BYTES / dtype.row_bytes(dim)).max(1);
        let mut gathered = Vec::new();
        let numbers = self.first_row.div_ceil(step)..self.end_row.div_ceil(step);
        for start in numbers.clone().step_by(piece) {
            if (self.interrupted)() {
                return Err(IndexError::Interrupted);
            }
            let end = numbers.end.min(start + piece as u64);
            if step == 1 {
                scan.push(self.rows.rows(start..end)?, start, excluded);
                continue;
            }
            gathered.clear();
            for row in (start..end).map(|number| number * step) {
                gathered.extend_from_slice(self.rows.rows(row..row + 1)?.bytes());
            }
            scan.push(Vectors::new(&gathered, dim, dtype).map_err(IndexError::source)?, start, excluded);
        }
        Ok(scan.finish().into_iter().zip(queries).map(|(hits, own)| without(hits, *own, k, step)).collect())
    }

    /// [`excluded`](Self::excluded), of every `step`-th row.
    fn thin(&self, step: u64) -> Vec<u64> {
        let mut words = vec![0; (self.end_row.div_ceil(step) as usize).div_ceil(64)];
        let numbers = self.first_row.div_ceil(step)..self.end_row.div_ceil(step);
        numbers
            .filter(|number| !self.is_live(number * step))
            .for_each(|number| words[(number / 64) as usize] |= 1 << (number % 64));
        words
    }
}

/// `hits` among every `step`-th row, without the row `own`, at most `k`.
fn without(mut hits: Vec<Neighbor>, own: u64, k: usize, step: u64) -> Vec<Neighbor> {
    hits.retain(|hit| hit.row * step != own);
    hits.truncate(k);
    hits
}

/// The answers to all queries, and what they cost.
fn answer(search: &Search<'_>, run: &Answer<'_>) -> Result<(Vec<Vec<Neighbor>>, SearchStats), IndexError> {
    let count = search.queries.len();
    let piece = count.div_ceil(PIECES * rayon::current_num_threads()).max(PIECE_QUERIES);
    let pieces = (0..count.div_ceil(piece)).into_par_iter().map(|at| {
        if (search.interrupted)() {
            return Err(IndexError::Interrupted);
        }
        let range = at * piece..count.min((at + 1) * piece);
        let mut tops = vec![TopK::new(search.k); range.len()];
        let mut stats = SearchStats::default();
        run(search, range, &mut tops, &mut stats)?;
        Ok((tops, stats))
    });
    let pieces = pieces.collect::<Result<Vec<_>, _>>()?;
    let mut all = (Vec::with_capacity(count), SearchStats::default());
    for (tops, stats) in pieces {
        all.0.extend(tops.into_iter().map(TopK::into_sorted));
        all.1.distance_computations += stats.distance_computations;
        all.1.reranked += stats.reranked;
    }
    Ok(all)
}

/// Counts what was found: a row counts if it is no farther than the true k-th.
fn count(
    effort: Effort,
    k: usize,
    (answers, stats): &(Vec<Vec<Neighbor>>, SearchStats),
    chosen: &[u64],
    truth: &[Vec<Neighbor>],
) -> Point {
    let mut point = Point {
        effort,
        found: 0,
        found_squared: 0,
        distance_computations: stats.distance_computations,
        reranked: stats.reranked,
    };
    for ((answer, own), truth) in answers.iter().zip(chosen).zip(truth) {
        let farthest = truth.get(k - 1).map_or(f64::NEG_INFINITY, |hit| hit.distance);
        let found = answer.iter().filter(|hit| hit.row != *own).take(k);
        let found = found.filter(|hit| hit.distance <= farthest).count() as u64;
        point.found += found;
        point.found_squared += found * found;
    }
    point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_every_third_row_are_those_of_brute_force() {
        const DIM: usize = 4;
        let mut random = Random::new(5, 0);
        let values: Vec<f32> = (0..200 * DIM).map(|_| random.below(1000) as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
        let excluded = [0x5a5a_0f0f_1234_5678u64, 0, 0x8000_0000_0000_0001, 0];
        let sample = Sample {
            rows: &rows,
            metric: Metric::L2,
            first_row: 7,
            end_row: 190,
            excluded: Some(&excluded),
            seed: 0,
            queries: 0,
            interrupted: &|| false,
        };
        let queries: Vec<u64> = (7..190).filter(|row| sample.is_live(*row)).collect();
        for step in [1, 3] {
            let found = sample.nearest(&queries, 5, step).unwrap();
            for (query, found) in queries.iter().zip(found) {
                let row = |row: u64| &values[row as usize * DIM..][..DIM];
                let others = queries.iter().filter(|other| *other % step == 0 && *other != query);
                let mut distances: Vec<f64> =
                    others.map(|other| reference::l2(row(*query), row(*other))).collect();
                distances.sort_by(f64::total_cmp);
                let found: Vec<f64> = found.iter().map(|hit| hit.distance).collect();
                assert_eq!(found, distances[..5], "row {query}, step {step}");
            }
        }
    }
}
