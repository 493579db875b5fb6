//! Parquet: a column of lists as vectors, the others as names and payload.
//!
//! `thrift` reads structures, `footer` and `schema` say what there is and where, `page` takes pages apart (`codec` decompresses, `hybrid`
//! reads packed numbers), `column` makes rows of them, `cells` makes JSON. Nothing that a file says is believed before it is
//! compared with what is there: no structure is built that its bytes do not hold, and no page read that takes more memory than is
//! allowed. Delta encodings, nested payload and encryption are not read. `writer` writes files of its own, by `emit`.

mod cells;
mod codec;
mod column;
mod emit;
mod footer;
mod hybrid;
mod page;
mod schema;
#[cfg(test)]
mod tests;
mod thrift;
mod writer;

use std::collections::HashSet;

use column::{Column, Narrow, RowFault};
use footer::Footer;
use page::Fault;
use schema::Leaf;

use crate::beside::Beside;
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem, excerpt, listed};
use crate::format::Format;
use crate::input::{Bytes, Input};
use crate::raw::{Axes, RawRows};
use crate::read_at::ReadAt;
use crate::source::MAX_DIM;
pub use writer::ParquetWriter;

/// Names that say what a column is; the first one counts.
const VECTORS: [&str; 2] = ["vector", "embedding"];
/// Rows whose payload is made before it is looked whether it is enough.
const PAYLOAD_ROWS: usize = 256;
/// The least that a page may take, in bytes: what writers make.
const PAGE_BYTES: usize = 16 << 20;

/// The rows of a file.
pub(crate) struct ParquetRows {
    name: String,
    file: Box<dyn ReadAt>,
    footer: Footer,
    element: ElementType,
    columns: usize,
    next_row: u64,
    /// The column of the vectors, and the others that are wanted.
    vector: usize,
    others: Vec<usize>,
    /// The group under way.
    group: usize,
    /// Rows of it that are left.
    left: u64,
    /// Where in the group the columns are: that of the vectors, then the others.
    cursors: Vec<Column>,
    memory: usize,
    beside: Beside,
}

impl ParquetRows {
    /// Opens the column that `input` names, or the only one that can be meant. A page takes `memory` bytes at most.
    ///
    /// # Errors
    /// [`Problem::NotAFile`], [`Problem::Parquet`]; [`Problem::Cell`] if two columns have one name; [`Problem::Columns`];
    /// [`Problem::Empty`] without a row.
    pub(crate) fn open(input: Input, axes: Axes, memory: usize) -> Result<Self, IoError> {
        let Input { name, bytes, part, .. } = input;
        let fail = |problem| IoError::new(&name, Place::Whole, problem);
        let Bytes::File(file) = bytes else {
            return Err(fail(Problem::NotAFile { format: Format::Parquet }));
        };
        let read = || {
            let length = file.length()?;
            Footer::read(&*file, length)
        };
        let footer = read().map_err(|error| IoError::system(&name, "read", error))?;
        let footer = footer.map_err(|bad| fail(Problem::Parquet { text: bad }))?;
        let mut seen = HashSet::new();
        if let Some(twice) = footer.leaves.iter().find(|leaf| leaf.is_plain && !seen.insert(&leaf.name)) {
            let column = excerpt(&twice.name);
            let found = "a second column of that name".to_owned();
            let problem = Box::new(Problem::Text { found, expected: "each name once" });
            return Err(fail(Problem::Cell { column, problem }));
        }
        let of_leaf = if matches!(axes, Axes::List) { Leaf::one_integer } else { Leaf::vector };
        let vector = choose(&footer.leaves, part.as_deref(), of_leaf).map_err(fail)?;
        let leaf = &footer.leaves[vector];
        let Some(element) = leaf.number() else {
            return Err(fail(Problem::Columns { found: String::new() }));
        };
        let memory = memory.max(PAGE_BYTES);
        let Some(first) = footer.groups.iter().find(|group| group.rows > 0) else {
            return Err(fail(Problem::Empty { expected: "a row" }));
        };
        let measured = Column::new(first.chunks[vector], memory).measure(&*file, leaf);
        let columns = measured.map_err(|fault| failed(&name, &leaf.name, 0, fault))?;
        if !(1..=MAX_DIM).contains(&columns) {
            let found = format!("a list of {columns} in row 0 of `{}`", excerpt(&leaf.name));
            return Err(fail(Problem::Text { found, expected: "1 to 1048576 components" }));
        }
        let (others, cursors, beside) = (Vec::new(), Vec::new(), Beside::default());
        let (group, left, next_row) = (0, 0, 0);
        let rows = ParquetRows {
            name,
            file,
            footer,
            element,
            columns,
            next_row,
            vector,
            others,
            group,
            left,
            cursors,
            memory,
            beside,
        };
        Ok(rows)
    }

