//! What was counted, and the effort that follows from it.

use std::f64::consts::SQRT_2;
use std::ops::Range;

use crate::index::Effort;

/// One-sided 95 % quantile of the normal distribution: one calibration in twenty promises too much by chance.
const CONFIDENCE: f64 = 1.645;

/// What one effort found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The effort.
    pub effort: Effort,
    /// True neighbours found, over all queries.
    pub found: u64,
    /// Sum over the queries of the square of what each found: tells how evenly the misses are spread.
    pub found_squared: u64,
    /// Distances computed, over all queries.
    pub distance_computations: u64,
    /// Of these, those of full rows.
    pub reranked: u64,
}

/// Recall@k against effort, for one k.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// Neighbours asked for.
    pub k: u32,
    /// From little effort to much.
    pub points: Vec<Point>,
}

/// Recall against effort of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// Queries, each a row of the collection.
    pub queries: u32,
    /// Seed that chose them.
    pub seed: u64,
    /// The rows that were searched.
    pub rows: Range<u64>,
    /// One curve per k, ascending.
    pub curves: Vec<Curve>,
}

/// An effort that was chosen, and what it is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The effort.
    pub effort: Effort,
    /// Distances computed per query.
    pub distance_computations: f64,
    /// Of these, those of full rows.
    pub reranked: f64,
}

impl Calibration {
    /// The least effort by which `k` neighbours are found with a recall of `recall` or more, for queries that nobody
    /// measured; `None` if no effort is known to do that.
    ///
    /// Between measured efforts it goes along the chord, which lies below the curve: recall grows ever more slowly with
    /// effort. Between calibrated k the effort grows with 1 − k₁ / k from that of k₁, faster than in proportion; beyond
    /// the largest it grows in proportion to k.
    pub fn choose(&self, k: usize, recall: f64) -> Option<Choice> {
        let above = self.curves.iter().position(|curve| curve.k as usize >= k);
        let choose = |curve: &Curve| curve.choose(self.queries, recall);
        match above {
            Some(at) if at == 0 || self.curves[at].k as usize == k => choose(&self.curves[at]),
            Some(at) => {
                let (below, above) = (&self.curves[at - 1], &self.curves[at]);
                let share = |k: f64| 1.0 - f64::from(below.k) / k;
                let along = share(k as f64) / share(f64::from(above.k));
                Some(choose(below)?.toward(&choose(above)?, along))
            }
            None => {
                let last = self.curves.last()?;
                Some(choose(last)?.times(k as f64 / f64::from(last.k)))
            }
        }
    }
}

impl Curve {
    /// Share of the true neighbours that `point` found of the `queries` measured.
    pub fn recall(&self, point: &Point, queries: u32) -> f64 {
        point.found as f64 / (f64::from(self.k) * f64::from(queries)).max(1.0)
    }

    /// Recall that `point` exceeds, with a confidence of 95 %, on as many other queries from where these came: what can be promised.
    ///
    /// Both sets are samples, those queries as well as the ones that were measured, so that the difference of their means has twice
    /// the variance of one. The more unevenly the misses are spread, the greater is the margin: where a few hard queries miss most,
    /// other queries may well have more of them.
    pub fn promised(&self, point: &Point, queries: u32) -> f64 {
        let (mean, deviation) = self.estimate(point, queries);
        (mean - CONFIDENCE * SQRT_2 * deviation).max(0.0)
    }

    /// Recall that `point` exceeds on average over all queries from where these came, with a confidence of 95 %.
    ///
    /// The bound is that of the normal approximation with one query added that found nothing: where every neighbour was
    /// found, as many queries as were measured cannot rule out that one in so many finds none. For k = 1 it agrees with
    /// Wilson's interval (Journal of the American Statistical Association 22, 1927) within 1 / queries.
    pub fn lower_bound(&self, point: &Point, queries: u32) -> f64 {
        let (mean, deviation) = self.estimate(point, queries);
        (mean - CONFIDENCE * deviation).max(0.0)
    }

