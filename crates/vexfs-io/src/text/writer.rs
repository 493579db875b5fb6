//! Writing JSON lines.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};

use half::{bf16, f16};

use super::object::Members;
use crate::element::TargetType;
use crate::error::{IoError, Place, Problem, excerpt};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER, check_named};

/// Writes each row as a JSON object with its `id` or `key`, its `vector`, and the members of its payload, a line each.
pub struct JsonLinesWriter<W> {
    name: String,
    sink: W,
    target: TargetType,
    dim: usize,
}

impl JsonLinesWriter<BufWriter<File>> {
    /// Writes packed rows of `dim` components of `target`.
    pub fn new(file: File, name: &str, target: TargetType, dim: usize) -> Self {
        let sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        JsonLinesWriter { name: name.to_owned(), sink, target, dim }
    }
}

impl<W: Write> JsonLinesWriter<W> {
    fn write_row(&mut self, row: &[u8], name: &RowName<'_>, payload: &str) -> std::io::Result<()> {
        let sink = &mut self.sink;
        match name {
            RowName::Id(id) => write!(sink, "{{\"id\":{id}")?,
            RowName::Key(key) => {
                sink.write_all(b"{\"key\":")?;
                serde_json::to_writer(&mut *sink, key)?;
            }
        }
        sink.write_all(b",\"vector\":")?;
        write_components(sink, row, self.target, self.dim)?;
        if !payload.is_empty() {
            write!(sink, ",{payload}")?;
        }
        sink.write_all(b"}\n")
    }
}

/// Writes a packed row of `dim` components of `target` as a JSON list, each number with as many digits as it takes to read the same one
/// again.
pub(crate) fn write_components(
    sink: &mut impl Write,
    row: &[u8],
    target: TargetType,
    dim: usize,
) -> std::io::Result<()> {
    let pairs = row.as_chunks::<2>().0;
    for at in 0..dim {
        sink.write_all(if at == 0 { b"[" } else { b"," })?;
        match target {
            TargetType::F32 => write!(sink, "{}", f32::from_le_bytes(row.as_chunks().0[at]))?,
            TargetType::F16 => write!(sink, "{}", f16::from_le_bytes(pairs[at]).to_f32())?,
            TargetType::BF16 => write!(sink, "{}", bf16::from_le_bytes(pairs[at]).to_f32())?,
            TargetType::I8 => write!(sink, "{}", row[at] as i8)?,
            TargetType::U8 => write!(sink, "{}", row[at])?,
            TargetType::B1 => write!(sink, "{}", row[at / 8] >> (at % 8) & 1)?,
        }
    }
    sink.write_all(b"]")
}

/// The members of a payload without the braces around them, on one line.
///
/// # Errors
/// What the payload has that cannot stand beside the vector: a member called as one of the row itself is.
fn members<'a>(payload: &'a str, name: &RowName<'_>) -> Result<Cow<'a, str>, String> {
    if payload.is_empty() {
        return Ok(Cow::Borrowed(payload));
    }
    let own = if matches!(name, RowName::Id(_)) { "id" } else { "key" };
    let members = Members::parse(payload).map_err(|(_, problem)| format!("is no JSON object: {problem}"))?;
    if let Some(taken) = members.names().find(|member| [own, "vector"].contains(member)) {
        return Err(format!("has a member `{taken}`, as the row has itself"));
    }
    let inner = payload.trim().strip_prefix('{').and_then(|inner| inner.strip_suffix('}'));
    let inner = inner.unwrap_or_default().trim();
    // A line end of JSON lies between values.
    Ok(if inner.contains(['\n', '\r']) { inner.replace(['\n', '\r'], " ").into() } else { inner.into() })
}

impl<W: Write> RowWriter for JsonLinesWriter<W> {
    fn takes_names(&self) -> bool {
        true
    }

    fn takes_payload(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], payload: &[&str]) -> Result<(), IoError> {
        let row_bytes = self.target.row_bytes(self.dim);
        check_named(&self.name, rows, row_bytes, names)?;
        for (at, (row, name)) in rows.chunks_exact(row_bytes).zip(names).enumerate() {
            let payload = payload.get(at).copied().unwrap_or_default();
            let members = members(payload, name).map_err(|found| {
                let row = match name {
                    RowName::Id(id) => format!("id {id}"),
                    RowName::Key(key) => format!("key {}", excerpt(key)),
                };
                IoError::new(&self.name, Place::Whole, Problem::Payload { row, found })
            })?;
            self.write_row(row, name, &members)
                .map_err(|error| IoError::system(&self.name, "write", error))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        self.sink.flush().map_err(|error| IoError::system(&self.name, "write", error))
    }
}