    /// Begins the next group that has rows.
    fn next_group(&mut self) -> Result<(), IoError> {
        if self.next_row == 0 {
            self.want_others();
        }
        while self.left == 0 {
            let Some(group) = self.footer.groups.get(self.group) else { return Ok(()) };
            let wanted = [self.vector].into_iter().chain(self.others.iter().copied());
            self.cursors = wanted.map(|column| Column::new(group.chunks[column], self.memory)).collect();
            self.left = group.rows;
            self.group += 1;
        }
        Ok(())
    }

    /// Chooses the columns that are read besides, once it is known what is asked for.
    fn want_others(&mut self) {
        let (named, keeps) = (self.beside.name_column(), self.beside.keeps());
        let is_wanted = |(at, leaf): &(usize, &Leaf)| {
            *at != self.vector && leaf.is_scalar() && (keeps || named == Some(&leaf.name))
        };
        let all = self.footer.leaves.iter().enumerate();
        self.others = all.filter(is_wanted).map(|(at, _)| at).collect();
        // All of them have a page in memory at the same time.
        let share = (4 * self.memory) / (self.others.len() + 1);
        self.memory = self.memory.min(share.max(PAGE_BYTES / 16));
    }

    /// Names and payload of the next `rows` rows.
    fn read_others(&mut self, rows: usize) -> Result<(), IoError> {
        let mut members: Vec<(&str, String)> = Vec::new();
        for row in 0..rows as u64 {
            let row = self.next_row + row;
            members.clear();
            for (&at, cursor) in self.others.iter().zip(&mut self.cursors[1..]) {
                let leaf = &self.footer.leaves[at];
                let is_name = self.beside.name_column() == Some(&leaf.name);
                let value = cursor.next_value(&*self.file, leaf);
                let value = value.map_err(|fault| failed(&self.name, &leaf.name, row, fault.into()))?;
                let fail = |problem| {
                    let column = excerpt(&leaf.name);
                    let problem = Problem::Cell { column, problem: Box::new(problem) };
                    IoError::new(&self.name, Place::Row(row), problem)
                };
                if is_name {
                    let value = value.ok_or_else(|| {
                        fail(Problem::Text { found: "nothing".to_owned(), expected: "the name of the row" })
                    })?;
                    let text = cells::text(value, leaf).map_err(fail)?;
                    self.beside.push_name(&text).map_err(fail)?;
                } else if let Some(value) = value
                    && let Some(json) = cells::json(value, leaf).map_err(fail)?
                {
                    members.push((&leaf.name, json));
                }
            }
            if self.beside.keeps() {
                self.beside
                    .push_payload(members.iter().map(|(name, json)| (*name, json)))
                    .map_err(|problem| IoError::new(&self.name, Place::Row(row), problem))?;
            }
        }
        Ok(())
    }

    /// Reads so many rows of the group.
    fn read_some(&mut self, out: &mut [u8], rows: usize) -> Result<(), IoError> {
        let narrow = Narrow { width: self.element.bytes(), is_signed: is_signed(self.element) };
        let leaf = &self.footer.leaves[self.vector];
        let Some(vectors) = self.cursors.first_mut() else { return Ok(()) };
        let filled = vectors.fill(&*self.file, leaf, self.columns, narrow, out);
        filled.map_err(|fault| failed(&self.name, &leaf.name, self.next_row, fault))?;
        if !self.others.is_empty() || self.beside.keeps() {
            self.read_others(rows)?;
        }
        self.next_row += rows as u64;
        self.left -= rows as u64;
        if self.left == 0 {
            let wanted = [self.vector].into_iter().chain(self.others.iter().copied());
            for (at, cursor) in wanted.zip(&mut self.cursors) {
                let leaf = &self.footer.leaves[at];
                let done = cursor.finish(&*self.file, leaf);
                done.map_err(|fault| failed(&self.name, &leaf.name, self.next_row, fault.into()))?;
            }
        }
        Ok(())
    }
}

