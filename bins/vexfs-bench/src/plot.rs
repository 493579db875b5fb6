//! The plot: recall against queries per second, a curve for each index and mode, as SVG.

use std::fmt::Write;

use crate::result::{Bench, Measured, Mode};

/// Size of the picture, and of the field within it.
const SIZE: (f64, f64) = (1000.0, 560.0);
const FIELD: (f64, f64, f64, f64) = (80.0, 50.0, 600.0, 440.0);
/// Colours that people with any kind of sight tell apart (Okabe, Ito 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The picture.
pub(crate) fn svg(bench: &Bench) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = draw(bench, &mut out);
    out
}

fn draw(bench: &Bench, out: &mut String) -> std::fmt::Result {
    let (left, top, wide, high) = FIELD;
    let axes = Axes::of(&bench.searches);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"13\">",
        SIZE.0, SIZE.1
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    let about = &bench.workload;
    let title = format!(
        "{}: {} × {} {}, {}, k = {}",
        about.name, about.rows, about.dim, about.dtype, about.metric, about.k
    );
    writeln!(out, "<text x=\"{left}\" y=\"30\" font-size=\"16\">{}</text>", escaped(&title))?;
    for recall in axes.recalls() {
        let x = axes.x(recall);
        writeln!(out, "<path d=\"M{x:.1} {top}V{}\" stroke=\"#ddd\"/>", top + high)?;
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{recall:.3}</text>",
            top + high + 20.0
        )?;
    }
    for (rate, is_labelled) in axes.rates() {
        let y = axes.y(rate);
        writeln!(
            out,
            "<path d=\"M{left} {y:.1}H{}\" stroke=\"{}\"/>",
            left + wide,
            if is_labelled { "#bbb" } else { "#eee" }
        )?;
        if is_labelled {
            writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                thousands(rate)
            )?;
        }
    }
    writeln!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" stroke=\"#444\"/>"
    )?;
    writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">recall@{}</text>",
        left + wide / 2.0,
        top + high + 45.0,
        about.k
    )?;
    writeln!(
        out,
        "<text transform=\"translate(18 {}) rotate(-90)\" text-anchor=\"middle\">queries per second</text>",
        top + high / 2.0
    )?;
    for (number, (spec, mode)) in curves(&bench.searches).into_iter().enumerate() {
        let points = bench.searches.iter().filter(|search| search.spec == spec && search.mode == mode);
        let colour = COLOURS[number / 2 % COLOURS.len()];
        let dashes = if mode == Mode::Single { " stroke-dasharray=\"6 4\"" } else { "" };
        let places: Vec<(f64, f64)> =
            points.map(|search| (axes.x(search.recall), axes.y(search.qps.mean))).collect();
        let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let line = line.join(" ");
        writeln!(
            out,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>"
        )?;
        for (x, y) in places {
            writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>")?;
        }
        let (x, y) = (left + wide + 16.0, top + 12.0 + 20.0 * number as f64);
        writeln!(out, "<path d=\"M{x} {y}h26\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>")?;
        writeln!(
            out,
            "<text x=\"{}\" y=\"{}\">{} {}</text>",
            x + 32.0,
            y + 4.0,
            escaped(&spec),
            mode.name()
        )?;
    }
    writeln!(out, "</svg>")
}

/// Index and mode of each curve, in the order of the searches.
fn curves(searches: &[Measured]) -> Vec<(String, Mode)> {
    let mut curves: Vec<(String, Mode)> = Vec::new();
    for search in searches {
        if !curves.iter().any(|(spec, mode)| *spec == search.spec && *mode == search.mode) {
            curves.push((search.spec.clone(), search.mode));
        }
    }
    curves
}

/// Where a recall and a rate are in the picture.
struct Axes {
    lowest: f64,
    /// Powers of ten that the rates lie between.
    decades: (i32, i32),
}

impl Axes {
    fn of(searches: &[Measured]) -> Self {
        // Below 0.5 nobody wants an answer; curves that begin there begin at the edge.
        let lowest = searches.iter().map(|search| search.recall).fold(0.99, f64::min).max(0.5);
        let lowest = ((lowest * 20.0).floor() / 20.0).min(0.95);
        let rates = || searches.iter().map(|search| search.qps.mean.max(1e-3).log10());
        let low = rates().fold(f64::INFINITY, f64::min).floor();
        let high = rates().fold(f64::NEG_INFINITY, f64::max).ceil();
        let low = if low.is_finite() { low as i32 } else { 0 };
        let high = if high.is_finite() { high as i32 } else { 1 };
        Self { lowest, decades: (low, high.max(low + 1)) }
    }

    fn x(&self, recall: f64) -> f64 {
        let share = ((recall - self.lowest) / (1.0 - self.lowest)).clamp(0.0, 1.0);
        FIELD.0 + share * FIELD.2
    }

    fn y(&self, rate: f64) -> f64 {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let share = ((rate.max(1e-3).log10() - low) / (high - low)).clamp(0.0, 1.0);
        FIELD.1 + (1.0 - share) * FIELD.3
    }

    fn recalls(&self) -> Vec<f64> {
        (0..=5).map(|step| self.lowest + (1.0 - self.lowest) * f64::from(step) / 5.0).collect()
    }

    /// Rates that get a line, and whether they get a label.
    fn rates(&self) -> Vec<(f64, bool)> {
        let decade =
            |power: i32| (1..10).map(move |times| (f64::from(times) * 10f64.powi(power), times == 1));
        let mut rates: Vec<_> = (self.decades.0..self.decades.1).flat_map(decade).collect();
        rates.push((10f64.powi(self.decades.1), true));
        rates
    }
}

/// A whole number with a comma after each three digits; others as they are.
fn thousands(rate: f64) -> String {
    if rate < 1.0 {
        return rate.to_string();
    }
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_readable() {
        assert_eq!([0.1, 100.0, 1000.0, 1e6].map(thousands), ["0.1", "100", "1,000", "1,000,000"]);
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
    }

    #[test]
    fn points_lie_within_the_field() {
        let axes = Axes { lowest: 0.9, decades: (2, 5) };
        assert_eq!((axes.x(0.9), axes.x(1.0), axes.x(0.0)), (FIELD.0, FIELD.0 + FIELD.2, FIELD.0));
        assert_eq!((axes.y(1e5), axes.y(1e2), axes.y(0.0)), (FIELD.1, FIELD.1 + FIELD.3, FIELD.1 + FIELD.3));
        assert_eq!(axes.rates().len(), 28);
        let empty = Axes::of(&[]);
        assert!(empty.decades.0 < empty.decades.1 && empty.lowest < 1.0);
    }
}
