//! The map as PNG.

use font8x8::UnicodeFonts;
use png::{BitDepth, ColorType, Encoder};

use super::Survey;
use super::picture::{self, Canvas, Colour, INK, WIDTH};

/// Pixels, row by row, three bytes each.
struct Raster {
    height: u32,
    pixels: Vec<u8>,
}

impl Raster {
    fn set(&mut self, x: u32, y: u32, colour: Colour) {
        if x < WIDTH && y < self.height {
            let at = (y as usize * WIDTH as usize + x as usize) * 3;
            self.pixels[at..at + 3].copy_from_slice(&colour);
        }
    }
}

impl Canvas for Raster {
    fn rectangle(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Colour) {
        for y in y..y + height {
            for x in x..x + width {
                self.set(x, y, colour);
            }
        }
    }

    fn text(&mut self, x: u32, y: u32, text: &str) {
        for (index, character) in text.chars().enumerate() {
            let glyph = font8x8::BASIC_FONTS.get(character).or_else(|| font8x8::LATIN_FONTS.get(character));
            let glyph = glyph.or_else(|| font8x8::BASIC_FONTS.get('?')).unwrap_or_default();
            for (row, bits) in glyph.into_iter().enumerate() {
                for bit in (0..8).filter(|bit| bits >> bit & 1 == 1) {
                    self.set(x + 8 * index as u32 + bit, y.saturating_sub(8) + row as u32, INK);
                }
            }
        }
    }
}

/// The whole file.
///
/// # Errors
/// Those of the encoder.
pub(super) fn draw(survey: &Survey) -> anyhow::Result<Vec<u8>> {
    let height = picture::height(survey);
    let mut raster = Raster { height, pixels: vec![0xff; WIDTH as usize * height as usize * 3] };
    picture::draw(survey, &mut raster);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, WIDTH, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&raster.pixels)?;
    writer.finish()?;
    Ok(bytes)
}
