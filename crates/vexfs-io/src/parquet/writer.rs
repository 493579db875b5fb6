//! Writing Parquet: ids or keys, and a list of components for each row.
//!
//! Pages of the vectors go to the file as they fill; the names of a group of rows are one page behind them. Integers are stored in
//! four bytes each, as the format wants it, and are compressed; floats are not, because it would gain next to nothing.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::emit::Emit;
use crate::convert::Converter;
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER, check_named};

/// Bytes of values of a page, about: what a reader decodes at a time.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of names of a group of rows at most, about.
const NAME_BYTES: usize = 4 << 20;
/// Pages of vectors of a group of rows at most.
const PAGES: u64 = 128;

/// Numbers of the format.
const REQUIRED: i32 = 0;
const REPEATED: i32 = 2;
const PLAIN: i32 = 0;
const RLE: i32 = 3;

/// Writes rows as the columns `id` or `key`, and `vector`.
pub struct ParquetWriter {
    name: String,
    sink: BufWriter<File>,
    /// Bytes written.
    length: u64,
    /// To the components as they are stored.
    converter: Converter,
    row: Vec<u8>,
    /// The page of vectors under way.
    values: Vec<u8>,
    page_rows: usize,
    /// Of the group under way.
    vectors: Chunk,
    names: Vec<u8>,
    /// Whether rows have keys; known with the first.
    are_keys: bool,
    group_rows: u64,
    groups: Vec<Group>,
}

/// Pages of one column in one group.
#[derive(Debug, Default)]
struct Chunk {
    start: u64,
    pages: u64,
    values: u64,
    /// Bytes with the headers of the pages, before and after compression.
    plain: u64,
    stored: u64,
}

/// Rows of which all columns are written.
#[derive(Debug)]
struct Group {
    rows: u64,
    names: Chunk,
    vectors: Chunk,
}