    /// Mean of the recall of a query, one added that found nothing, and the deviation of that mean.
    fn estimate(&self, point: &Point, queries: u32) -> (f64, f64) {
        let (k, count) = (f64::from(self.k), f64::from(queries) + 1.0);
        let mean = point.found as f64 / (k * count);
        let variance = (point.found_squared as f64 / (k * k * count) - mean * mean).max(0.0);
        (mean, (variance / (count - 1.0).max(1.0)).sqrt())
    }

    fn choose(&self, queries: u32, recall: f64) -> Option<Choice> {
        // An effort is worth what the worst of the greater ones is: by chance the curve may fall.
        let mut worst = f64::INFINITY;
        let mut bounds: Vec<f64> = Vec::with_capacity(self.points.len());
        for point in self.points.iter().rev() {
            worst = worst.min(self.promised(point, queries));
            bounds.push(worst);
        }
        bounds.reverse();
        let enough = bounds.iter().position(|bound| *bound >= recall)?;
        let cost = |at: usize| {
            let (point, queries) = (&self.points[at], f64::from(queries.max(1)));
            Choice {
                effort: point.effort,
                distance_computations: point.distance_computations as f64 / queries,
                reranked: point.reranked as f64 / queries,
            }
        };
        let Some(before) = enough.checked_sub(1) else { return Some(cost(enough)) };
        let along = (recall - bounds[before]) / (bounds[enough] - bounds[before]);
        Some(cost(before).toward(&cost(enough), along))
    }
}

impl Choice {
    /// The choice that lies the share `along` of the way to `other`, rounded up; `other` itself if one of the numbers falls
    /// on the way there, because they then do not mean the same.
    fn toward(&self, other: &Self, along: f64) -> Self {
        if self.effort.effort > other.effort.effort || self.effort.rerank > other.effort.rerank {
            return *other;
        }
        let on_the_way = |from: f64, to: f64| from + (to - from) * along;
        let between = |from: u32, to: u32| (from + (f64::from(to - from) * along).ceil() as u32).min(to);
        Self {
            effort: Effort {
                effort: between(self.effort.effort, other.effort.effort),
                rerank: between(self.effort.rerank, other.effort.rerank),
            },
            distance_computations: on_the_way(self.distance_computations, other.distance_computations),
            reranked: on_the_way(self.reranked, other.reranked),
        }
    }

