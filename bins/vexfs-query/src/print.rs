//! Neighbours as a table, JSON lines, CSV or an array.

use std::io::Write;

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde::{Serialize, Serializer};
use vexfs_ann::Neighbor;
use vexfs_cli::output::json::{Schema, write_line};
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::{Output, Usage};
use vexfs_fs::collection::ids::{Identities, Identity};

use crate::args::{Args, Form};

const SCHEMA: Schema = Schema::new("vexfs-query", 1);

/// Prints the answers of one run.
pub(crate) struct Printer<'a> {
    form: Form,
    /// `--json` says what it is in each line; `-o jsonl` is the bare line.
    with_schema: bool,
    identities: &'a Identities,
    k: usize,
    /// Queries answered so far.
    query: u64,
    table: Table,
    /// Ids for the array, k for each query.
    array: Vec<i64>,
}

#[derive(Serialize)]
struct Line {
    query: u64,
    hits: Vec<Hit>,
    exact: bool,
}

#[derive(Serialize)]
struct Hit {
    #[serde(serialize_with = "number_or_text")]
    id: Identity,
    distance: f64,
}

fn number_or_text<S: Serializer>(id: &Identity, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Identity::Id(id) => serializer.serialize_u64(*id),
        Identity::Key(key) => serializer.serialize_str(key),
    }
}

impl<'a> Printer<'a> {
    pub(crate) fn new(args: &Args, identities: &'a Identities) -> anyhow::Result<Self> {
        let form = args.form();
        if form == Form::Npy && identities.has_keys() {
            return Err(Usage::new(
                "the rows have keys, and an array of numbers cannot hold them; use -o jsonl",
            )
            .into());
        }
        Ok(Self {
            form,
            with_schema: args.output.json,
            identities,
            k: args.k as usize,
            query: 0,
            table: new_table(),
            array: Vec::new(),
        })
    }

    /// Prints the answers to the next queries.
    pub(crate) fn batch(&mut self, out: &mut Output, answers: &[Vec<Neighbor>]) -> anyhow::Result<()> {
        if self.form == Form::Csv && self.query == 0 {
            writeln!(out, "query,rank,id,distance")?;
        }
        for hits in answers {
            self.answer(out, hits)?;
            self.query += 1;
        }
        if self.form == Form::Table && !self.table.is_empty() {
            std::mem::replace(&mut self.table, new_table()).write(out)?;
        }
        out.flush()?;
        Ok(())
    }

    fn answer(&mut self, out: &mut Output, hits: &[Neighbor]) -> anyhow::Result<()> {
        let mut named = Vec::with_capacity(hits.len());
        for hit in hits {
            named.push(Hit { id: self.identities.identity(hit.row)?, distance: hit.distance });
        }
        let query = self.query;
        match self.form {
            Form::Table => {
                for (rank, hit) in (1..).zip(named) {
                    let cells =
                        [query.to_string(), rank.to_string(), hit.id.to_string(), distance(hit.distance)];
                    self.table.row(cells);
                }
            }
            Form::Jsonl => {
                let line = Line { query, hits: named, exact: true };
                if self.with_schema {
                    write_line(out, SCHEMA, &line)?;
                } else {
                    writeln!(out, "{}", serde_json::to_string(&line)?)?;
                }
            }
            Form::Csv => {
                for (rank, hit) in (1..).zip(named) {
                    writeln!(out, "{query},{rank},{},{}", csv_field(&hit.id), hit.distance)?;
                }
            }
            Form::Npy => {
                for hit in named {
                    let Identity::Id(id) = hit.id else { continue };
                    let id = i64::try_from(id);
                    self.array.push(id.map_err(|e| Usage::new(format!("an id does not fit an array: {e}")))?);
                }
                self.array.resize((query as usize + 1) * self.k, -1);
            }
        }
        Ok(())
    }

    /// Prints what can only be printed when all is known.
    pub(crate) fn finish(self, out: &mut Output) -> anyhow::Result<()> {
        if self.form == Form::Npy {
            let array = Array2::from_shape_vec((self.query as usize, self.k), self.array)?;
            array.write_npy(&mut *out)?;
            out.flush()?;
        }
        Ok(())
    }
}

fn new_table() -> Table {
    Table::new(&[
        ("query", Align::Right),
        ("rank", Align::Right),
        ("id", Align::Right),
        ("distance", Align::Right),
    ])
}

/// A distance for people: as short as it can be said, at most six digits behind the point.
fn distance(distance: f64) -> String {
    let exact = distance.to_string();
    let rounded = format!("{distance:.6}");
    if exact.len() <= rounded.len() { exact } else { rounded }
}

/// A field as RFC 4180 quotes it.
fn csv_field(id: &Identity) -> String {
    let text = id.to_string();
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_commas_and_quotes_are_quoted() {
        assert_eq!(csv_field(&Identity::Key("a,\"b\"".into())), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_field(&Identity::Id(7)), "7");
    }

    #[test]
    fn distances_are_short() {
        assert_eq!(
            (distance(1234.0), distance(0.1 + 0.2), distance(0.25)),
            ("1234".into(), "0.300000".into(), "0.25".into())
        );
    }
}
