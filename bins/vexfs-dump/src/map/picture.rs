//! What is drawn, whatever it is drawn on: the cells, a tick where data goes on after a break, and the legend.

use vexfs_cli::size::format_size;

use super::{COLLECTIONS, FREE, Grid, Survey};

/// Cells of a line, and most lines.
const COLUMNS: usize = 256;
const LINES: usize = 48;
/// Pixels of a cell.
const CELL: (u32, u32) = (4, 10);
const MARGIN: u32 = 16;
/// Pixels of a line of text, and of one of its characters.
const TEXT: (u32, u32) = (8, 20);
/// Pixels of the whole picture across.
pub(super) const WIDTH: u32 = COLUMNS as u32 * CELL.0 + 2 * MARGIN;

/// A colour: red, green, blue.
pub(super) type Colour = [u8; 3];

pub(super) const INK: Colour = [0x22, 0x22, 0x22];
const BREAK: Colour = [0xd0, 0x00, 0x00];
const FIXED: [Colour; COLLECTIONS] = [
    [0xf2, 0xf2, 0xf2],
    [0xdd, 0xe8, 0xf4],
    [0x55, 0x55, 0x55],
    [0x9a, 0x7b, 0x4f],
    [0xa9, 0xa9, 0xa9],
    [0xe8, 0xc5, 0x47],
];
/// The colours of Okabe and Ito's palette that are left, and lighter and darker ones of the same hues: told apart by people
/// who see colours differently, too.
const COLLECTION_COLOURS: [Colour; 9] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0x56, 0xb4, 0xe9],
    [0xe6, 0x9f, 0x00],
    [0x7f, 0xce, 0xb9],
    [0x8c, 0x3f, 0x6e],
    [0x80, 0x80, 0xb0],
];

/// Something to draw on.
pub(super) trait Canvas {
    /// A filled rectangle from (`x`, `y`), in pixels from the upper left.
    fn rectangle(&mut self, x: u32, y: u32, width: u32, height: u32, colour: Colour);
    /// A line of text of which (`x`, `y`) is the lower left.
    fn text(&mut self, x: u32, y: u32, text: &str);
}

fn colour(entry: usize) -> Colour {
    let of_collection = || COLLECTION_COLOURS[(entry - COLLECTIONS) % COLLECTION_COLOURS.len()];
    FIXED.get(entry).copied().unwrap_or_else(of_collection)
}

/// Pixels down of the picture of `survey`.
pub(super) fn height(survey: &Survey) -> u32 {
    let lines = Grid::of(survey, COLUMNS, LINES).lines() as u32;
    2 * MARGIN + TEXT.1 + lines * CELL.1 + TEXT.1 * (legend(survey).count() as u32 + 2)
}

/// Draws `survey`.
pub(super) fn draw(survey: &Survey, canvas: &mut impl Canvas) {
    let grid = Grid::of(survey, COLUMNS, LINES);
    let size = format_size(survey.blocks.saturating_mul(survey.block_size));
    canvas.text(MARGIN, MARGIN + TEXT.1 - 8, &format!("{}, {size}", survey.title));
    let top = MARGIN + TEXT.1;
    for (line, cells) in grid.cells.chunks(COLUMNS).enumerate() {
        let y = top + line as u32 * CELL.1;
        let mut x = MARGIN;
        for run in cells.chunk_by(|a, b| a == b) {
            let width = run.len() as u32 * CELL.0;
            canvas.rectangle(x, y, width, CELL.1 - 1, colour(run[0]));
            x += width;
        }
    }
    for (cell, _) in grid.breaks.iter().enumerate().filter(|(_, is_break)| **is_break) {
        let (line, column) = ((cell / COLUMNS) as u32, (cell % COLUMNS) as u32);
        canvas.rectangle(MARGIN + column * CELL.0, top + line * CELL.1, 1, CELL.1 - 1, BREAK);
    }
    let mut y = top + grid.lines() as u32 * CELL.1 + TEXT.1;
    for (index, text) in legend(survey) {
        canvas.rectangle(MARGIN, y - 12, 14, 14, colour(index));
        canvas.text(MARGIN + 3 * TEXT.0, y, &text);
        y += TEXT.1;
    }
    canvas.rectangle(MARGIN + 6, y - 12, 1, 14, BREAK);
    canvas.text(MARGIN + 3 * TEXT.0, y, "data goes on here that broke off elsewhere");
}

/// Entries that are shown, and what is said of them.
fn legend(survey: &Survey) -> impl Iterator<Item = (usize, String)> + '_ {
    let shown = |(index, entry): &(usize, &super::Entry)| *index == FREE || entry.blocks > 0;
    survey.entries.iter().enumerate().filter(shown).map(|(index, entry)| {
        let size = format_size(entry.blocks.saturating_mul(survey.block_size));
        let pieces = match entry.objects {
            0 => String::new(),
            objects => format!(": {objects} objects in {} pieces", entry.pieces),
        };
        (index, format!("{}, {size}{pieces}", entry.name))
    })
}
