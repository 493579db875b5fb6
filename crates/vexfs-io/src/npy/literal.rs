//! The grammar of the npy header: one Python dictionary literal with the keys `descr`, `fortran_order` and `shape`.
//!
//! Accepted is what `ast.literal_eval` accepts of such a dictionary as far as numpy writes it: either quote, any order of
//! keys, white space anywhere, trailing commas, and the `L` that Python 2 put behind large integers.

use crate::error::{Problem, excerpt};

/// numpy allows 64 axes; no array of vectors has more than a few.
const MAX_AXES: usize = 64;

/// The three entries of the header, not yet interpreted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entries<'a> {
    pub(super) descr: Descr<'a>,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<u64>,
}

/// The value of `descr`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Descr<'a> {
    /// A type string such as `<f4`.
    Simple(&'a [u8]),
    /// The text of a list or tuple: a structured or subarray type.
    Structured(&'a [u8]),
}

/// A departure from the grammar, at a byte of the header text.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) problem: Problem,
}

/// Parses the whole text of a header.
pub(super) fn parse(text: &[u8]) -> Result<Entries<'_>, Malformed> {
    let mut parser = Parser { text, at: 0 };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    parser.symbol(b'{', "'{'")?;
    while !parser.accept(b'}') {
        let start = parser.at;
        let key = parser.string("one of the keys 'descr', 'fortran_order', 'shape'")?;
        parser.symbol(b':', "':'")?;
        let repeated = match key {
            b"descr" => descr.replace(parser.descr()?).is_some(),
            b"fortran_order" => fortran_order.replace(parser.boolean()?).is_some(),
            b"shape" => shape.replace(parser.shape()?).is_some(),
            _ => return Err(parser.malformed_at(start, "one of the keys 'descr', 'fortran_order', 'shape'")),
        };
        if repeated {
            return Err(parser.malformed_at(start, "each key once"));
        }
        if !parser.accept(b',') {
            parser.symbol(b'}', "',' or '}'")?;
            break;
        }
    }
    parser.skip_space();
    if parser.at < text.len() {
        return Err(parser.malformed("nothing but white space after the dictionary"));
    }
    let missing = |expected| parser.malformed_at(0, expected);
    Ok(Entries {
        descr: descr.ok_or_else(|| missing("a dictionary with the key 'descr'"))?,
        fortran_order: fortran_order.ok_or_else(|| missing("a dictionary with the key 'fortran_order'"))?,
        shape: shape.ok_or_else(|| missing("a dictionary with the key 'shape'"))?,
    })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn malformed(&self, expected: &'static str) -> Malformed {
        self.malformed_at(self.at, expected)
    }

    fn malformed_at(&self, at: usize, expected: &'static str) -> Malformed {
        let rest = &self.text[at.min(self.text.len())..];
        let found = match rest {
            [] => "the end of the header".to_owned(),
            _ => format!("`{}`", excerpt(&String::from_utf8_lossy(&rest[..rest.len().min(64)]))),
        };
        Malformed { at, problem: Problem::Header { found, expected } }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Consumes `symbol`, if it comes next after white space.
    fn accept(&mut self, symbol: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(symbol);
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.accept(symbol) { Ok(()) } else { Err(self.malformed(expected)) }
    }

    /// A quoted string without escapes: keys and type strings have none.
    fn string(&mut self, expected: &'static str) -> Result<&'a [u8], Malformed> {
        self.skip_space();
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return Err(self.malformed(expected));
        };
        let rest = &self.text[self.at + 1..];
        match rest.iter().position(|byte| *byte == quote || matches!(byte, b'\\' | b'\n')) {
            Some(length) if rest[length] == quote => {
                self.at += length + 2;
                Ok(&rest[..length])
            }
            _ => Err(self.malformed("a string in quotes on one line, without escapes")),
        }
    }

    fn boolean(&mut self) -> Result<bool, Malformed> {
        self.skip_space();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.malformed("True or False"))
    }

    /// A tuple of whole numbers. `(3)` is a number to Python, not a tuple, and so it is refused.
    fn shape(&mut self) -> Result<Vec<u64>, Malformed> {
        const TUPLE: &str = "a tuple of whole numbers such as (1000, 128)";
        self.skip_space();
        let start = self.at;
        self.symbol(b'(', TUPLE)?;
        let mut shape = Vec::new();
        while !self.accept(b')') {
            if shape.len() == MAX_AXES {
                return Err(self.malformed("at most 64 axes"));
            }
            shape.push(self.integer()?);
            if !self.accept(b',') {
                self.symbol(b')', "',' or ')'")?;
                if shape.len() == 1 {
                    return Err(self.malformed_at(start, TUPLE));
                }
                break;
            }
        }
        Ok(shape)
    }

    fn integer(&mut self) -> Result<u64, Malformed> {
        const INTEGER: &str = "a whole number from 0 to 18446744073709551615";
        self.skip_space();
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                .ok_or_else(|| self.malformed_at(start, INTEGER))?;
            self.at += 1;
        }
        if self.at == start {
            return Err(self.malformed(INTEGER));
        }
        if self.peek() == Some(b'L') {
            self.at += 1;
        }
        Ok(value)
    }

    fn descr(&mut self) -> Result<Descr<'a>, Malformed> {
        self.skip_space();
        match self.peek() {
            Some(b'[' | b'(') => self.structure().map(Descr::Structured),
            _ => self.string("an element type such as '<f4'").map(Descr::Simple),
        }
    }

    /// Skips over a bracketed value without interpreting it: it is only wanted for the message.
    fn structure(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let mut depth = 0usize;
        let mut quote = None;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match (quote, byte) {
                (Some(_), b'\\') => self.at += 1,
                (Some(open), _) if open == byte => quote = None,
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'[' | b'(') => depth += 1,
                (None, b']' | b')') => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(&self.text[start..self.at]);
                    }
                }
                _ => {}
            }
        }
        Err(self.malformed_at(start, "a closed list"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> (Descr<'_>, bool, Vec<u64>) {
        let entries = parse(text.as_bytes()).unwrap_or_else(|m| panic!("{text}: {}", m.problem));
        (entries.descr, entries.fortran_order, entries.shape)
    }

    #[test]
    fn every_spelling_of_a_dictionary_that_python_reads_is_read() {
        let f4 = || Descr::Simple(b"<f4");
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n",
            "{'shape':(3,4),'descr':'<f4','fortran_order':False}",
            "{ \"fortran_order\" : False ,\n \"shape\" : ( 3 ,\t4 , ) ,\r\n \"descr\" : \"<f4\" }\n",
            "  {'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }",
        ] {
            assert_eq!(ok(text), (f4(), false, vec![3, 4]), "{text}");
        }
        assert_eq!(ok("{'descr': '<f4', 'fortran_order': True, 'shape': ()}").2, [0u64; 0]);
        assert!(ok("{'descr': '<f4', 'fortran_order': True, 'shape': (7,)}").1);
        let structured = "[('a', '<f4'), ('b]', ('<i8', (2, 2)))]";
        assert_eq!(
            ok(&format!("{{'descr': {structured}, 'fortran_order': False, 'shape': (3,)}}")).0,
            Descr::Structured(structured.as_bytes())
        );
    }

    #[test]
    fn what_is_not_such_a_dictionary_is_refused_at_its_place() {
        let cases = [
            ("", 0, "'{'"),
            ("[]", 0, "'{'"),
            ("{}", 0, "'descr'"),
            ("{'descr': '<f4', 'shape': (1, 2)}", 0, "'fortran_order'"),
            ("{'descr': '<f4', 'fortran_order': False}", 0, "'shape'"),
            ("{'descr': '<f4', 'descr': '<f8'}", 17, "each key once"),
            ("{'dtype': '<f4'}", 1, "one of the keys"),
            ("{descr: '<f4'}", 1, "one of the keys"),
            ("{'descr' '<f4'}", 9, "':'"),
            ("{'descr': <f4}", 10, "an element type"),
            ("{'descr': '<f4}", 10, "a string in quotes"),
            ("{'descr': '<f\\x34'}", 10, "a string in quotes"),
            ("{'descr': [('a', '<f4')}", 10, "a closed list"),
            ("{'descr': '<f4' 'shape': ()}", 16, "',' or '}'"),
            ("{'fortran_order': 0}", 18, "True or False"),
            ("{'shape': 3}", 10, "a tuple"),
            ("{'shape': [3, 4]}", 10, "a tuple"),
            ("{'shape': (3)}", 10, "a tuple"),
            ("{'shape': (-3, 4)}", 11, "a whole number"),
            ("{'shape': (,)}", 11, "a whole number"),
            ("{'shape': (3 4)}", 13, "',' or ')'"),
            ("{'shape': (18446744073709551616, 4)}", 11, "a whole number"),
            ("{'shape': (3, 4", 15, "',' or ')'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 56, "nothing but white space"),
        ];
        for (text, at, expected) in cases {
            let malformed = parse(text.as_bytes()).expect_err(text);
            assert_eq!(malformed.at, at, "{text}: {}", malformed.problem);
            assert!(malformed.problem.to_string().contains(expected), "{text}: {}", malformed.problem);
        }
        let axes = format!("{{'shape': ({})}}", "1, ".repeat(100_000));
        assert!(parse(axes.as_bytes()).unwrap_err().problem.to_string().contains("64 axes"));
    }
}
