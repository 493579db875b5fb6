//! A JSON object of a line: its members, and which of them is the vector.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::components::Malformed;
use crate::beside::Beside;
use crate::error::{Problem, excerpt};

/// Names that say what a member is; the first one counts.
const VECTORS: [&str; 2] = ["vector", "embedding"];

/// The members of an object in the order of the text.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Takes an object apart.
    pub(super) fn parse(line: &'a str) -> Result<Self, Malformed> {
        serde_json::from_str(line).map_err(|error| {
            let message = error.to_string();
            // The position is told by our own place.
            let found = message.split(" at line ").next().unwrap_or_default();
            let problem = Problem::Text {
                found: format!("a malformed JSON object ({})", excerpt(found)),
                expected: "{\"vector\": [0.1, 0.2]}",
            };
            (error.column().max(1) as u64, problem)
        })
    }

    /// The names of the members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    fn has(&self, name: &str) -> bool {
        self.names().any(|member| member == name)
    }

    /// The name of the member that holds the vector, where nobody has said it: a telling name, or the only array of numbers.
    pub(super) fn vector_name(&self) -> Result<&str, Problem> {
        if let Some(name) = VECTORS.into_iter().find(|name| self.has(name)) {
            return Ok(name);
        }
        let mut arrays = self.0.iter().filter(|(_, value)| is_array_of_numbers(value.get()));
        match (arrays.next(), arrays.next()) {
            (Some((name, _)), None) => Ok(name),
            _ => {
                let names = self.0.iter().map(|(name, _)| name.as_ref());
                Err(Problem::Columns { found: crate::error::listed(names) })
            }
        }
    }

    /// The text of the member `name`, of which there is one.
    pub(super) fn one(&self, name: &str) -> Result<&'a str, Problem> {
        let mut found = self.0.iter().filter(|(member, _)| member == name).map(|(_, value)| value.get());
        let problem = |found: String| Problem::Text { found, expected: "an object with one of that name" };
        match (found.next(), found.next()) {
            (Some(value), None) => Ok(value),
            (None, _) => Err(problem(format!("no member `{}`", excerpt(name)))),
            (Some(_), Some(_)) => Err(problem(format!("two members `{}`", excerpt(name)))),
        }
    }

    /// Hands over what is not the vector.
    pub(super) fn give(&self, vector: &str, beside: &mut Beside) -> Result<(), Problem> {
        if let Some(column) = beside.name_column() {
            let value = self.one(column)?;
            let name = match value.as_bytes().first() {
                Some(b'"') => serde_json::from_str::<Cow<'_, str>>(value).unwrap_or_default(),
                Some(b'-' | b'0'..=b'9') => Cow::Borrowed(value),
                _ => {
                    let (found, column) = (excerpt(value), excerpt(column));
                    let found = format!("`{found}` in `{column}`");
                    return Err(Problem::Text { found, expected: "a number or a string" });
                }
            };
            beside.push_name(&name)?;
        }
        if beside.keeps() {
            let named = beside.name_column().map(ToOwned::to_owned);
            let rest = self.0.iter().filter(|(name, _)| name != vector && Some(&**name) != named.as_deref());
            beside.push_payload(rest.map(|(name, value)| (&**name, value.get())))?;
        }
        Ok(())
    }
}

fn is_array_of_numbers(value: &str) -> bool {
    let inner = value.strip_prefix('[').map(str::trim_start);
    inner.is_some_and(|inner| inner.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members)
    }
}

/// A name, which has to be copied only where it is escaped.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
