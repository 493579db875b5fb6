//! The picture as PNG, with smooth lines, in twice the size of the SVG: sharp on any screen.

use font8x8::UnicodeFonts;
use png::{BitDepth, ColorType, Encoder};

use super::picture::{Anchor, Colour, Mark, SIZE, Shape};

/// Pixels for a unit of the picture.
const SCALE: f64 = 2.0;
/// Pixels of a dot of a character, in small and in large text.
const DOTS: (i64, i64) = (2, 3);
const INK: Colour = [0x22, 0x22, 0x22];
/// Lengths of a dash and of the gap behind it.
const DASH: (f64, f64) = (6.0, 4.0);

/// Pixels, row by row, three bytes each.
struct Raster {
    size: (i64, i64),
    pixels: Vec<u8>,
}

/// The whole file.
///
/// # Errors
/// Those of the encoder.
pub(super) fn draw(shapes: &[Shape]) -> anyhow::Result<Vec<u8>> {
    let scale = SCALE as u32;
    let (width, height) = (SIZE.0 * scale, SIZE.1 * scale);
    let pixels = vec![0xff; width as usize * height as usize * 3];
    let mut raster = Raster { size: (i64::from(width), i64::from(height)), pixels };
    shapes.iter().for_each(|shape| raster.shape(shape));
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&raster.pixels)?;
    writer.finish()?;
    Ok(bytes)
}

impl Raster {
    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, colour, width, is_dashed } => {
                let pieces = if *is_dashed { dashes(points) } else { pairs(points).collect() };
                for (from, to) in pieces {
                    self.line(scaled(from), scaled(to), width * SCALE / 2.0, *colour);
                }
            }
            Shape::Mark { at, mark, colour } => self.mark(scaled(*at), *mark, *colour),
            Shape::Text { at, anchor, text, is_large, is_upright } => {
                let dot = if *is_large { DOTS.1 } else { DOTS.0 };
                let length = text.chars().count() as i64 * 8 * dot;
                let back = match anchor {
                    Anchor::Start => 0,
                    Anchor::Middle => length / 2,
                    Anchor::End => length,
                };
                self.text(scaled(*at), back, text, dot, *is_upright);
            }
        }
    }

    /// Covers each pixel near the line as far as the line does.
    fn line(&mut self, from: (f64, f64), to: (f64, f64), half: f64, colour: Colour) {
        let reach = half + 1.0;
        let (x0, x1) = (from.0.min(to.0) - reach, from.0.max(to.0) + reach);
        let (y0, y1) = (from.1.min(to.1) - reach, from.1.max(to.1) + reach);
        self.fill((x0, y0), (x1, y1), colour, |point| half + 0.5 - distance(point, from, to));
    }

    fn mark(&mut self, (x, y): (f64, f64), mark: Mark, colour: Colour) {
        let reach = 6.0 * SCALE;
        self.fill((x - reach, y - reach), (x + reach, y + reach), colour, |(px, py)| {
            let (dx, dy) = ((px - x).abs(), (py - y).abs());
            match mark {
                Mark::Disc => 4.0 * SCALE + 0.5 - dx.hypot(dy),
                Mark::Square => 3.5 * SCALE + 0.5 - dx.max(dy),
                Mark::Diamond => (5.0 * SCALE - dx - dy) / 2f64.sqrt() + 0.5,
            }
        });
    }

    /// Mixes `colour` into the pixels of a rectangle, by the share of each that `coverage` says, between 0 and 1.
    fn fill(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        colour: Colour,
        coverage: impl Fn((f64, f64)) -> f64,
    ) {
        let within = |value: f64, most: i64| (value.floor() as i64).clamp(0, most);
        for y in within(from.1, self.size.1)..within(to.1 + 1.0, self.size.1) {
            for x in within(from.0, self.size.0)..within(to.0 + 1.0, self.size.0) {
                let share = coverage((x as f64 + 0.5, y as f64 + 0.5)).clamp(0.0, 1.0);
                self.mix(x, y, colour, share);
            }
        }
    }

    fn mix(&mut self, x: i64, y: i64, colour: Colour, share: f64) {
        if (0..self.size.0).contains(&x) && (0..self.size.1).contains(&y) {
            let at = (y * self.size.0 + x) as usize * 3;
            for (old, new) in self.pixels[at..at + 3].iter_mut().zip(colour) {
                *old = (f64::from(*old) * (1.0 - share) + f64::from(new) * share).round() as u8;
            }
        }
    }

    /// Characters from `back` pixels before `at` on; upright ones go upwards.
    fn text(&mut self, (x, y): (f64, f64), back: i64, text: &str, dot: i64, is_upright: bool) {
        let (x, y) = (x.round() as i64, y.round() as i64);
        for (number, character) in text.chars().enumerate() {
            let glyph = font8x8::BASIC_FONTS.get(character).or_else(|| font8x8::LATIN_FONTS.get(character));
            let glyph = glyph.or_else(|| font8x8::BASIC_FONTS.get('?')).unwrap_or_default();
            for (row, bits) in (0..8).zip(glyph) {
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let along = (8 * number as i64 + column) * dot - back;
                    let down = (row - 7) * dot;
                    for (along, down) in (0..dot * dot).map(|at| (along + at % dot, down + at / dot)) {
                        let (px, py) = if is_upright { (x + down, y - along) } else { (x + along, y + down) };
                        self.mix(px, py, INK, 1.0);
                    }
                }
            }
        }
    }
}

