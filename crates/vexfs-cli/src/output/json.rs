//! JSON documents that say what they are.

use std::io::{self, Write};

use serde::Serialize;

use crate::Output;

/// Kind and version of a JSON document. The version grows when a field changes its meaning or goes away.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Schema {
    /// What the document describes, such as `mkfs.vexfs`.
    pub name: &'static str,
    /// Version of its fields.
    pub version: u32,
}

impl Schema {
    /// Schema `name`, version `version`.
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self { name, version }
    }
}

#[derive(Serialize)]
struct Document<'a, T> {
    schema: Schema,
    #[serde(flatten)]
    body: &'a T,
}

/// Writes one document: an object with `schema` first and then the fields of `body`, indented, with a line end.
///
/// `body` serialises as an object (a struct or a map).
///
/// # Errors
/// The system's answer; a closed pipe as [`Output`] describes.
pub fn write_document<T: Serialize>(out: &mut Output, schema: Schema, body: &T) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { schema, body })?;
    out.write_all(b"\n")
}

/// Writes one document as [`write_document`] does, on a single line: an element of a stream.
///
/// # Errors
/// As [`write_document`].
pub fn write_line<T: Serialize>(out: &mut Output, schema: Schema, body: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Document { schema, body })?;
    out.write_all(b"\n")
}

/// A document as [`write_line`] writes it, for standard error.
///
/// # Errors
/// Only if `body` is not an object.
pub fn to_line<T: Serialize>(schema: Schema, body: &T) -> io::Result<String> {
    Ok(serde_json::to_string(&Document { schema, body })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Layout {
        blocks: u64,
        label: String,
    }

    #[test]
    fn a_document_begins_with_its_schema_and_keeps_numbers_exact() {
        let body = Layout { blocks: u64::MAX, label: "a\"b".into() };
        let text = to_line(Schema::new("mkfs.vexfs", 1), &body).expect("serialise");
        assert_eq!(
            text,
            r#"{"schema":{"name":"mkfs.vexfs","version":1},"blocks":18446744073709551615,"label":"a\"b"}"#
        );
    }
}
