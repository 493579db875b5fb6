//! The grammar of one vector in a text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::element::TargetType;
use crate::error::{Problem, excerpt};
use crate::source::MAX_DIM;

/// What a line holds, for messages.
pub(super) const VECTOR: &str = "a vector: numbers, a JSON array, or a JSON object with the key \"vector\"";

const NUMBER: &str = "a number";

/// The character (from 1) and the problem there.
type Malformed = (u64, Problem);

/// The components of one vector and where each stands.
#[derive(Default)]
pub(super) struct Components {
    /// Little-endian f64 numbers.
    pub(super) bytes: Vec<u8>,
    /// Character of the line, from 1, at which each number begins.
    pub(super) characters: Vec<u64>,
}

/// A JSON object; other keys may hold anything.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    vector: &'a RawValue,
}

impl Components {
    /// Number of components.
    pub(super) fn len(&self) -> usize {
        self.characters.len()
    }

    /// Replaces the components by those of `line`; there is at least one.
    ///
    /// A number that f64 cannot hold is reported as one that `target` cannot hold.
    pub(super) fn parse(&mut self, line: &str, target: TargetType) -> Result<(), Malformed> {
        self.bytes.clear();
        self.characters.clear();
        if !line.trim_start().starts_with('{') {
            return self.parse_array(line, line, target);
        }
        match serde_json::from_str::<Object<'_>>(line) {
            Ok(object) => self.parse_array(line, object.vector.get(), target),
            Err(error) => {
                let message = error.to_string();
                // The position is told by our own place.
                let found = message.split(" at line ").next().unwrap_or_default();
                let problem = Problem::Text {
                    found: format!("a malformed JSON object ({})", excerpt(found)),
                    expected: "{\"vector\": [0.1, 0.2]}",
                };
                Err((error.column().max(1) as u64, problem))
            }
        }
    }

    /// Parses `array`, a part of `line`: numbers with commas or white space between them, in brackets or not.
    fn parse_array(&mut self, line: &str, array: &str, target: TargetType) -> Result<(), Malformed> {
        let mut scanner = Scanner {
            text: array.as_bytes(),
            at: 0,
            characters: (line[..offset_in(line, array)].chars().count() + 1) as u64,
        };
        scanner.skip_space();
        let bracketed = scanner.accept(b'[');
        loop {
            scanner.skip_space();
            let character = scanner.characters;
            let token = scanner.token();
            let value = number(token, target).ok_or_else(|| scanner.found(NUMBER))?;
            let value = value.map_err(|problem| (character, problem))?;
            if self.characters.len() == MAX_DIM {
                let problem = Problem::Text {
                    found: "another component".to_owned(),
                    expected: "at most 1048576 components",
                };
                return Err((character, problem));
            }
            self.characters.push(character);
            self.bytes.extend(value.to_le_bytes());
            scanner.advance(token.len());

            scanner.skip_space();
            if bracketed && scanner.accept(b']') {
                scanner.skip_space();
                return if scanner.rest().is_empty() {
                    Ok(())
                } else {
                    Err(scanner.found("the end of the line after ']'"))
                };
            }
            if scanner.rest().is_empty() {
                return if bracketed { Err(scanner.found("',' or ']'")) } else { Ok(()) };
            }
            scanner.accept(b',');
        }
    }
}

/// Offset of `part` in `whole`, of which it is a slice.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

/// A position in a text.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// The same position in characters of the line, from 1. Only ASCII is ever passed over, a byte for each.
    characters: u64,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.characters += bytes as u64;
    }

    fn skip_space(&mut self) {
        let space = self.rest().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.advance(space);
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.rest().first() == Some(&byte);
        self.advance(usize::from(found));
        found
    }

    /// What stands here up to the next separator.
    fn token(&self) -> &'a [u8] {
        let rest = self.rest();
        let end = rest.iter().position(|byte| byte.is_ascii_whitespace() || b",[]".contains(byte));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The problem that something else was `expected` here.
    fn found(&self, expected: &'static str) -> Malformed {
        let found = match (self.token(), self.rest()) {
            (_, []) => "the end of the line".to_owned(),
            ([], [separator, ..]) => format!("`{}`", char::from(*separator)),
            (token, _) => format!("`{}`", excerpt(&String::from_utf8_lossy(token))),
        };
        (self.characters, Problem::Text { found, expected })
    }
}

/// The number that `token` spells, or its overflow; `None` if it spells none.
fn number(token: &[u8], target: TargetType) -> Option<Result<f64, Problem>> {
    let text = std::str::from_utf8(token).ok()?;
    let value: f64 = text.parse().ok()?;
    // `inf` is an infinity, `1e999` is a number too large for f64.
    let overflows = value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    Some(if overflows { Err(Problem::Range { value: excerpt(text), target }) } else { Ok(value) })
}
