//! Where queries come from: a file, a stream, the command line, or a stored row.

use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, bail};
use vexfs_ann::Queries;
use vexfs_cli::Report;
use vexfs_fs::search::{Limit, Searcher};
use vexfs_fs::{FsError, Result as FsResult};
use vexfs_io::{OpenOptions, RowSource, TargetType, is_regular_file, parse_vector};

use crate::args::Args;
use crate::merge::Found;
use crate::place::Place;
use crate::stream::Stream;

/// Queries answered together: enough to fill the tiles of a batch.
const BATCH_QUERIES: usize = 1024;
/// Bytes of queries answered together.
const BATCH_BYTES: usize = 16 << 20;
/// Bytes of the answers to them.
const ANSWER_BYTES: usize = 64 << 20;

/// Queries, in order.
pub(crate) struct QuerySource<'a> {
    /// What is searched: of the places one, in which queries are as in all of them.
    searcher: &'a Searcher,
    /// For messages.
    name: String,
    origin: Origin,
    /// Queries answered so far.
    answered: u64,
}

enum Origin {
    One(Option<Box<Batch>>),
    /// A file: as many queries at a time as make the search efficient.
    File {
        rows: Box<dyn RowSource>,
        most: usize,
    },
    /// A pipe or terminal, behind which may be somebody who waits for an answer: the queries that have come.
    Stream(Stream),
}

/// Queries that are answered together.
pub(crate) struct Batch {
    pub(crate) queries: Queries,
    values: Values,
}

/// The queries as they were given, for distances outside the search.
enum Values {
    Numbers { values: Vec<f32>, dim: usize },
    Bits { bytes: Vec<u8>, row_bytes: usize },
}

impl<'a> QuerySource<'a> {
    /// Opens the queries that are put to `places`, of which there is at least one.
    pub(crate) fn open(args: &Args, places: &'a [Place], report: &Report) -> anyhow::Result<Self> {
        let Some(Place { searcher, .. }) = places.first() else { bail!("there is nothing to search") };
        let target = if searcher.is_binary() { TargetType::B1 } else { TargetType::F32 };
        let one = |name: &str, batch: Batch| {
            let origin = Origin::One(Some(Box::new(batch)));
            Ok(Self { searcher, name: name.to_owned(), origin, answered: 0 })
        };
        if let Some(text) = &args.vector {
            let vector = parse_vector(text, target)?;
            return one("--vector", Batch::new(searcher, vector.bytes, vector.dim)?);
        }
        if let Some(id) = &args.id {
            let (place, row) = find(places, id)?;
            return one("--id", Batch::of_row(&place.searcher, row)?);
        }
        let path = args.queries.as_deref().unwrap_or(Path::new("-"));
        let name =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        if path == Path::new("-") && io::stdin().is_terminal() {
            report.message("a query per line, then Enter; Ctrl-D ends");
        }
        let options = OpenOptions {
            format: args.format,
            target: Some(target),
            single_vector: true,
            ..OpenOptions::default()
        };
        let rows = vexfs_io::open(path, &options)?;
        let hit_bytes = answer_len(args.limit(), places).saturating_mul(size_of::<Found>()).max(1);
        let most = rows.rows_within(BATCH_BYTES).min(BATCH_QUERIES).min(ANSWER_BYTES / hit_bytes).max(1);
        let origin = if is_regular_file(path) {
            Origin::File { rows, most }
        } else {
            Origin::Stream(Stream::start(rows, most)?)
        };
        Ok(Self { searcher, name, origin, answered: 0 })
    }

    /// The number of queries, where it is known before the last is read.
    pub(crate) fn len(&self) -> Option<u64> {
        match &self.origin {
            Origin::One(_) => Some(1),
            Origin::File { rows, .. } => rows.rows(),
            Origin::Stream(stream) => stream.rows(),
        }
    }

