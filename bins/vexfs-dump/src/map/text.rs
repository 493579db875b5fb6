//! The map as characters, for a terminal.

use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::size::format_size;

use super::{COLLECTIONS, FREE, Grid, Survey};
use crate::dump::Dump;

/// Columns where the output is no terminal.
const COLUMNS: usize = 80;
const LINES: usize = 20;

/// A character for each of the entries that are always there.
const FIXED: [char; COLLECTIONS] = ['.', ':', '#', 'j', 'd', 'f'];

fn symbol(entry: usize) -> char {
    match entry.checked_sub(COLLECTIONS) {
        None => FIXED[entry],
        // There are no more than nine of them.
        Some(collection) => (b'A' + collection as u8) as char,
    }
}

/// Prints the cells and what their characters mean.
pub(super) fn show(dump: &mut Dump<'_>, survey: &Survey) -> anyhow::Result<()> {
    let columns = dump.out.terminal_width().map_or(COLUMNS, |width| usize::from(width).max(20));
    let grid = Grid::of(survey, columns, LINES);
    for line in grid.cells.chunks(columns) {
        let line: String = line.iter().map(|&entry| symbol(entry)).collect();
        dump.out.line(format_args!("{line}"))?;
    }
    let mut table = Table::new(&[
        ("", Align::Left),
        ("holds", Align::Left),
        ("size", Align::Right),
        ("objects", Align::Right),
        ("pieces", Align::Right),
    ]);
    for (index, entry) in
        survey.entries.iter().enumerate().filter(|(n, entry)| *n == FREE || entry.blocks > 0)
    {
        let count = |n: u64| if entry.objects == 0 { "-".to_owned() } else { n.to_string() };
        table.row([
            symbol(index).to_string(),
            entry.name.clone(),
            format_size(entry.blocks.saturating_mul(survey.block_size)),
            count(entry.objects),
            count(entry.pieces),
        ]);
    }
    Ok(table.write(dump.out)?)
}
