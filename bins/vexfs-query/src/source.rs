//! Where queries come from: a file, standard input, the command line, or a stored row.

use std::io::IsTerminal;
use std::path::Path;

use vexfs_ann::Queries;
use vexfs_fs::search::Searcher;
use vexfs_fs::{FsError, Result as FsResult};
use vexfs_io::{OpenOptions, RowSource, TargetType, parse_vector};

use crate::args::Args;

/// Queries answered together: enough to fill the tiles of a batch, few enough that their answers fit in memory.
const BATCH_QUERIES: usize = 1024;
/// Bytes of queries answered together.
const BATCH_BYTES: usize = 16 << 20;

/// Queries, in order.
pub(crate) enum QuerySource {
    One(Option<Box<Batch>>),
    Many { rows: Box<dyn RowSource>, most: usize },
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

impl QuerySource {
    pub(crate) fn open(args: &Args, searcher: &Searcher) -> anyhow::Result<Self> {
        let target = if searcher.is_binary() { TargetType::B1 } else { TargetType::F32 };
        if let Some(text) = &args.vector {
            let vector = parse_vector(text, target)?;
            return Ok(Self::One(Some(Box::new(Batch::new(searcher, vector.bytes, vector.dim)?))));
        }
        if let Some(id) = &args.id {
            let row = searcher.identities().find(id, searcher.deletions())?;
            return Ok(Self::One(Some(Box::new(Batch::of_row(searcher, row)?))));
        }
        let path = args.queries.as_deref().unwrap_or(Path::new("-"));
        let options = OpenOptions { target: Some(target), single_vector: true, ..OpenOptions::default() };
        let rows = vexfs_io::open(path, &options)?;
        let is_typed = path == Path::new("-") && std::io::stdin().is_terminal();
        // Who types a query waits for its answer before typing the next.
        let most = if is_typed { 1 } else { rows.rows_within(BATCH_BYTES).min(BATCH_QUERIES) };
        Ok(Self::Many { rows, most })
    }

    pub(crate) fn next_batch(&mut self, searcher: &Searcher) -> anyhow::Result<Option<Batch>> {
        match self {
            Self::One(batch) => Ok(batch.take().map(|batch| *batch)),
            Self::Many { rows, most } => {
                let mut bytes = Vec::new();
                if rows.read_rows(&mut bytes, *most)? == 0 {
                    return Ok(None);
                }
                Ok(Some(Batch::new(searcher, bytes, rows.dim())?))
            }
        }
    }
}

impl Batch {
    /// Prepares packed rows of f32, or of bits where the collection holds bits.
    fn new(searcher: &Searcher, bytes: Vec<u8>, dim: usize) -> FsResult<Self> {
        if searcher.is_binary() {
            let row_bytes = dim.div_ceil(8);
            // Packed bytes come with all bits of the last byte; the collection says how many count.
            let dim = if row_bytes == searcher.dim().div_ceil(8) { searcher.dim() } else { dim };
            let queries = searcher.bit_queries(&bytes, dim)?;
            return Ok(Self { queries, values: Values::Bits { bytes, row_bytes } });
        }
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let queries = searcher.queries(&values, dim)?;
        Ok(Self { queries, values: Values::Numbers { values, dim } })
    }

    fn of_row(searcher: &Searcher, row: u64) -> FsResult<Self> {
        let values = if searcher.is_binary() {
            let bytes = searcher.rows().bytes(row..row + 1)?.to_vec();
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