impl Leaf {
    /// The type if it holds one whole number in each row.
    fn one_integer(&self) -> Option<ElementType> {
        self.number().filter(|element| self.max_rep == 0 && element.is_integer())
    }
}

fn is_signed(element: ElementType) -> bool {
    matches!(element, ElementType::I8 | ElementType::I16 | ElementType::I32 | ElementType::I64)
}

/// The column called `wanted`, or the one that has a telling name, or the only one that can be meant.
fn choose(
    leaves: &[Leaf],
    wanted: Option<&str>,
    of_leaf: fn(&Leaf) -> Option<ElementType>,
) -> Result<usize, Problem> {
    let mut fitting = leaves.iter().enumerate().filter(|(_, leaf)| of_leaf(leaf).is_some());
    let by_name = |name: &str| fitting.clone().find(|(_, leaf)| leaf.name == name).map(|(at, _)| at);
    let found = match wanted {
        Some(wanted) => by_name(wanted),
        None => VECTORS.into_iter().find_map(by_name).or_else(|| match (fitting.next(), fitting.next()) {
            (Some((at, _)), None) => Some(at),
            _ => None,
        }),
    };
    found.ok_or_else(|| {
        let lists = leaves.iter().filter(|leaf| of_leaf(leaf).is_some());
        Problem::Columns { found: listed(lists.map(|leaf| leaf.name.as_str())) }
    })
}

/// What is wrong with a column, at a row counted from `first`.
fn failed(name: &str, column: &str, first: u64, fault: RowFault) -> IoError {
    let text = |found: &str, expected| Problem::Text { found: found.to_owned(), expected };
    let (row, problem) = match fault {
        RowFault::File(Fault::System(error)) => return IoError::system(name, "read", error),
        RowFault::File(Fault::Bad(text)) => (0, Problem::Parquet { text }),
        RowFault::Missing(row) => (row, text("a null or an empty list", "a vector without holes")),
        RowFault::Length(row) => (row, text("a list of another length", "as many components as in row 0")),
        RowFault::Range(row) => {
            (row, text("a number that its type cannot hold", "numbers of the type of the column"))
        }
    };
    let problem = Problem::Cell { column: excerpt(column), problem: Box::new(problem) };
    IoError::new(name, Place::Row(first + row as u64), problem)
}

impl RawRows for ParquetRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn element(&self) -> ElementType {
        self.element
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn rows(&self) -> Option<u64> {
        Some(self.footer.rows)
    }

    fn next_row(&self) -> u64 {
        self.next_row
    }

    fn other_columns(&self) -> Vec<String> {
        let others =
            self.footer.leaves.iter().enumerate().filter(|(at, leaf)| *at != self.vector && leaf.is_scalar());
        others.map(|(_, leaf)| leaf.name.clone()).collect()
    }

    fn unread_columns(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (at, leaf) in self.footer.leaves.iter().enumerate() {
            // The leaves of one group follow each other.
            if at != self.vector && !leaf.is_scalar() && names.last() != Some(&leaf.name) {
                names.push(leaf.name.clone());
            }
        }
        names
    }

    fn beside(&mut self) -> Option<&mut Beside> {
        Some(&mut self.beside)
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        let row_bytes = self.row_bytes();
        let rows = out.len() / row_bytes;
        let mut done = 0;
        while done < rows && self.next_row < self.footer.rows && !self.beside.is_full() {
            self.next_group()?;
            let most = if self.beside.keeps() { PAYLOAD_ROWS } else { usize::MAX };
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let some = (rows - done).min(left).min(most);
            self.read_some(&mut out[done * row_bytes..(done + some) * row_bytes], some)?;
            done += some;
        }
        Ok(done)
    }
}
