//! The flags of `vexfs-query`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, ValueHint};
use vexfs_cli::args::{CollectionArgs, DeviceArgs, OutputArgs, ThreadsArgs};

/// Neighbours per query without `-k`: what a person reads.
pub const DEFAULT_K: u32 = 10;

/// Find nearest neighbours among the vectors of a VexFS
///
/// Searches a collection for the K vectors nearest to each query and prints them, nearest first; ties by lower id. Nothing is
/// written to the device.
#[derive(Clone, Debug, Parser)]
#[command(name = "vexfs-query", bin_name = "vexfs-query", version)]
pub struct Args {
    /// File of queries: .npy, a row per query, or text, a line per query [default: -]
    ///
    /// A line of text is numbers with commas or spaces between them, a JSON array, or a JSON object with the key 'vector'. - is
    /// standard input: queries are answered as they come.
    #[arg(value_name = "QUERIES", value_hint = ValueHint::FilePath, conflicts_with_all = ["vector", "id"])]
    pub queries: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub device: DeviceArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub collection: CollectionArgs,

    /// Number of neighbours to find for each query
    ///
    /// All of them are printed if the collection has fewer.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = DEFAULT_K)]
    pub k: u32,

    /// One query, as numbers: "0.1,0.2,…"
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, conflicts_with = "id")]
    pub vector: Option<String>,

    /// One query: the stored vector with this id or key
    ///
    /// The vector itself is among its neighbours.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub id: Option<String>,

    /// Compare each query with every vector
    ///
    /// The answer is that of brute force in double precision; ties by lower id.
    #[arg(long)]
    pub exact: bool,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub threads: ThreadsArgs,

    /// True neighbours of the queries, to measure recall: a .npy array
    ///
    /// A row of ids for each query, nearest first, at least K of them; without explicit ids these are row numbers from 0. The
    /// recall goes to standard error, with --stats as one of its figures. A neighbour as near as the true K-th counts as found.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ground_truth: Option<PathBuf>,

    /// Print figures of the search as a line of JSON to standard error
    ///
    /// Among them seconds and queries per second (of searching only), latencies, recall if --ground-truth is given, distance
    /// computations and blocks read.
    #[arg(long)]
    pub stats: bool,

    /// Form of the result [default: table]
    #[arg(short = 'o', long = "output", value_name = "FORM", value_enum, conflicts_with = "json")]
    output_form: Option<Form>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,
}

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table for people
    Table,
    /// A line of JSON per query; the same as --json
    Jsonl,
    /// Comma-separated values: query, rank, id, distance
    Csv,
    /// A NumPy array of ids, a row per query, -1 where there are fewer than K
    Npy,
}

impl Args {
    /// The form of the result.
    pub fn form(&self) -> Form {
        match self.output_form {
            Some(form) => form,
            None if self.output.json => Form::Jsonl,
            None => Form::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["vexfs-query"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_line_of_the_guide_is_understood() {
        let args = parse("--k 10").expect("parsed");
        assert_eq!((args.k, args.form(), args.queries), (10, Form::Table, None));
        assert!(parse("-k 0").is_err());
    }

    #[test]
    fn a_query_comes_from_one_place() {
        assert_eq!(parse("--vector -0.5,1").expect("parsed").vector.as_deref(), Some("-0.5,1"));
        for line in ["q.npy --vector 1,2", "q.npy --id 7", "--vector 1,2 --id 7"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn json_is_a_form_and_there_is_one() {
        assert_eq!(parse("--json").expect("parsed").form(), Form::Jsonl);
        assert_eq!(parse("-o npy").expect("parsed").form(), Form::Npy);
        assert!(parse("-o csv --json").is_err());
    }
}
