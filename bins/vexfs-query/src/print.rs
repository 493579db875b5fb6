//! Neighbours as a table, JSON lines, CSV or an array.

use std::io::Write;

use serde::{Serialize, Serializer};
use vexfs_ann::Neighbor;
use vexfs_cli::output::json::{Schema, write_line};
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::{Output, Report, Usage};
use vexfs_fs::collection::ids::{Identities, Identity};
use vexfs_fs::search::Answer;

use crate::args::{Args, Form};
use crate::array::IdArray;

const SCHEMA: Schema = Schema::new("vexfs-query", 1);

/// Prints the answers of one run.
pub(crate) struct Printer<'a> {
    identities: &'a Identities,
    report: &'a Report,
    shape: Shape<'a>,
    /// Queries answered so far.
    query: u64,
    /// Neighbours that are left out because nobody can tell how they are called.
    unnamed: u64,
}

/// A form with what it needs.
enum Shape<'a> {
    Table(&'a mut Output),
    /// `--json` says what it is in each line; `-o jsonl` is the bare line.
    Lines {
        out: &'a mut Output,
        with_schema: bool,
    },
    Csv(&'a mut Output),
    Array(IdArray<'a>),
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
    /// A printer of answers with at most `k` neighbours to as many queries, if that is known.
    pub(crate) fn new(
        args: &Args,
        out: &'a mut Output,
        identities: &'a Identities,
        report: &'a Report,
        k: usize,
        queries: Option<u64>,
    ) -> anyhow::Result<Self> {
        let shape = match args.form() {
            Form::Table => Shape::Table(out),
            Form::Jsonl => Shape::Lines { out, with_schema: args.output.json },
            Form::Csv => {
                writeln!(out, "query,rank,id,distance")?;
                Shape::Csv(out)
            }
            Form::Npy if identities.has_keys() => {
                let problem = "the rows have keys, and an array of numbers cannot hold them; use -o jsonl";
                return Err(Usage::new(problem).into());
            }
            Form::Npy if args.radius.is_some() && args.k.is_none() => {
                let problem = "with --radius each query has as many neighbours as there are, and an array has columns; give -k";
                return Err(Usage::new(problem).into());
            }
            Form::Npy if out.terminal_width().is_some() => {
                return Err(Usage::new("an array is not for a terminal; send it to a file or pipe").into());
            }
            Form::Npy => Shape::Array(IdArray::new(out, k, queries)?),
        };
        Ok(Self { identities, report, shape, query: 0, unnamed: 0 })
    }

    /// Prints the answers to the next queries.
    pub(crate) fn batch(&mut self, answer: &Answer) -> anyhow::Result<()> {
        let mut table = new_table();
        for neighbors in &answer.hits {
            let hits = self.named(neighbors);
            self.answer(hits, answer.is_exact, &mut table)?;
            self.query += 1;
        }
        match &mut self.shape {
            Shape::Table(out) => {
                if !table.is_empty() {
                    table.write(out)?;
                }
                out.flush()?;
            }
            Shape::Lines { out, .. } | Shape::Csv(out) => out.flush()?,
            Shape::Array(_) => {}
        }
        Ok(())
    }

    /// Completes the output. Returns how many neighbours had to be left out.
    pub(crate) fn finish(self) -> anyhow::Result<u64> {
        if let Shape::Array(array) = self.shape {
            array.finish()?;
        }
        Ok(self.unnamed)
    }

    /// Neighbours with their ids or keys, without those that are damaged.
    fn named(&mut self, neighbors: &[Neighbor]) -> Vec<Hit> {
        let mut hits = Vec::with_capacity(neighbors.len());
        for &Neighbor { row, distance } in neighbors {
            match self.identities.identity(row) {
                Ok(id) => hits.push(Hit { id, distance }),
                Err(e) => {
                    self.unnamed += 1;
                    let query = self.query;
                    self.report.warning(format!(
                        "row {row}, at distance {distance} from query {query}, is left out: {e}"
                    ));
                }
            }
        }
        hits
    }

    fn answer(&mut self, hits: Vec<Hit>, exact: bool, table: &mut Table) -> anyhow::Result<()> {
        let query = self.query;
        match &mut self.shape {
            Shape::Table(_) => {
                for (rank, hit) in (1..).zip(hits) {
                    let distance = short(hit.distance);
                    table.row([query.to_string(), rank.to_string(), hit.id.to_string(), distance]);
                }
            }
            Shape::Lines { out, with_schema } => {
                let line = Line { query, hits, exact };
                if *with_schema {
                    write_line(out, SCHEMA, &line)?;
                } else {
                    writeln!(out, "{}", serde_json::to_string(&line)?)?;
                }
            }
            Shape::Csv(out) => {
                for (rank, hit) in (1..).zip(hits) {
                    writeln!(out, "{query},{rank},{},{}", csv_field(&hit.id), hit.distance)?;
                }
            }
            Shape::Array(array) => array.push(hits.into_iter().filter_map(|hit| match hit.id {
                Identity::Id(id) => Some(id),
                Identity::Key(_) => None,
            }))?,
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

/// A distance for people: at most six digits behind the point, without zeros at the end.
fn short(distance: f64) -> String {
    let rounded = format!("{distance:.6}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" || (short == "0" && distance != 0.0) {
        format!("{distance:.1e}")
    } else {
        short.to_owned()
    }
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
            [1234.0, 0.1 + 0.2, 0.25, -17.0, 0.0, 1e-9, -1e-9].map(short),
            ["1234", "0.3", "0.25", "-17", "0", "1.0e-9", "-1.0e-9"]
        );
    }
}
