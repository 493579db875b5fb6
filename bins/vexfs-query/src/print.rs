//! Neighbours as a table, JSON lines, CSV or an array.

use std::io::Write;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use vexfs_cli::output::json::{Schema, write_line};
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::{Output, Report, Usage};
use vexfs_fs::FsError;
use vexfs_fs::collection::ids::Identity;

use crate::args::{Args, Form};
use crate::array::IdArray;
use crate::merge::Found;
use crate::place::Place;

const SCHEMA: Schema = Schema::new("vexfs-query", 1);

/// Prints the answers of one run.
pub(crate) struct Printer<'a> {
    places: &'a [Place],
    columns: Columns,
    report: &'a Report,
    shape: Shape<'a>,
    /// Queries answered so far.
    query: u64,
    /// Neighbours that are left out because nobody can tell how they are called.
    unnamed: u64,
}

/// What is said of a neighbour besides id and distance.
#[derive(Clone, Copy)]
struct Columns {
    collection: bool,
    device: bool,
    payload: bool,
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
struct Line<'a> {
    query: u64,
    hits: Vec<Hit<'a>>,
    exact: bool,
}

#[derive(Serialize)]
struct Hit<'a> {
    #[serde(serialize_with = "number_or_text")]
    id: Identity,
    distance: f64,
    /// `None` if there is one only; so for the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    /// `None` if it is not to be printed; within it, nothing for a row without.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Option<Box<RawValue>>>,
}

impl Hit<'_> {
    /// What stands behind id and distance, in the order of the columns.
    fn rest(&self) -> impl Iterator<Item = &str> {
        self.collection.into_iter().chain(self.device).chain(self.payload())
    }

    /// The payload as text, if it is to be printed.
    fn payload(&self) -> Option<&str> {
        self.payload.as_ref().map(|payload| payload.as_ref().map_or("", |json| json.get()))
    }
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
        places: &'a [Place],
        report: &'a Report,
        k: usize,
        queries: Option<u64>,
    ) -> anyhow::Result<Self> {
        let columns = Columns {
            collection: places.iter().any(|place| place.collection.is_some()),
            device: places.iter().any(|place| place.device.is_some()),
            payload: args.payload,
        };
        let shape = match args.form() {
            Form::Table => Shape::Table(out),
            Form::Jsonl => Shape::Lines { out, with_schema: args.output.json },
            Form::Csv => {
                let rest: String = columns.names().map(|name| format!(",{name}")).collect();
                writeln!(out, "query,rank,id,distance{rest}")?;
                Shape::Csv(out)
            }
            Form::Npy if columns.collection => {
                let problem = "an array of ids cannot say in which collection they are; use -o jsonl";
                return Err(Usage::new(problem).into());
            }
            Form::Npy if columns.payload => {
                return Err(Usage::new("an array of numbers cannot hold payload; use -o jsonl").into());
            }
            Form::Npy if places.iter().any(|place| place.searcher.identities().has_keys()) => {
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
        Ok(Self { places, columns, report, shape, query: 0, unnamed: 0 })
    }

    /// Prints the answers to the next queries.
    pub(crate) fn batch(&mut self, answers: &[Vec<Found>], is_exact: bool) -> anyhow::Result<()> {
        let mut table = new_table(self.columns);
        for found in answers {
            let hits = self.named(found);
            self.answer(hits, is_exact, &mut table)?;
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
    fn named(&mut self, found: &[Found]) -> Vec<Hit<'a>> {
        let mut hits = Vec::with_capacity(found.len());
        for found in found {
            let place = &self.places[found.place];
            match hit(place, found, self.columns.payload) {
                Ok(hit) => hits.push(hit),
                Err(e) => {
                    self.unnamed += 1;
                    let (row, distance) = (place.row(found.neighbor.row), found.neighbor.distance);
                    let query = self.query;
                    self.report.warning(format!(
                        "{row}, at distance {distance} from query {query}, is left out: {e}"
                    ));
                }
            }
        }
        hits
    }

    fn answer(&mut self, hits: Vec<Hit<'_>>, exact: bool, table: &mut Table) -> anyhow::Result<()> {
        let query = self.query;
        match &mut self.shape {
            Shape::Table(_) => {
                for (rank, hit) in (1..).zip(hits) {
                    let mut cells = vec![query.to_string(), rank.to_string(), hit.id.to_string()];
                    cells.push(short(hit.distance));
                    cells.extend(hit.rest().map(str::to_owned));
                    table.row(cells);
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
                    write!(out, "{query},{rank},{},{}", csv_field(&hit.id.to_string()), hit.distance)?;
                    hit.rest().try_for_each(|field| write!(out, ",{}", csv_field(field)))?;
                    writeln!(out)?;
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

/// A neighbour as it is printed.
fn hit<'a>(place: &'a Place, found: &Found, with_payload: bool) -> Result<Hit<'a>, FsError> {
    let row = found.neighbor.row;
    let stored = || place.payloads.as_ref().map_or(Ok(""), |payloads| payloads.get(row));
    let payload = match with_payload.then(stored).transpose()? {
        None => None,
        Some("") => Some(None),
        // It was JSON when it was stored, and its checksum agrees; what another tool wrote is shown as a string.
        Some(text) => Some(RawValue::from_string(text.to_owned()).or_else(|_| to_raw_value(text)).ok()),
    };
    Ok(Hit {
        id: place.searcher.identities().identity(row)?,
        distance: found.neighbor.distance,
        collection: place.collection.as_deref(),
        device: place.device.as_deref(),
        payload,
    })
}

impl Columns {
    /// Names of the columns, in order.
    fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [("collection", self.collection), ("device", self.device), ("payload", self.payload)];
        all.into_iter().filter(|(_, is_shown)| *is_shown).map(|(name, _)| name)
    }
}

fn new_table(columns: Columns) -> Table {
    let always =
        [("query", Align::Right), ("rank", Align::Right), ("id", Align::Right), ("distance", Align::Right)];
    let rest = columns.names().map(|name| (name, Align::Left));
    Table::new(&always.into_iter().chain(rest).collect::<Vec<_>>())
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
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_commas_and_quotes_are_quoted() {
        assert_eq!(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_field("7"), "7");
    }

    #[test]
    fn distances_are_short() {
        assert_eq!(
            [1234.0, 0.1 + 0.2, 0.25, -17.0, 0.0, 1e-9, -1e-9].map(short),
            ["1234", "0.3", "0.25", "-17", "0", "1.0e-9", "-1.0e-9"]
        );
    }
}
