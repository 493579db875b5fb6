//! Mean, deviation and confidence interval of repeated measurements.

use serde::{Deserialize, Serialize};

/// 97.5 % quantiles of Student's t distribution for 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The same beyond that: the normal distribution, which is a little narrower.
const NORMAL: f64 = 1.96;

/// What repeated measurements gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statistic {
    /// Number of measurements.
    pub(crate) runs: usize,
    pub(crate) mean: f64,
    /// Standard deviation of one measurement; 0 for a single one.
    pub(crate) deviation: f64,
    /// 95 % confidence interval of the mean; the mean itself for a single measurement.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Statistic {
    /// Of at least one measurement.
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let freedom = values.len().saturating_sub(1);
        let deviation = if freedom == 0 { 0.0 } else { (squares / freedom as f64).sqrt() };
        let quantile = T.get(freedom.wrapping_sub(1)).copied().unwrap_or(NORMAL);
        let half = quantile * deviation / count.sqrt();
        Self { runs: values.len(), mean, deviation, low: mean - half, high: mean + half }
    }
}

/// The value below which `share` of the sorted `values` lie; 0 of none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_sample_by_hand() {
        let statistic = Statistic::of(&[2.0, 4.0, 6.0]);
        assert_eq!((statistic.mean, statistic.deviation, statistic.runs), (4.0, 2.0, 3));
        assert!((statistic.high - (4.0 + 4.303 * 2.0 / 3f64.sqrt())).abs() < 1e-12);
        assert!((statistic.low + statistic.high - 8.0).abs() < 1e-12);
        let one = Statistic::of(&[5.0]);
        assert_eq!((one.mean, one.low, one.high), (5.0, 5.0, 5.0));
    }

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99)), (50.0, 99.0));
        assert_eq!((percentile(&values[..1], 0.99), percentile(&[], 0.5)), (1.0, 0.0));
    }
}
