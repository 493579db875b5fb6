//! Payload of vectors: a text with a JSON object per line.

use std::io::Read;
use std::path::Path;

use crate::error::{IoError, Problem, excerpt};
use crate::input::Input;
use crate::json::{self, Unreadable};
use crate::lines::Lines;

/// The longest payload, in bytes of UTF-8.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

const PAYLOAD: &str = "a JSON object of at most 16 MiB, or null";

/// The payloads in a text, one per line; ends after the first error.
///
/// A payload is the object as it is written, without white space around it; of `null` it is empty. Not checked here: whether there are as
/// many as rows.
pub struct PayloadReader {
    lines: Lines<Box<dyn Read + Send>>,
    delivered: u64,
    failed: bool,
}

impl PayloadReader {
    /// Opens the text at `path`; `-` is standard input.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> Result<PayloadReader, IoError> {
        let input = Input::open(path)?;
        let name = input.name.clone();
        Ok(Self::from_stream(input.into_stream()?.0, &name))
    }

    /// Reads the payloads in a stream, which `name` stands for in messages.
    pub fn from_stream(stream: impl Read + Send + 'static, name: &str) -> PayloadReader {
        let lines = Lines::new(Box::new(stream) as Box<_>, name, MAX_PAYLOAD_BYTES, PAYLOAD);
        PayloadReader { lines, delivered: 0, failed: false }
    }

    /// How many payloads have been delivered: all of them, once the iterator has ended without an error.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    fn next_payload(&mut self) -> Result<Option<String>, IoError> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        let text = line.trim_matches([' ', '\t', '\r']);
        let found = match json::check(text, 0) {
            Ok(()) if text == "null" => return Ok(Some(String::new())),
            Ok(()) if text.starts_with('{') => return Ok(Some(text.to_owned())),
            Ok(()) => format!("`{}`", excerpt(text)),
            Err(_) if text.is_empty() => "an empty line".to_owned(),
            Err(Unreadable { column: 0, reason }) => reason,
            Err(Unreadable { column, reason }) => format!("no JSON in column {column}: {reason}"),
        };
        Err(self.lines.error(Problem::Text { found, expected: PAYLOAD }))
    }
}

impl Iterator for PayloadReader {
    type Item = Result<String, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let payload = self.next_payload().transpose()?;
        match payload {
            Ok(_) => self.delivered += 1,
            Err(_) => self.failed = true,
        }
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(text: &[u8]) -> (Vec<String>, Option<String>) {
        let mut reader = PayloadReader::from_stream(std::io::Cursor::new(text.to_vec()), "p");
        let mut all = Vec::new();
        let error = reader.by_ref().find_map(|payload| payload.map(|payload| all.push(payload)).err());
        assert!(reader.next().is_none());
        assert_eq!(reader.delivered(), all.len() as u64);
        (all, error.map(|error| error.to_string()))
    }

    #[test]
    fn an_object_is_kept_as_it_is_written() {
        let (all, error) = payloads(b"{\"a\": 1.0, \"a\":12345678901234567890123}\r\n null\n {}");
        assert_eq!(error, None);
        assert_eq!(all, ["{\"a\": 1.0, \"a\":12345678901234567890123}", "", "{}"]);
    }

    #[test]
    fn what_is_no_object_is_refused_at_its_line() {
        for (text, expected) in [
            (&b"{}\n[1]\n"[..], "p: line 2: found `[1]`, expected a JSON object"),
            (b"{}\n\n", "p: line 2: found an empty line"),
            (b"{}\n{\"a\":}\n", "p: line 2: found no JSON in column 6: expected value"),
            (b"{}\n{} {}\n", "p: line 2: found no JSON in column 4: trailing characters"),
            (b"{}\n{\"a\":\"\xff\"}\n", "p: line 2: found bytes that are not UTF-8"),
        ] {
            let (all, error) = payloads(text);
            assert_eq!(all.len(), 1);
            let error = error.unwrap();
            assert!(error.contains(expected), "{error}");
        }
        let nested =
            |depth| format!("{{\"a\":\"[{{\\\"[\",\"b\":{}{}}}\n", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(payloads(nested(99).as_bytes()).1, None);
        for depth in [100, 100_000] {
            assert!(payloads(nested(depth).as_bytes()).1.unwrap().contains("nested more than 100 deep"));
        }
    }
}