    /// The next queries; `None` after the last.
    pub(crate) fn next_batch(&mut self) -> anyhow::Result<Option<Batch>> {
        let (bytes, dim) = match &mut self.origin {
            Origin::One(batch) => return Ok(batch.take().map(|batch| *batch)),
            Origin::File { rows, most } => {
                let mut bytes = Vec::new();
                if rows.read_rows(&mut bytes, *most)? == 0 {
                    return Ok(None);
                }
                (bytes, rows.dim())
            }
            Origin::Stream(stream) => match stream.next()? {
                Some(bytes) => (bytes, stream.dim()),
                None => return Ok(None),
            },
        };
        let batch = Batch::new(self.searcher, bytes, dim);
        let batch = batch.with_context(|| format!("{}: queries from {} on", self.name, self.answered))?;
        self.answered += batch.queries.len() as u64;
        Ok(Some(batch))
    }
}

/// Most neighbours that one query can have.
pub(crate) fn answer_len(limit: Limit, places: &[Place]) -> usize {
    let rows = places.iter().fold(0_u64, |rows, place| rows.saturating_add(place.searcher.rows().len()));
    usize::try_from(rows).unwrap_or(usize::MAX).min(limit.k)
}

/// The one row of all places that is called `id`.
fn find<'a>(places: &'a [Place], id: &str) -> anyhow::Result<(&'a Place, u64)> {
    let mut found = Vec::new();
    let mut missing = None;
    for place in places {
        match place.searcher.identities().find(id, place.searcher.deletions()) {
            Ok(row) => found.push((place, row)),
            Err(e @ FsError::NoSuchId { .. }) => missing = missing.or(Some(e)),
            Err(e) => return Err(e.into()),
        }
    }
    match (&found[..], missing) {
        ([one], _) => Ok(*one),
        ([], Some(missing)) if places.len() == 1 => Err(missing.into()),
        ([], _) => bail!("{id} is in none of the collections that are searched"),
        (several, _) => {
            let names: Vec<String> = several.iter().map(|(place, _)| place.name()).collect();
            bail!(
                "{id} is in {}; name one of them, or give the vector itself with --vector",
                names.join(" and in ")
            )
        }
    }
}

impl Batch {
    /// Prepares packed rows of f32, or of bits where the collection holds bits.
    fn new(searcher: &Searcher, bytes: Vec<u8>, dim: usize) -> anyhow::Result<Self> {
        if searcher.is_binary() {
            let row_bytes = dim.div_ceil(8);
            // Packed bits come in whole bytes; the collection says how many of the last one count.
            let dim = if row_bytes == searcher.dim().div_ceil(8) { searcher.dim() } else { dim };
            let beyond =
                |row: &[u8]| !dim.is_multiple_of(8) && row.last().is_some_and(|b| b >> (dim % 8) != 0);
            if let Some(query) = bytes.chunks_exact(row_bytes).position(beyond) {
                bail!(
                    "query {query} of these has bits set behind dimension {dim}, the last of the collection"
                );
            }
            let queries = searcher.bit_queries(&bytes, dim)?;
            return Ok(Self { queries, values: Values::Bits { bytes, row_bytes } });
        }
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let queries = searcher.queries(&values, dim)?;
        Ok(Self { queries, values: Values::Numbers { values, dim } })
    }

    fn of_row(searcher: &Searcher, row: u64) -> FsResult<Self> {
        let values = if searcher.is_binary() {
            let bytes = searcher.rows().row(row)?.to_vec();
            Values::Bits { row_bytes: bytes.len(), bytes }
        } else {
            Values::Numbers { values: searcher.row_values(row)?, dim: searcher.dim() }
        };
        Ok(Self { queries: searcher.query_of_row(row)?, values })
    }

    /// The distance of query `query` of this batch to a stored row.
    pub(crate) fn distance(&self, searcher: &Searcher, query: usize, row: u64) -> Result<f64, FsError> {
        match &self.values {
            Values::Numbers { values, dim } => {
                searcher.distance(&values[query * dim..(query + 1) * dim], row)
            }
            Values::Bits { bytes, row_bytes } => {
                searcher.bit_distance(&bytes[query * row_bytes..(query + 1) * row_bytes], row)
            }
        }
    }
}