fn scaled((x, y): (f64, f64)) -> (f64, f64) {
    (x * SCALE, y * SCALE)
}

/// The pieces of a line from point to point.
fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    points.iter().copied().zip(points.iter().copied().skip(1))
}

/// The dashes of a line, which go on across its corners.
fn dashes(points: &[(f64, f64)]) -> Vec<((f64, f64), (f64, f64))> {
    let (dash, gap) = DASH;
    let mut pieces = Vec::new();
    let mut walked = 0.0;
    for (from, to) in pairs(points) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let place = |at: f64| {
            let share = if length > 0.0 { at / length } else { 0.0 };
            (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
        };
        // Where the dash begins that covers the first point, seen from there.
        let mut start = -(walked % (dash + gap));
        while start < length {
            let end = (start + dash).min(length);
            if end > 0.0 {
                pieces.push((place(start.max(0.0)), place(end)));
            }
            start += dash + gap;
        }
        walked += length;
    }
    pieces
}

/// Distance of a point from the line between two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let square = dx * dx + dy * dy;
    let along = (point.0 - from.0) * dx + (point.1 - from.1) * dy;
    let share = if square > 0.0 { (along / square).clamp(0.0, 1.0) } else { 0.0 };
    (point.0 - from.0 - share * dx).hypot(point.1 - from.1 - share * dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_go_on_across_corners() {
        let whole: Vec<f64> =
            dashes(&[(0.0, 0.0), (25.0, 0.0)]).iter().map(|(from, to)| to.0 - from.0).collect();
        assert_eq!(whole, [6.0, 6.0, 5.0]);
        let bent = dashes(&[(0.0, 0.0), (8.0, 0.0), (8.0, 17.0)]);
        assert_eq!(bent, [((0.0, 0.0), (6.0, 0.0)), ((8.0, 2.0), (8.0, 8.0)), ((8.0, 12.0), (8.0, 17.0))]);
        assert_eq!(dashes(&[(1.0, 1.0)]), []);
        assert_eq!(dashes(&[(1.0, 1.0), (1.0, 1.0)]), []);
    }

    #[test]
    fn a_line_covers_what_is_near_it() {
        assert_eq!(distance((5.0, 3.0), (0.0, 0.0), (10.0, 0.0)), 3.0);
        assert_eq!(distance((13.0, 4.0), (0.0, 0.0), (10.0, 0.0)), 5.0);
        assert_eq!(distance((3.0, 4.0), (0.0, 0.0), (0.0, 0.0)), 5.0);
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let line = Shape::Line {
            points: vec![(-50.0, -50.0), (5000.0, 400.0)],
            colour: [0; 3],
            width: 2.0,
            is_dashed: true,
        };
        let mark = Shape::Mark { at: (-3.0, 9000.0), mark: Mark::Disc, colour: [0; 3] };
        let bytes = draw(&[line, mark]).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG"));
    }
}