    fn times(&self, factor: f64) -> Self {
        let times = |number: u32| (f64::from(number) * factor).ceil() as u32;
        Self {
            effort: Effort { effort: times(self.effort.effort), rerank: times(self.effort.rerank) },
            distance_computations: self.distance_computations * factor,
            reranked: self.reranked * factor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 queries; efforts and what was found of each query's `k`, evenly.
    fn curve(k: u32, points: &[(u32, u32, f64)]) -> Curve {
        let points = points.iter().map(|&(effort, rerank, recall)| {
            let each = f64::from(k) * recall;
            Point {
                effort: Effort { effort, rerank },
                found: (1000.0 * each) as u64,
                found_squared: (1000.0 * each * each) as u64,
                distance_computations: u64::from(effort) * 1000,
                reranked: 0,
            }
        });
        Curve { k, points: points.collect() }
    }

    fn calibration(curves: Vec<Curve>) -> Calibration {
        Calibration { queries: 1000, seed: 0, rows: 0..1000, curves }
    }

    fn chosen(calibration: &Calibration, k: usize, recall: f64) -> Option<(u32, u32)> {
        calibration.choose(k, recall).map(|choice| (choice.effort.effort, choice.effort.rerank))
    }

    #[test]
    fn more_recall_never_takes_less_effort() {
        let points = [(1, 10, 0.5), (2, 10, 0.8), (4, 20, 0.93), (8, 40, 0.92), (64, 40, 1.0)];
        let calibration = calibration(vec![curve(10, &points)]);
        let mut last = 0;
        for step in 0..=1000 {
            let Some((effort, rerank)) = chosen(&calibration, 10, f64::from(step) / 1000.0) else {
                assert!(step > 990, "{step}");
                continue;
            };
            assert!(effort >= last && (10..=40).contains(&rerank), "{step}");
            last = effort;
        }
        assert_eq!(last, 64);
        assert_eq!(chosen(&calibration, 10, 1.0), None, "a sample proves no recall of 1");
    }

    #[test]
    fn the_promise_is_below_what_was_measured() {
        let curve = curve(10, &[(1, 0, 0.9), (2, 0, 0.97), (3, 0, 1.0)]);
        for point in &curve.points {
            assert!(curve.lower_bound(point, 1000) < curve.recall(point, 1000));
            assert!(curve.promised(point, 1000) < curve.lower_bound(point, 1000));
        }
        let calibration = calibration(vec![curve]);
        assert_eq!(chosen(&calibration, 10, 0.97), Some((3, 0)));
        assert_eq!(chosen(&calibration, 10, 0.0), Some((1, 0)));
    }

    #[test]
    fn uneven_misses_promise_less_than_even_ones() {
        let mut curve = curve(10, &[(1, 0, 0.9)]);
        let even = curve.promised(&curve.points[0], 1000);
        // Nine in ten found everything, one in ten nothing.
        curve.points[0].found_squared = 900 * 100;
        let uneven = curve.promised(&curve.points[0], 1000);
        assert!(uneven < even - 0.01);
        // And the fewer were asked, the less.
        let tenth = Point { found: 900, found_squared: 90 * 100, ..curve.points[0] };
        assert!(curve.promised(&tenth, 100) < uneven - 0.02);
    }

    #[test]
    fn for_k_1_the_bound_is_wilsons() {
        for (queries, found) in [(100, 100), (100, 95), (1000, 1000), (1000, 990), (1000, 600)] {
            let curve = Curve { k: 1, points: Vec::new() };
            let point = Point {
                effort: Effort { effort: 1, rerank: 0 },
                found,
                found_squared: found,
                distance_computations: 0,
                reranked: 0,
            };
            let (n, z2) = (f64::from(queries), CONFIDENCE * CONFIDENCE);
            let p = found as f64 / n;
            let wilson = (p + z2 / (2.0 * n) - CONFIDENCE * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt())
                / (1.0 + z2 / n);
            let bound = curve.lower_bound(&point, queries);
            assert!((bound - wilson).abs() < 1.0 / n, "{queries} {found}: {bound} {wilson}");
        }
    }

    #[test]
    fn other_k_lie_between_or_beyond() {
        let calibration = calibration(vec![
            curve(1, &[(4, 10, 1.0)]),
            curve(10, &[(10, 20, 1.0)]),
            curve(100, &[(100, 200, 1.0)]),
        ]);
        assert_eq!(chosen(&calibration, 1, 0.9), Some((4, 10)));
        assert_eq!(chosen(&calibration, 10, 0.9), Some((10, 20)));
        assert_eq!(chosen(&calibration, 50, 0.9), Some((90, 180)));
        assert_eq!(chosen(&calibration, 100, 0.9), Some((100, 200)));
        assert_eq!(chosen(&calibration, 250, 0.9), Some((250, 500)));
        let mut last = (0, 0);
        for k in 1..=300 {
            let next = chosen(&calibration, k, 0.9).unwrap();
            assert!(next.0 >= last.0 && next.1 >= last.1 && next.1 as usize >= k, "{k}: {next:?}");
            last = next;
        }
        assert_eq!(calibration.choose(usize::MAX, 0.9).unwrap().effort.effort, u32::MAX);
    }

    #[test]
    fn without_points_nothing_is_promised() {
        assert_eq!(calibration(Vec::new()).choose(10, 0.0), None);
        assert_eq!(calibration(vec![curve(10, &[])]).choose(10, 0.0), None);
    }
}
