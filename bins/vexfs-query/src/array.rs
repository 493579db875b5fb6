//! Ids as a NumPy array: a row of k for each query, the rest −1 where a query has fewer neighbours.

use anyhow::bail;
use vexfs_cli::Output;
use vexfs_io::{ArraySpec, ElementType, NpyWriter};

/// What stands for a neighbour that there is not, as in FAISS.
const NONE: i64 = -1;

/// The array under way.
pub(crate) struct IdArray<'a> {
    k: usize,
    sink: Sink<'a>,
}

enum Sink<'a> {
    /// The number of queries is known: rows are written at once.
    Direct(NpyWriter<&'a mut Output>),
    /// It stands in front of the array, so the rows wait for it.
    Collected(&'a mut Output, Vec<u8>),
}

impl<'a> IdArray<'a> {
    pub(crate) fn new(out: &'a mut Output, k: usize, queries: Option<u64>) -> anyhow::Result<Self> {
        let sink = match queries {
            Some(queries) => Sink::Direct(writer(out, k, queries)?),
            None => Sink::Collected(out, Vec::new()),
        };
        Ok(Self { k, sink })
    }

    /// Adds the neighbours of one query.
    pub(crate) fn push(&mut self, ids: impl Iterator<Item = u64>) -> anyhow::Result<()> {
        let mut row = Vec::with_capacity(self.k);
        for id in ids {
            let Ok(id) = i64::try_from(id) else {
                bail!("id {id} does not fit an array of int64; use another form of output");
            };
            row.push(id);
        }
        row.resize(self.k, NONE);
        let bytes = row.iter().flat_map(|id| id.to_le_bytes());
        match &mut self.sink {
            Sink::Direct(writer) => writer.write_rows(&bytes.collect::<Vec<u8>>())?,
            Sink::Collected(_, collected) => collected.extend(bytes),
        }
        Ok(())
    }

    /// Completes the array.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.sink {
            Sink::Direct(writer) => writer.finish()?,
            Sink::Collected(out, bytes) => {
                let rows = bytes.len() / (self.k * size_of::<i64>());
                let mut writer = writer(out, self.k, rows as u64)?;
                writer.write_rows(&bytes)?;
                writer.finish()?
            }
        };
        Ok(())
    }
}

fn writer(out: &mut Output, k: usize, rows: u64) -> anyhow::Result<NpyWriter<&mut Output>> {
    let spec = ArraySpec::matrix(ElementType::I64, k);
    Ok(NpyWriter::promising(out, "standard output", spec, rows)?)
}
