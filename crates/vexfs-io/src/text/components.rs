//! The grammar of one vector in a text.

use super::object::Members;
use crate::element::TargetType;
use crate::error::{Problem, excerpt};
use crate::source::MAX_DIM;

/// What a line holds, for messages.
pub(super) const VECTOR: &str = "a vector: numbers, a JSON array, or a JSON object with the key \"vector\"";

const NUMBER: &str = "a number";

/// The character (from 1) and the problem there.
pub(crate) type Malformed = (u64, Problem);

/// The components of one vector and where each stands.
#[derive(Default)]
pub(crate) struct Components {
    /// Little-endian f64 numbers.
    pub(crate) bytes: Vec<u8>,
    /// Character of the line, from 1, at which each number begins.
    pub(crate) characters: Vec<u64>,
}

impl Components {
    /// Removes all components.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.characters.clear();
    }

    /// Adds the component that `cell` spells, all of it.
    pub(crate) fn push_cell(&mut self, cell: &str, target: TargetType) -> Result<(), Problem> {
        let text = cell.trim();
        let value = number(text.as_bytes(), target)
            .ok_or_else(|| Problem::Text { found: format!("`{}`", excerpt(text)), expected: NUMBER })?;
        self.push(value?, 1)
    }

    fn push(&mut self, value: f64, character: u64) -> Result<(), Problem> {
        if self.characters.len() == MAX_DIM {
            let found = "another component".to_owned();
            return Err(Problem::Text { found, expected: "at most 1048576 components" });
        }
        self.characters.push(character);
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    /// Number of components.
    pub(crate) fn len(&self) -> usize {
        self.characters.len()
    }

    /// Replaces the components by those of `line`, the text of one vector; there is at least one.
    ///
    /// A number that f64 cannot hold is reported as one that `target` cannot hold.
    pub(crate) fn parse(&mut self, line: &str, target: TargetType) -> Result<(), Malformed> {
        if !is_object(line) {
            return self.parse_array(line, line, target);
        }
        let members = Members::parse(line)?;
        let vector = members.vector_name().and_then(|name| members.one(name));
        self.parse_array(line, vector.map_err(|problem| (1, problem))?, target)
    }

    /// Parses `array`, a part of `line`: numbers with commas or white space between them, in brackets or not.
    pub(crate) fn parse_array(
        &mut self,
        line: &str,
        array: &str,
        target: TargetType,
    ) -> Result<(), Malformed> {
        self.clear();
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
            self.push(value, character).map_err(|problem| (character, problem))?;
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

/// Whether a line is an object rather than numbers.
pub(super) fn is_object(line: &str) -> bool {
    line.trim_start().starts_with('{')
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
