//! What a table has beside its vectors: the names of the rows, and what else is known of them.

use std::collections::HashSet;

use crate::error::{Problem, excerpt};
use crate::json;
use crate::keys::checked_key;
use crate::payload::MAX_PAYLOAD_BYTES;

/// Payload of one slab, about, in bytes: what makes a slab shorter than its vectors would.
const SLAB_BYTES: usize = 4 << 20;

const ID: &str = "a whole number from 0 to 18446744073709551615";

/// What the names in a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// Numbers.
    Id,
    /// Strings.
    Key,
}

/// How the rows of a slab are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// A number each.
    Ids(Vec<u64>),
    /// A string each.
    Keys(Vec<String>),
}

/// Gathers what the rows of a table have beside their vectors; does nothing until it is asked to.
///
/// A [`RowSource`](crate::RowSource) with columns fills it with each slab.
#[derive(Debug, Default)]
pub struct Beside {
    naming: Option<(String, NameKind)>,
    keeps_payload: bool,
    ids: Vec<u64>,
    keys: Vec<String>,
    payload: Vec<String>,
    /// Bytes of payload in this slab.
    bytes: usize,
}

impl Beside {
    /// Takes the names of the rows from the column called `column`, which is then no payload.
    pub fn name_by(&mut self, column: &str, kind: NameKind) {
        self.naming = Some((column.to_owned(), kind));
    }

    /// Makes payload of the columns that are neither vector nor name.
    pub fn keep_payload(&mut self) {
        self.keeps_payload = true;
    }

    /// The names of the rows that were read last; `None` if nobody has asked for them.
    pub fn take_names(&mut self) -> Option<Names> {
        self.naming.as_ref().map(|(_, kind)| match kind {
            NameKind::Id => Names::Ids(std::mem::take(&mut self.ids)),
            NameKind::Key => Names::Keys(std::mem::take(&mut self.keys)),
        })
    }

    /// The payload of the rows that were read last: for each a JSON object, or nothing; `None` if none of them has any, or nobody
    /// has asked for it.
    pub fn take_payload(&mut self) -> Option<Vec<String>> {
        let payload = std::mem::take(&mut self.payload);
        payload.iter().any(|text| !text.is_empty()).then_some(payload)
    }

    /// Begins a slab.
    pub(crate) fn begin(&mut self) {
        self.ids.clear();
        self.keys.clear();
        self.payload.clear();
        self.bytes = 0;
    }

    /// Whether the slab has as much payload as it should.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= SLAB_BYTES
    }

    /// The column that names the rows.
    pub(crate) fn name_column(&self) -> Option<&str> {
        self.naming.as_ref().map(|(column, _)| column.as_str())
    }

    /// Whether payload is wanted.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps_payload
    }

    /// Adds the name of a row: the text of a string or of a number.
    pub(crate) fn push_name(&mut self, text: &str) -> Result<(), Problem> {
        match &self.naming {
            None => {}
            Some((_, NameKind::Key)) => self.keys.push(checked_key(text)?),
            Some((_, NameKind::Id)) => {
                let text = text.trim();
                match (text.parse::<u64>(), text.parse::<i64>()) {
                    (Ok(id), _) => self.ids.push(id),
                    (_, Ok(value)) => return Err(Problem::Negative { value }),
                    _ => {
                        return Err(Problem::Text { found: format!("`{}`", excerpt(text)), expected: ID });
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the payload of a row: its members as names and JSON texts.
    ///
    /// # Errors
    /// [`Problem::Cell`] for a text that is not JSON or cannot be [read again](json::check), and for a name that is there twice;
    /// [`Problem::Text`] for payload that is too long.
    pub(crate) fn push_payload<'a, T: AsRef<str>>(
        &mut self,
        members: impl Iterator<Item = (&'a str, T)>,
    ) -> Result<(), Problem> {
        let mut object = String::new();
        let mut names = HashSet::new();
        for (name, value) in members {
            let value = value.as_ref();
            let fail = |found, expected| {
                let problem = Box::new(Problem::Text { found, expected });
                Problem::Cell { column: excerpt(name), problem }
            };
            if !names.insert(name) {
                return Err(fail("a second value of that name".to_owned(), "each name once"));
            }
            json::check(value, 1).map_err(|unreadable| {
                let found = format!("`{}` ({})", excerpt(value), unreadable.reason);
                fail(found, "payload that can be read again")
            })?;
            object.push(if object.is_empty() { '{' } else { ',' });
            push_string(&mut object, name);
            object.push(':');
            object.push_str(value);
        }
        if !object.is_empty() {
            object.push('}');
        }
        if object.len() > MAX_PAYLOAD_BYTES {
            let found = format!("payload of {} bytes", object.len());
            return Err(Problem::Text { found, expected: "at most 16 MiB" });
        }
        self.bytes += object.len() + size_of::<String>();
        self.payload.push(object);
        Ok(())
    }
}

/// Writes `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_or_strings_as_asked() {
        let mut beside = Beside::default();
        beside.push_name("ignored").unwrap();
        assert_eq!(beside.take_names(), None);
        beside.name_by("id", NameKind::Id);
        beside.push_name(" 7 ").unwrap();
        assert!(beside.push_name("-7").unwrap_err().to_string().contains("-7 is negative"));
        assert!(beside.push_name("x").unwrap_err().to_string().contains("found `x`"));
        assert_eq!(beside.take_names(), Some(Names::Ids(vec![7])));
        beside.name_by("id", NameKind::Key);
        beside.push_name(" 7 ").unwrap();
        assert!(beside.push_name("").is_err());
        assert_eq!(beside.take_names(), Some(Names::Keys(vec![" 7 ".into()])));
    }

    #[test]
    fn payload_is_json_whatever_the_names_are() {
        let mut beside = Beside::default();
        beside.push_payload([("a\"\\\u{1}\n", "1")].into_iter()).unwrap();
        beside.push_payload([("x", "[1, 2]"), ("ü", "null")].into_iter()).unwrap();
        beside.push_payload([("", ""); 0].into_iter()).unwrap();
        let payload = beside.take_payload().unwrap();
        assert_eq!(payload, ["{\"a\\\"\\\\\\u0001\\n\":1}", "{\"x\":[1, 2],\"ü\":null}", ""]);
        for text in &payload[..2] {
            serde_json::from_str::<serde_json::Value>(text).unwrap();
        }
        assert_eq!(beside.take_payload(), None);
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        for (name, value, expected) in [
            ("a", deep.as_str(), "column `a`: found `[[[["),
            ("b", "-1e999", "column `b`: found `-1e999` (number out of range)"),
            ("x", "1", "column `x`: found a second value of that name"),
        ] {
            let error = beside.push_payload([("x", "1"), (name, value)].into_iter()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        let long = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
        assert!(beside.push_payload([("a", long)].into_iter()).is_err());
    }
}
