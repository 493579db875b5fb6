//! What is in the picture, whatever draws it.

use super::axes::{Axes, FIELD};
use crate::result::{Bench, Measured, Mode};

/// Size of the picture.
pub(super) const SIZE: (u32, u32) = (1000, 580);

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// Colours that people with any kind of sight tell apart (Okabe, Ito 2008).
const COLOURS: [Colour; 7] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x00, 0x00],
];
const INK: Colour = [0x22, 0x22, 0x22];
const FAINT: Colour = [0xee, 0xee, 0xee];
const CLEAR: Colour = [0xbb, 0xbb, 0xbb];

/// Characters of an entry of the legend that there is room for.
const ENTRY_CHARS: usize = 26;

/// Where a text stands relative to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a point is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Disc,
    Square,
    Diamond,
}

/// What is drawn, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A line from point to point.
    Line { points: Vec<(f64, f64)>, colour: Colour, width: f64, is_dashed: bool },
    /// A point.
    Mark { at: (f64, f64), mark: Mark, colour: Colour },
    /// A text on one line, or from below to above.
    Text { at: (f64, f64), anchor: Anchor, text: String, is_large: bool, is_upright: bool },
}

impl Shape {
    fn text(at: (f64, f64), anchor: Anchor, text: impl Into<String>) -> Self {
        Self::Text { at, anchor, text: text.into(), is_large: false, is_upright: false }
    }

    fn line(points: &[(f64, f64)], colour: Colour) -> Self {
        Self::Line { points: points.to_vec(), colour, width: 1.0, is_dashed: false }
    }
}

/// The whole picture.
pub(super) fn shapes(bench: &Bench) -> Vec<Shape> {
    let axes = Axes::of(&bench.searches);
    let mut shapes = frame(bench, &axes);
    let (left, top, width, _) = FIELD;
    let x = left + width + 22.0;
    let mut y = top + 12.0;
    for (number, spec) in specs(&bench.searches).into_iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mark = [Mark::Disc, Mark::Square, Mark::Diamond][number % 3];
        for mode in [Mode::Batch, Mode::Single] {
            shapes.extend(curve(bench, &axes, (&spec, mode), (colour, mark)));
        }
        shapes.push(Shape::Mark { at: (x + 6.0, y), mark, colour });
        shapes.push(Shape::text((x + 22.0, y + 4.0), Anchor::Start, shortened(&spec)));
        y += 22.0;
    }
    y += 10.0;
    let threads = bench.searches.iter().map(|search| search.threads).max().unwrap_or(1);
    let batch = format!("batch, {threads} thread{}", if threads == 1 { "" } else { "s" });
    for (text, is_dashed) in [(batch.as_str(), false), ("one at a time, 1 thread", true)] {
        let points = vec![(x - 8.0, y), (x + 18.0, y)];
        shapes.push(Shape::Line { points, colour: INK, width: 2.0, is_dashed });
        shapes.push(Shape::text((x + 26.0, y + 4.0), Anchor::Start, text));
        y += 22.0;
    }
    shapes
}

/// Titles, grid and labels.
fn frame(bench: &Bench, axes: &Axes) -> Vec<Shape> {
    let (left, top, width, height) = FIELD;
    let (right, bottom) = (left + width, top + height);
    let about = &bench.workload;
    let title = format!(
        "{}: {} × {} {}, {}, k = {}",
        about.name, about.rows, about.dim, about.dtype, about.metric, about.k
    );
    let mut shapes = vec![Shape::Text {
        at: (left, 32.0),
        anchor: Anchor::Start,
        text: title,
        is_large: true,
        is_upright: false,
    }];
    for (rate, is_labelled) in axes.rates() {
        let y = axes.y(rate);
        shapes.push(Shape::line(&[(left, y), (right, y)], if is_labelled { CLEAR } else { FAINT }));
        if is_labelled {
            shapes.push(Shape::text((left - 8.0, y + 4.0), Anchor::End, thousands(rate)));
        }
    }
    for recall in axes.recalls() {
        let x = axes.x(recall);
        shapes.push(Shape::line(&[(x, top), (x, bottom)], CLEAR));
        shapes.push(Shape::text((x, bottom + 20.0), Anchor::Middle, recall.to_string()));
    }
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
    shapes.push(Shape::line(&corners, INK));
    let recall = format!("recall@{}", about.k);
    shapes.push(Shape::text((left + width / 2.0, bottom + 48.0), Anchor::Middle, recall));
    shapes.push(Shape::Text {
        at: (20.0, top + height / 2.0),
        anchor: Anchor::Middle,
        text: "queries per second".to_owned(),
        is_large: false,
        is_upright: true,
    });
    shapes
}

/// The searches through one index in one mode.
fn curve(
    bench: &Bench,
    axes: &Axes,
    (spec, mode): (&str, Mode),
    (colour, mark): (Colour, Mark),
) -> Vec<Shape> {
    let searches = bench.searches.iter().filter(|search| search.spec == spec && search.mode == mode);
    let points: Vec<(f64, f64)> =
        searches.map(|search| (axes.x(search.recall), axes.y(search.qps.mean))).collect();
    let marks: Vec<Shape> = points.iter().map(|&at| Shape::Mark { at, mark, colour }).collect();
    let line = Shape::Line { points, colour, width: 2.0, is_dashed: mode == Mode::Single };
    [line].into_iter().chain(marks).collect()
}

/// The indexes in the order of the searches.
fn specs(searches: &[Measured]) -> Vec<String> {
    let mut specs: Vec<String> = Vec::new();
    for search in searches {
        if !specs.contains(&search.spec) {
            specs.push(search.spec.clone());
        }
    }
    specs
}

/// `text` as far as there is room.
fn shortened(text: &str) -> String {
    if text.chars().count() <= ENTRY_CHARS {
        return text.to_owned();
    }
    text.chars().take(ENTRY_CHARS - 2).chain("..".chars()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_readable() {
        assert_eq!([0.1, 100.0, 1000.0, 1e6].map(thousands), ["0.1", "100", "1,000", "1,000,000"]);
        assert_eq!(shortened("hnsw,m=16"), "hnsw,m=16");
        let long = shortened("ivf-pq,nlist=1024,pq_m=32,nbits=4");
        assert!(long.ends_with("..") && long.chars().count() == ENTRY_CHARS, "{long}");
    }
}