impl ParquetWriter {
    /// Starts a file of packed rows of `target`: bf16 becomes f32, which it is exactly, and bits stay packed in bytes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(file: File, name: &str, target: TargetType, dim: usize) -> Result<Self, IoError> {
        let stored = if target == TargetType::BF16 { TargetType::F32 } else { target };
        let converter = match target {
            TargetType::B1 => Converter::new(ElementType::U8, TargetType::U8, target.stored_columns(dim)),
            _ => Converter::new(target.stored_as(), stored, dim),
        };
        let mut writer = ParquetWriter {
            name: name.to_owned(),
            sink: BufWriter::with_capacity(WRITE_BUFFER, file),
            length: 0,
            row: vec![0; converter.target_row_bytes()],
            converter,
            values: Vec::new(),
            page_rows: 0,
            vectors: Chunk::default(),
            names: Vec::new(),
            are_keys: false,
            group_rows: 0,
            groups: Vec::new(),
        };
        writer.write(b"PAR1")?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), IoError> {
        self.length += bytes.len() as u64;
        self.sink.write_all(bytes).map_err(|error| IoError::system(&self.name, "write", error))
    }

    fn element(&self) -> ElementType {
        self.converter.target().stored_as()
    }

    fn push(&mut self, row: &[u8], name: &RowName<'_>) -> Result<(), IoError> {
        self.converter
            .convert(row, &mut self.row)
            .map_err(|fault| IoError::new(&self.name, Place::Whole, fault.problem))?;
        match self.element() {
            ElementType::I8 => {
                self.values.extend(self.row.iter().flat_map(|byte| i32::from(*byte as i8).to_le_bytes()));
            }
            ElementType::U8 => {
                self.values.extend(self.row.iter().flat_map(|byte| u32::from(*byte).to_le_bytes()))
            }
            _ => self.values.extend_from_slice(&self.row),
        }
        self.page_rows += 1;
        self.group_rows += 1;
        match name {
            RowName::Id(id) => self.names.extend(id.to_le_bytes()),
            RowName::Key(key) => {
                self.are_keys = true;
                self.names.extend((key.len() as u32).to_le_bytes());
                self.names.extend(key.as_bytes());
            }
        }
        if self.values.len() >= PAGE_BYTES {
            self.end_page()?;
        }
        if self.vectors.pages >= PAGES || self.names.len() >= NAME_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    /// Writes the page of vectors under way.
    fn end_page(&mut self) -> Result<(), IoError> {
        if self.page_rows == 0 {
            return Ok(());
        }
        let (rows, dim) = (self.page_rows, self.converter.dim());
        let mut body = Vec::new();
        // A row begins at level 0, and goes on at 1; each component is there.
        let mut repetition = Vec::new();
        if dim == 1 {
            run(&mut repetition, rows, 0);
        } else {
            (0..rows).for_each(|_| {
                run(&mut repetition, 1, 0);
                run(&mut repetition, dim - 1, 1);
            });
        }
        let mut definition = Vec::new();
        run(&mut definition, rows * dim, 1);
        for levels in [repetition, definition] {
            body.extend((levels.len() as u32).to_le_bytes());
            body.extend(levels);
        }
        body.append(&mut self.values);
        self.page_rows = 0;
        let is_compressed = self.element().is_integer();
        let mut vectors = std::mem::take(&mut self.vectors);
        self.page(&mut vectors, body, rows * dim, is_compressed)?;
        self.vectors = vectors;
        Ok(())
    }

    /// Appends a page to a chunk.
    fn page(
        &mut self,
        chunk: &mut Chunk,
        body: Vec<u8>,
        values: usize,
        is_compressed: bool,
    ) -> Result<(), IoError> {
        let plain = body.len();
        let body = match is_compressed {
            // Fails above 4 GiB, which no page has.
            true => snap::raw::Encoder::new()
                .compress_vec(&body)
                .map_err(|error| IoError::system(&self.name, "compress", std::io::Error::other(error)))?,
            false => body,
        };
        let mut header = Emit::default();
        header.element(|page| {
            page.int(1, 0).int(2, plain as i32).int(3, body.len() as i32);
            page.within(5, |data| {
                data.int(1, values as i32).int(2, PLAIN).int(3, RLE).int(4, RLE);
            });
        });
        if chunk.pages == 0 {
            chunk.start = self.length;
        }
        chunk.pages += 1;
        chunk.values += values as u64;
        chunk.plain += (header.bytes.len() + plain) as u64;
        chunk.stored += (header.bytes.len() + body.len()) as u64;
        self.write(&header.bytes)?;
        self.write(&body)
    }

    /// Completes the group under way.
    fn end_group(&mut self) -> Result<(), IoError> {
        if self.group_rows == 0 {
            return Ok(());
        }
        self.end_page()?;
        let (mut names, body) = (Chunk::default(), std::mem::take(&mut self.names));
        let rows = std::mem::take(&mut self.group_rows);
        self.page(&mut names, body, rows as usize, false)?;
        self.groups.push(Group { rows, names, vectors: std::mem::take(&mut self.vectors) });
        Ok(())
    }

    /// What describes the file, behind everything else.
    fn footer(&self) -> Vec<u8> {
        let mut footer = Emit::default();
        footer.element(|file| {
            file.int(1, 2).structures(2, 5);
            file.element(|root| {
                root.text(4, "schema").int(5, 2);
            });
            file.element(|name| self.name_column(name));
            file.element(|list| {
                list.int(3, REQUIRED).text(4, "vector").int(5, 1).int(6, 3);
                list.meaning(3, |_| {});
            });
            file.element(|repeated| {
                repeated.int(3, REPEATED).text(4, "list").int(5, 1);
            });
            file.element(|element| self.element_column(element));
            file.long(3, self.groups.iter().map(|group| group.rows).sum());
            file.structures(4, self.groups.len());
            for group in &self.groups {
                file.element(|to| self.group(group, to));
            }
            file.text(6, concat!("vexfs-tools version ", env!("CARGO_PKG_VERSION")));
        });
        footer.bytes
    }

    fn name_of_names(&self) -> &'static str {
        if self.are_keys { "key" } else { "id" }
    }

    fn name_column(&self, to: &mut Emit) {
        let name = self.name_of_names();
        if self.are_keys {
            to.int(1, 6).int(3, REQUIRED).text(4, name).int(6, 0);
            to.meaning(1, |_| {});
        } else {
            to.int(1, 2).int(3, REQUIRED).text(4, name).int(6, 14);
            to.meaning(10, |integer| {
                integer.byte(1, 64).bool(2, false);
            });
        }
    }

    fn element_column(&self, to: &mut Emit) {
        let physical = self.physical();
        to.int(1, physical);
        match self.element() {
            ElementType::F16 => {
                to.int(2, 2).int(3, REQUIRED).text(4, "element");
                to.meaning(15, |_| {});
            }
            element @ (ElementType::I8 | ElementType::U8) => {
                let is_signed = element == ElementType::I8;
                to.int(3, REQUIRED).text(4, "element").int(6, if is_signed { 15 } else { 11 });
                to.meaning(10, |integer| {
                    integer.byte(1, 8).bool(2, is_signed);
                });
            }
            _ => {
                to.int(3, REQUIRED).text(4, "element");
            }
        }
    }

    /// How components are stored, as a number of the format.
    fn physical(&self) -> i32 {
        match self.element() {
            ElementType::F16 => 7,
            ElementType::I8 | ElementType::U8 => 1,
            _ => 4,
        }
    }

    fn group(&self, group: &Group, to: &mut Emit) {
        let names: (i32, &[&str], bool) = (if self.are_keys { 6 } else { 2 }, &[self.name_of_names()], false);
        let vectors = (self.physical(), &["vector", "list", "element"][..], self.element().is_integer());
        to.structures(1, 2);
        for (chunk, (physical, path, is_compressed)) in [(&group.names, names), (&group.vectors, vectors)] {
            to.element(|column| {
                column.long(2, chunk.start);
                column.within(3, |data| {
                    data.int(1, physical)
                        .ints(2, &[PLAIN, RLE])
                        .texts(3, path)
                        .int(4, i32::from(is_compressed));
                    data.long(5, chunk.values)
                        .long(6, chunk.plain)
                        .long(7, chunk.stored)
                        .long(9, chunk.start);
                });
            });
        }
        to.long(2, group.names.plain + group.vectors.plain).long(3, group.rows);
    }
}

/// Appends `count` times a level below 256.
fn run(levels: &mut Vec<u8>, count: usize, level: u8) {
    let mut header = (count as u64) << 1;
    while header > 0x7f {
        levels.push(header as u8 | 0x80);
        header >>= 7;
    }
    levels.extend([header as u8, level]);
}

impl RowWriter for ParquetWriter {
    fn takes_names(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        let row_bytes = self.converter.source_row_bytes();
        check_named(&self.name, rows, row_bytes, names)?;
        rows.chunks_exact(row_bytes).zip(names).try_for_each(|(row, name)| self.push(row, name))
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        self.end_group()?;
        let footer = self.footer();
        self.write(&footer)?;
        self.write(&(footer.len() as u32).to_le_bytes())?;
        self.write(b"PAR1")?;
        self.sink.flush().map_err(|error| IoError::system(&self.name, "write", error))
    }
}
