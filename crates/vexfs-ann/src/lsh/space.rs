//! Where rows and queries are hashed: moved so that the middle of the rows is at zero, and such that near means close.
//!
//! - **l2**: x − m.
//! - **cosine**: x / |x| − m: on the unit sphere the order by cosine is that by distance. Zero stays zero before m is taken off.
//! - **ip**: rows get one more element that gives all of them the norm M, queries are scaled to M and get zero there: then the
//!   order by inner product is that by distance (Bachrach et al., RecSys 2014, section 3.1). Rows longer than M are scaled to M.
//!   All is divided by M.
//!
//! With the middle of the rows at zero hyperplanes through zero part them evenly.

use super::params::Params;
use crate::{Metric, reference};

/// The map of rows and queries into the space of hashes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space {
    metric: Metric,
    /// M, of inner products.
    norm: f64,
    /// Middle of the rows, m.
    middle: Vec<f32>,
}

/// Elements in the space of hashes, for vectors of `dim`.
pub(super) fn dim_of(metric: Metric, dim: usize) -> usize {
    if metric == Metric::InnerProduct { dim + 1 } else { dim }
}

impl Space {
    /// With the middle given, [`dim_of`] elements.
    pub(super) fn new(metric: Metric, params: &Params, middle: Vec<f32>) -> Self {
        Self { metric, norm: params.norm, middle }
    }

    /// The middle, m.
    pub(super) fn middle(&self) -> &[f32] {
        &self.middle
    }

    /// Maps a row, in f64.
    pub(super) fn row(&self, row: &[f32], into: &mut Vec<f64>) {
        self.place(row, false, into);
        self.centre(into);
    }

    /// Maps a query, in f64.
    pub(super) fn query(&self, query: &[f32], into: &mut Vec<f64>) {
        self.place(query, true, into);
        self.centre(into);
    }

    /// Maps a row before the middle is taken off: what the middle is the middle of.
    pub(super) fn place(&self, vector: &[f32], is_query: bool, into: &mut Vec<f64>) {
        into.clear();
        let scaled = |scale: f64| vector.iter().map(move |&value| f64::from(value) * scale);
        match self.metric {
            Metric::Cosine => into.extend(scaled(inverse(reference::dot(vector, vector).sqrt()))),
            Metric::InnerProduct => {
                let norm = reference::dot(vector, vector).sqrt();
                let reach = if is_query { 0.0 } else { self.norm };
                into.extend(scaled(if norm < reach { inverse(reach) } else { inverse(norm) }));
                let share = norm * inverse(reach);
                into.push(if norm < reach { (1.0 - share * share).max(0.0).sqrt() } else { 0.0 });
            }
            Metric::L2 | Metric::Hamming => into.extend(scaled(1.0)),
        }
    }

    fn centre(&self, vector: &mut [f64]) {
        vector.iter_mut().zip(&self.middle).for_each(|(value, middle)| *value -= f64::from(*middle));
    }
}

/// 1 / `value`, or 0 for 0.
fn inverse(value: f64) -> f64 {
    if value > 0.0 { 1.0 / value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(norm: f64) -> Params {
        Params { tables: 1, bits: 1, width: 1.0, norm }
    }

    #[test]
    fn the_order_by_inner_product_is_that_by_distance() {
        let rows = [[3.0, 0.5], [-1.0, 2.0], [0.1, -0.2], [2.0, 2.0], [0.0, 0.0], [-2.0, -3.0]];
        let space = Space::new(Metric::InnerProduct, &params(4.0), vec![0.25, -0.5, 0.75]);
        for query in [[1.0f32, 1.0], [-100.0, 1.0], [0.001, -0.002]] {
            let mut at = Vec::new();
            space.query(&query, &mut at);
            let mut by_product: Vec<_> = rows.to_vec();
            by_product.sort_by(|a, b| reference::dot(&query, b).total_cmp(&reference::dot(&query, a)));
            let distance = |row: &[f32; 2]| {
                let mut there = Vec::new();
                space.row(row, &mut there);
                at.iter().zip(&there).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
            };
            assert!(by_product.is_sorted_by(|a, b| distance(a) <= distance(b)), "{query:?}");
        }
    }

    #[test]
    fn zeros_and_giants_stay_finite() {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let space = Space::new(metric, &params(1e-30), vec![0.5; dim_of(metric, 2)]);
            for vector in [[0.0, 0.0], [f32::MAX, f32::MAX], [f32::MIN_POSITIVE, 0.0]] {
                let mut into = Vec::new();
                space.row(&vector, &mut into);
                assert!(into.len() == dim_of(metric, 2) && into.iter().all(|value| value.is_finite()));
                space.query(&vector, &mut into);
                assert!(into.len() == dim_of(metric, 2) && into.iter().all(|value| value.is_finite()));
            }
        }
    }
}
