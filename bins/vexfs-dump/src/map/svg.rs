//! The map as SVG.

use std::fmt::Write;

use super::Survey;
use super::picture::{self, Canvas, Colour, INK, WIDTH};

struct Svg(String);

/// A colour as `#rrggbb`.
fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

impl Canvas for Svg {
    fn rectangle(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Colour) {
        let fill = hex(colour);
        // Writing to a string cannot fail.
        let _ =
            writeln!(self.0, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>"#);
    }

    fn text(&mut self, x: u32, y: u32, text: &str) {
        let fill = hex(INK);
        let _ = writeln!(self.0, r#"<text x="{x}" y="{y}" fill="{fill}">{}</text>"#, escaped(text));
    }
}

/// Text between tags. XML has no way to write most control characters.
fn escaped(text: &str) -> String {
    let one = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        control if control.is_control() => '\u{fffd}'.to_string(),
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}'.to_string(),
        other => other.to_string(),
    };
    text.chars().map(one).collect()
}

/// The whole document.
pub(super) fn draw(survey: &Survey) -> String {
    let height = picture::height(survey);
    let mut svg = Svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    ));
    picture::draw(survey, &mut svg);
    svg.0.push_str("</svg>\n");
    svg.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_element() {
        assert_eq!(escaped("a<b>&\u{7}c"), "a&lt;b&gt;&amp;\u{fffd}c");
    }
}
