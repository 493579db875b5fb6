//! Where a recall and a rate are in the picture.
//!
//! What tells good searches apart is the share of neighbours they miss: 0.99 is as far from 0.9 as 0.999 is from 0.99. The axis of
//! recall is therefore logarithmic in 1 − recall, and ends in 1 beyond the least share that can be measured. The axis of rates is
//! logarithmic too.

use crate::result::Measured;

/// Left, top, width and height of the field in the picture.
pub(super) const FIELD: (f64, f64, f64, f64) = (90.0, 56.0, 610.0, 440.0);

/// Recalls that may get a line; below the first nobody wants an answer.
const RECALLS: [f64; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999];
/// Width of the strip of the field that belongs to a recall of 1.
const PERFECT: f64 = 36.0;

/// The axes of a plot.
#[derive(Debug)]
pub(super) struct Axes {
    /// Least recall, and the greatest below 1.
    recalls: (f64, f64),
    /// Powers of ten that the rates lie between.
    decades: (i32, i32),
}

impl Axes {
    pub(super) fn of(searches: &[Measured]) -> Self {
        let imperfect = || searches.iter().map(|search| search.recall).filter(|recall| *recall < 1.0);
        let least = imperfect().fold(0.9, f64::min);
        let most = imperfect().fold(0.99, f64::max);
        let first = RECALLS.into_iter().rev().find(|recall| *recall <= least).unwrap_or(RECALLS[0]);
        let last = RECALLS.into_iter().find(|recall| *recall >= most).unwrap_or(RECALLS[RECALLS.len() - 1]);
        let rates = || searches.iter().map(|search| search.qps.mean.max(1e-3).log10());
        let low = rates().fold(f64::INFINITY, f64::min).floor();
        let high = rates().fold(f64::NEG_INFINITY, f64::max).ceil();
        let low = if low.is_finite() { low as i32 } else { 0 };
        let high = if high.is_finite() { high as i32 } else { 1 };
        Self { recalls: (first, last), decades: (low, high.max(low + 1)) }
    }

    /// Place of a recall from left to right; what lies off the axis is put at its end.
    pub(super) fn x(&self, recall: f64) -> f64 {
        let (left, _, width, _) = FIELD;
        if recall >= 1.0 {
            return left + width;
        }
        let (first, last) = self.recalls;
        let missed = |recall: f64| -(1.0 - recall).log10();
        let share = (missed(recall) - missed(first)) / (missed(last) - missed(first));
        left + share.clamp(0.0, 1.0) * (width - PERFECT)
    }

    /// Place of a rate from the top.
    pub(super) fn y(&self, rate: f64) -> f64 {
        let (_, top, _, height) = FIELD;
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let share = ((rate.max(1e-3).log10() - low) / (high - low)).clamp(0.0, 1.0);
        top + (1.0 - share) * height
    }

    /// Recalls that get a line.
    pub(super) fn recalls(&self) -> Vec<f64> {
        let (first, last) = self.recalls;
        let within = RECALLS.into_iter().filter(|recall| (first..=last).contains(recall));
        within.chain([1.0]).collect()
    }

    /// Rates that get a line, and whether they get a label: powers of ten, and of few decades also their two- and fivefold.
    pub(super) fn rates(&self) -> Vec<(f64, bool)> {
        let (low, high) = self.decades;
        let labelled: &[i32] = if high - low <= 2 { &[1, 2, 5] } else { &[1] };
        let decade = |power: i32| {
            (1..10).map(move |times| (f64::from(times) * 10f64.powi(power), labelled.contains(&times)))
        };
        (low..high).flat_map(decade).chain([(10f64.powi(high), true)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_within_the_field() {
        let axes = Axes { recalls: (0.9, 0.999), decades: (2, 5) };
        let (left, top, width, height) = FIELD;
        assert_eq!((axes.x(0.9), axes.x(1.0), axes.x(0.0)), (left, left + width, left));
        assert!(axes.x(0.999) < axes.x(1.0) && axes.x(0.9999) == axes.x(0.999));
        assert_eq!((axes.y(1e5), axes.y(1e2), axes.y(0.0)), (top, top + height, top + height));
        // Each nine is as wide as the one before.
        let nine = |from: f64, to: f64| axes.x(to) - axes.x(from);
        assert!((nine(0.9, 0.99) - nine(0.99, 0.999)).abs() < 1e-6);
    }

    #[test]
    fn lines_are_few_and_in_order() {
        let axes = Axes { recalls: (0.9, 0.99), decades: (2, 5) };
        assert_eq!(axes.recalls(), [0.9, 0.95, 0.98, 0.99, 1.0]);
        assert_eq!(axes.rates().len(), 28);
        assert_eq!(axes.rates().iter().filter(|(_, is_labelled)| *is_labelled).count(), 4);
        let empty = Axes::of(&[]);
        assert!(empty.decades.0 < empty.decades.1 && empty.recalls.0 < empty.recalls.1);
    }
}
