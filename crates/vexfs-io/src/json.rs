//! Which JSON is stored: what all of its readers can read again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Nesting that readers of JSON take at least (serde_json, 128), so that every payload can be looked into.
const MAX_DEPTH: usize = 100;

/// What is found where [`is_too_deep`].
const TOO_DEEP: &str = "lists and objects nested more than 100 deep";

/// What keeps a text from being stored as payload, and the column in which that was noticed (0: all of it); bytes count from 1.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) column: usize,
    pub(crate) reason: String,
}

/// Whether a text is one JSON value that its readers can look into, below `levels` lists and objects.
///
/// # Errors
/// Where it is not JSON, is nested deeper than 100 lists and objects, or has a number that no f64 holds, such as `1e999`.
pub(crate) fn check(text: &str, levels: usize) -> Result<(), Unreadable> {
    let parsed = serde_json::from_str::<Readable>(text);
    if is_too_deep(text, levels) {
        return Err(Unreadable { column: 0, reason: TOO_DEEP.to_owned() });
    }
    parsed.map(|_| ()).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        Unreadable { column: error.column(), reason: reason.to_owned() }
    })
}

/// Whether JSON is nested deeper than all of its readers go.
fn is_too_deep(text: &str, levels: usize) -> bool {
    let (mut depth, mut is_quoted, mut is_escaped) = (levels, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            b'[' | b'{' if !is_quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Any value, of which nothing is kept. Unlike with [`serde::de::IgnoredAny`], numbers and texts are decoded.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Readable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E: Error>(self) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Readable, E> {
                Ok(Readable)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Readable, A::Error> {
                while let Some(Readable) = list.next_element()? {}
                Ok(Readable)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Readable, A::Error> {
                while let Some((Readable, Readable)) = map.next_entry()? {}
                Ok(Readable)
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_can_be_read_again() {
        let reason = |text: &str| check(text, 0).map_err(|unreadable| unreadable.reason);
        for text in
            ["null", "{\"a\":[1,-2.5e3,true,\"ü\\n\"]}", "12345678901234567890123", "1e-999", "\"[[\""]
        {
            assert_eq!(reason(text), Ok(()), "{text}");
        }
        for (text, expected) in [
            ("1e999", "number out of range"),
            ("{\"a\":[1,-1e400]}", "number out of range"),
            ("{\"a\":}", "expected value"),
            ("{} {}", "trailing characters"),
            ("\"\\ud800\"", "hex escape"),
        ] {
            assert!(reason(text).unwrap_err().contains(expected), "{text}: {:?}", reason(text));
        }
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(reason(&nested(100)), Ok(()));
        assert!(check(&nested(99), 1).is_ok() && check(&nested(100), 1).is_err());
        for depth in [101, 128, 100_000] {
            assert_eq!(reason(&nested(depth)), Err(TOO_DEEP.to_owned()));
        }
    }
}
