//! Lines of untrusted text: bounded, valid UTF-8, counted.

use std::io::{BufRead, BufReader, Read};

use crate::error::{IoError, Place, Problem};

/// The lines of a text, one at a time. A line may end with CR LF, the last one with nothing; a byte order mark is skipped.
pub(crate) struct Lines<R> {
    name: String,
    reader: BufReader<R>,
    /// The most bytes of a line, its end not counted.
    limit: usize,
    /// What a line holds, for messages.
    expected: &'static str,
    number: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Prepares to read lines of at most `limit` bytes.
    pub(crate) fn new(reader: R, name: &str, limit: usize, expected: &'static str) -> Self {
        Lines {
            name: name.to_owned(),
            reader: BufReader::new(reader),
            limit,
            expected,
            number: 0,
            buffer: Vec::new(),
        }
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Number of the line that was read last; the first is 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The error at the line that was read last.
    pub(crate) fn error(&self, problem: Problem) -> IoError {
        IoError::new(&self.name, Place::Line(self.number), problem)
    }

    /// The line that was read last.
    pub(crate) fn line(&self) -> &str {
        std::str::from_utf8(&self.buffer).unwrap_or_default()
    }

    /// The next line without its end, or `None` after the last.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>, IoError> {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        self.buffer.clear();
        // Room for the longest line, its CR LF, and a byte order mark.
        let room = self.limit as u64 + 5;
        (&mut self.reader)
            .take(room)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| IoError::system(&self.name, "read", error))?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        let line = &self.buffer[..];
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let length = line.len();
        self.buffer.truncate(length);
        if length > self.limit {
            return Err(self.error(Problem::LineLength { limit: self.limit, expected: self.expected }));
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(self.error(Problem::Text {
                found: "bytes that are not UTF-8".to_owned(),
                expected: self.expected,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(text, "x", 5, "five letters");
        let mut all = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => all.push(Ok(line.to_owned())),
                Ok(None) => return all,
                Err(error) => {
                    all.push(Err(error.to_string()));
                    return all;
                }
            }
        }
    }

    #[test]
    fn lines_end_with_lf_or_crlf_or_the_text() {
        let ok = |lines: &[&str]| -> Vec<_> { lines.iter().map(|line| Ok((*line).to_owned())).collect() };
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\nb\r\n\nc"), ok(&["a", "b", "", "c"]));
        assert_eq!(lines(b"\xef\xbb\xbfa\r\n\xef\xbb\xbf\n"), ok(&["a", "\u{feff}"]));
        assert_eq!(lines(b"12345\r\n12345"), ok(&["12345", "12345"]));
        assert_eq!(lines(b"a\rb\r"), ok(&["a\rb\r"]));
    }

    #[test]
    fn long_and_undecodable_lines_are_errors_at_their_line() {
        assert_eq!(
            lines(b"a\n123456\n")[1],
            Err("x: line 2: line is longer than 5 bytes; expected five letters per line".into())
        );
        assert!(lines(&[b'1'; 100_000])[0].is_err());
        assert_eq!(
            lines(b"a\n\xff\n")[1],
            Err("x: line 2: found bytes that are not UTF-8, expected five letters".into())
        );
    }
}
