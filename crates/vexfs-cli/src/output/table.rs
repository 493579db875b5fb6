//! Tables for people: fitted to the terminal, plain elsewhere.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, presets};

use super::printable;
use crate::Output;

/// Width taken when the terminal does not tell its own.
const DEFAULT_WIDTH: u16 = 80;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header.
///
/// On a terminal the table has lines and its cells wrap to fit the width; elsewhere there is a row per line, columns
/// are separated by at least two spaces, and nothing wraps. Control characters in cells are escaped.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns and no rows.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row: a cell per column.
    pub fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.to_string()).into_owned()).collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the table.
    ///
    /// # Errors
    /// The system's answer; a closed pipe as [`Output`] describes.
    pub fn write(&self, out: &mut Output) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table.force_no_tty(); // the width is settled here, and there is no colour
        match out.terminal_width() {
            Some(width) => {
                table.load_style(presets::UTF8_FULL_CONDENSED);
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            None => {
                table.load_style(presets::NOTHING);
            }
        }
        table.set_header(self.columns.iter().map(|&(name, _)| name));
        table.add_rows(&self.rows);
        for (column, &(_, align)) in table.column_iter_mut().zip(&self.columns) {
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
            if out.terminal_width().is_none() {
                column.set_padding((0, 2));
            }
        }
        for line in table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Columns of the terminal on standard output.
pub(super) fn terminal_width() -> u16 {
    let mut probe = comfy_table::Table::new();
    probe.set_content_arrangement(ContentArrangement::Dynamic);
    probe.width().unwrap_or(DEFAULT_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(table: &Table, width: Option<u16>) -> String {
        let shared = Shared::default();
        let mut out = Output::to_writer(shared.clone());
        out.terminal_width = width;
        table.write(&mut out).expect("memory");
        drop(out);
        String::from_utf8(shared.0.lock().expect("no panic").clone()).expect("text")
    }

    fn sample() -> Table {
        let mut table = Table::new(&[("name", Align::Left), ("rows", Align::Right)]);
        table.row(["items", "1000000"]);
        table.row(["a\x1b[31m", "7"]);
        table
    }

    #[test]
    fn elsewhere_than_on_a_terminal_a_row_is_a_line() {
        let expected = "name            rows\nitems        1000000\na\\u{1b}[31m        7\n";
        assert_eq!(written(&sample(), None), expected);
    }

    #[test]
    fn on_a_terminal_no_line_is_wider_than_it() {
        let mut table = sample();
        table.row(["word ".repeat(40).as_str(), "1"]);
        let text = written(&table, Some(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains('┌'));
    }
}
