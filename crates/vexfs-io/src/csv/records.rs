//! The rows of a table as cells, each row of bounded length.

use std::collections::VecDeque;
use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::error::{IoError, Place, Problem};
use crate::source::MAX_DIM;

/// The longest row that is read, in bytes: room for the most components and a payload.
pub(super) const MAX_RECORD_BYTES: u64 = 32 << 20;
/// Rows that tell what the columns hold, and the bytes at which fewer are enough.
const SAMPLE_ROWS: usize = 1000;
const SAMPLE_BYTES: usize = 4 << 20;

/// Reads rows, and can look ahead.
pub(super) struct Records<R> {
    name: String,
    reader: Reader<Bounded<R>>,
    ahead: VecDeque<ByteRecord>,
    /// Cells of a row.
    width: usize,
    /// A row that was used up, to be filled again.
    spare: ByteRecord,
}

impl<R: Read> Records<R> {
    /// Prepares to read rows whose cells are separated by `delimiter`; `name` is for messages.
    pub(super) fn new(stream: R, delimiter: u8, name: &str) -> Self {
        let bounded = Bounded { stream, left: MAX_RECORD_BYTES };
        let reader =
            ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(bounded);
        let (ahead, spare) = (VecDeque::new(), ByteRecord::new());
        Records { name: name.to_owned(), reader, ahead, width: 0, spare }
    }

    /// The name for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The cells of the first row, which name the columns.
    pub(super) fn names(&mut self) -> Result<Vec<String>, IoError> {
        let record = self.read()?.unwrap_or_default();
        let fail = |problem| IoError::new(&self.name, Place::Line(1), problem);
        // Twice as many as a vector may have: the others are payload.
        if record.len() > 2 * MAX_DIM {
            let found = format!("{} columns", record.len());
            return Err(fail(Problem::Text { found, expected: "at most 2097152" }));
        }
        let names = record.iter().map(|cell| String::from_utf8(cell.trim_ascii().to_vec()));
        self.width = record.len();
        names.collect::<Result<_, _>>().map_err(|_| {
            let found = "bytes that are not UTF-8".to_owned();
            fail(Problem::Text { found, expected: "names of columns" })
        })
    }

    /// The row that is read next, which stays there.
    pub(super) fn peek(&mut self) -> Result<Option<&ByteRecord>, IoError> {
        if self.ahead.is_empty()
            && let Some(record) = self.read()?
        {
            self.ahead.push_back(record);
        }
        Ok(self.ahead.front())
    }

    /// The rows that are read next, as many as tell what the columns hold.
    pub(super) fn sample(&mut self) -> Result<impl Iterator<Item = &ByteRecord>, IoError> {
        let mut bytes: usize = self.ahead.iter().map(|record| record.as_slice().len()).sum();
        while self.ahead.len() < SAMPLE_ROWS && bytes < SAMPLE_BYTES {
            let Some(record) = self.read()? else { break };
            bytes += record.as_slice().len();
            self.ahead.push_back(record);
        }
        Ok(self.ahead.iter())
    }

    /// The next row, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<ByteRecord>, IoError> {
        match self.ahead.pop_front() {
            Some(record) => Ok(Some(record)),
            None => self.read(),
        }
    }

    /// Gives back a row that was used up.
    pub(super) fn give_back(&mut self, record: ByteRecord) {
        self.spare = record;
    }

    fn read(&mut self) -> Result<Option<ByteRecord>, IoError> {
        const EXPECTED: &str = "a row of the table (is a quote missing?)";
        self.reader.get_mut().left = MAX_RECORD_BYTES;
        let mut record = std::mem::take(&mut self.spare);
        let line = self.reader.position().line();
        let fail = |problem| IoError::new(&self.name, Place::Line(line), problem);
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => Ok(None),
            Ok(true) if self.width > 0 && record.len() != self.width => {
                let problem = Problem::Cells { found: record.len(), expected: self.width };
                let line = line_of(&record);
                Err(IoError::new(&self.name, Place::Line(line), problem))
            }
            Ok(true) => Ok(Some(record)),
            Err(_) if self.reader.get_ref().left == 0 => {
                Err(fail(Problem::LineLength { limit: MAX_RECORD_BYTES as usize, expected: EXPECTED }))
            }
            Err(error) => Err(match error.into_kind() {
                csv::ErrorKind::Io(error) => IoError::system(&self.name, "read", error),
                other => {
                    let found = format!("{other:?}");
                    fail(Problem::Text { found: crate::error::excerpt(&found), expected: EXPECTED })
                }
            }),
        }
    }
}

/// The line of the file in which a row begins.
pub(super) fn line_of(record: &ByteRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// Hands over so many bytes and no more: the library keeps a row whole, however long it is.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is too long"));
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}
