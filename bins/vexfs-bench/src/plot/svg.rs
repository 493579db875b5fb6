//! The picture as SVG.

use std::fmt::{self, Write};

use super::picture::{Anchor, Colour, Mark, SIZE, Shape};

/// The whole file.
pub(super) fn draw(shapes: &[Shape]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(shapes, &mut out);
    out
}

fn write(shapes: &[Shape], out: &mut String) -> fmt::Result {
    let (width, height) = SIZE;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    shapes.iter().try_for_each(|shape| write_shape(shape, out))?;
    writeln!(out, "</svg>")
}

fn write_shape(shape: &Shape, out: &mut String) -> fmt::Result {
    match shape {
        Shape::Line { points, colour, width, is_dashed } => {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let dashes = if *is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
            writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"{dashes}/>",
                points.join(" "),
                hex(*colour)
            )
        }
        Shape::Mark { at: (x, y), mark, colour } => {
            let colour = hex(*colour);
            match mark {
                Mark::Disc => {
                    writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>")
                }
                Mark::Square => writeln!(
                    out,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\" fill=\"{colour}\"/>",
                    x - 3.5,
                    y - 3.5
                ),
                Mark::Diamond => {
                    writeln!(out, "<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\" fill=\"{colour}\"/>", y - 5.0)
                }
            }
        }
        Shape::Text { at: (x, y), anchor, text, is_large, is_upright } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let size = if *is_large { " font-size=\"16\"" } else { "" };
            let turn = if *is_upright { " rotate(-90)" } else { "" };
            writeln!(
                out,
                "<text transform=\"translate({x:.1} {y:.1}){turn}\" text-anchor=\"{anchor}\"{size}>{}</text>",
                escaped(text)
            )
        }
    }
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a<b>&c"), "a&lt;b&gt;&amp;c");
        assert_eq!(hex([0, 0x72, 0xb2]), "#0072b2");
    }
}
