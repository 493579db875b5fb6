//! The flags of `vexfs-query`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum, ValueHint};
use vexfs_cli::args::{CollectionsArgs, DeviceArgs, OutputArgs, ThreadsArgs, device_spec};
use vexfs_cli::size::parse_size;
use vexfs_cli::{DeviceSpec, Usage};
use vexfs_fs::collection::model::Model;
use vexfs_fs::search::{Choice, Effort, Filter, Limit, Request};
use vexfs_io::Format;

/// Neighbours per query without `-k`: what a person reads.
pub const DEFAULT_K: u32 = 10;

/// Find nearest neighbours among the vectors of a VexFS
///
/// Searches a collection for the K vectors nearest to each query and prints them, nearest first; ties by lower id. Where the
/// collection has an index, it answers; --exact compares each query with every vector. Nothing is written to the device.
#[derive(Clone, Debug, Parser)]
#[command(name = "vexfs-query", bin_name = "vexfs-query", version)]
pub struct Args {
    /// File of queries: a row per query, or text, a line per query [default: -]
    ///
    /// Arrays of numpy (npy, npz), datasets of HDF5 (FILE.h5:/test), fvecs and bvecs, fbin, u8bin and i8bin, columns
    /// of Parquet and CSV (FILE.csv:column), or text. A line of text is numbers with commas or spaces between them, a JSON array, or a JSON object with the key 'vector'. - is
    /// standard input: queries are answered as they come.
    #[arg(value_name = "QUERIES", value_hint = ValueHint::FilePath, conflicts_with_all = ["vector", "id"])]
    pub queries: Option<PathBuf>,

    /// Format of the queries [default: what they look like]
    ///
    /// Needed for what has neither a magic number nor a telling name, such as fvecs on standard input. jsonl is another name for
    /// text.
    #[arg(long, value_name = "FORMAT", value_parser = format_names(), conflicts_with_all = ["vector", "id"])]
    pub format: Option<Format>,

    /// Device to search; may be repeated [env: VEXFS_DEVICE]
    ///
    /// DEV is the path of a block device or image file, LABEL=… or UUID=… for a VexFS on one of this machine's block devices,
    /// and may end in ?offset=N for a filesystem that begins N bytes into it. Without this flag the environment variable
    /// VEXFS_DEVICE is asked, and without that the one VexFS on this machine's block devices is taken. Several devices answer
    /// as one that holds the rows of all, those of the first in front: ties by device in the order given, then by lower id. Each
    /// neighbour says its device.
    #[arg(short, long, value_name = "DEV", value_parser = device_spec())]
    pub device: Vec<DeviceSpec>,

    /// Byte of the device at which the filesystem begins
    ///
    /// For a filesystem inside a larger file, such as a partition in the image of a whole disk. The same as ?offset=N
    /// behind the name of the device, which is the way to say it of several. Takes k, M, G and T as powers of 1024.
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub offset: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub collection: CollectionsArgs,

    /// Number of neighbours for each query [default: 10, with --radius all]
    ///
    /// All of them are printed if the collection has fewer.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub k: Option<u32>,

    /// Find the vectors whose distance from the query is at most R
    ///
    /// The distance is that of the collection's metric, as it is printed: of l2 the squared one, of ip the negated product. -k
    /// limits how many of them are printed.
    #[arg(long, value_name = "R", allow_hyphen_values = true, value_parser = finite, conflicts_with = "ground_truth")]
    pub radius: Option<f64>,

    /// One query, as numbers: "0.1,0.2,…"
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true, conflicts_with = "id")]
    pub vector: Option<String>,

    /// One query: the stored vector with this id or key
    ///
    /// The vector itself is among its neighbours. Where several collections or devices are searched, one of them must have it.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub id: Option<String>,

    /// Find only vectors whose payload fulfils this, as in "year >= 2020"
    ///
    /// As in "year >= 2020 AND lang = 'de'": comparisons (=, !=, <, <=, >, >=) of names with numbers, strings, true, false and null,
    /// IN ('a', 'b'), LIKE 'a%', IS NULL and EXISTS, joined by AND, OR, NOT and parentheses. A dot leads into an object (author.name);
    /// a name with other signs than letters, digits, _ and - stands between backquotes. What is missing or null fulfils no comparison.
    /// K neighbours are found whenever as many vectors fulfil it.
    #[arg(long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<Filter>,

    /// Model that made the queries: NAME, or NAME@HASH of its weights
    ///
    /// Refused if the vectors of a collection are of another model, as vexfs-import --model has stored it: distances between them mean
    /// nothing. The hash is compared where both have one.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Model>,

    /// Print the payload of each neighbour
    #[arg(long)]
    pub payload: bool,

    /// Index that answers: its name, a kind of index, or auto [default: auto]
    ///
    /// auto takes the one that is expected to cost least, and none for a small collection. Vectors that came after the index was
    /// built are compared one by one. If the index is missing or damaged, a warning says so and every vector is compared.
    #[arg(long, value_name = "NAME|KIND", value_parser = clap::builder::NonEmptyStringValueParser::new(), conflicts_with = "exact")]
    pub index: Option<String>,

    /// Compare each query with every vector
    ///
    /// The answer is that of brute force in double precision; ties by lower id.
    #[arg(long)]
    pub exact: bool,

    /// Recall that the index is to reach, 0 to 1
    ///
    /// The share of the true K nearest that is found. How hard the index has to try for that was measured when it was built, or by
    /// vexfs-tune --calibrate. Without this and the flags below, it tries for 0.95. Where several collections or devices are searched,
    /// each is to reach it, and with that the whole.
    #[arg(long, value_name = "R", value_parser = finite, conflicts_with_all = ["exact", "ef", "nprobe", "probes", "rerank"])]
    pub recall: Option<f64>,

    /// Candidates that a graph (hnsw) keeps while it searches
    ///
    /// More of them are slower and find more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["exact", "nprobe", "probes"])]
    pub ef: Option<u32>,

    /// Inverted lists (ivf, ivf-pq) that are visited
    ///
    /// More of them are slower and find more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["exact", "probes"])]
    pub nprobe: Option<u32>,

    /// Buckets that hashing (lsh) visits in each table, on average
    ///
    /// More of them are slower and find more.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "exact")]
    pub probes: Option<u32>,

    /// Candidates found by codes that are compared by their vectors
    ///
    /// At most: of inverted lists they become fewer where the codes tell that the others are too far.
    /// The distances printed are always those of the vectors.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "exact")]
    pub rerank: Option<u32>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub threads: ThreadsArgs,

    /// True neighbours of the queries, to measure recall: an array of integers
    ///
    /// A .npy, .ivecs or .ibin file, or a dataset of HDF5 (FILE.h5:/neighbors). A row of ids for each query, nearest first, at least K of them; without explicit ids these are row numbers from 0. The
    /// recall goes to standard error, with --stats as one of its figures. A neighbour as near as the true K-th counts as found. Where
    /// several collections or devices are searched, no two of them may have the same id.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ground_truth: Option<PathBuf>,

    /// Print figures of the search as a line of JSON to standard error
    ///
    /// Among them the index, seconds and queries per second (of searching only), latencies, recall if --ground-truth is given,
    /// distance computations and blocks read.
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

fn filter(text: &str) -> Result<Filter, String> {
    text.parse().map_err(|e: vexfs_fs::search::FilterError| e.to_string())
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "is not a number".to_owned())
}

/// Takes the names of the formats.
fn format_names() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::names()).try_map(|name| name.parse::<Format>())
}

impl Args {
    /// The devices to be searched, each as a tool with one device names it.
    ///
    /// # Errors
    /// [`Usage`] for an offset that is said of several.
    pub fn devices(&self) -> Result<Vec<DeviceArgs>, Usage> {
        let one = |device| DeviceArgs { device, offset: self.offset };
        match self.device.len() {
            0 => Ok(vec![one(None)]),
            2.. if self.offset.is_some() => {
                Err(Usage::new("--offset is said of one device; of several say DEV?offset=N"))
            }
            _ => Ok(self.device.iter().cloned().map(Some).map(one).collect()),
        }
    }

    /// The names of the collections to be searched.
    pub fn collections(&self) -> Vec<&str> {
        self.collection.names()
    }

    /// How many neighbours are wanted.
    pub fn limit(&self) -> Limit {
        match (self.radius, self.k) {
            (Some(radius), k) => Limit::within(radius, k.map(|k| k as usize)),
            (None, k) => Limit::from(k.unwrap_or(DEFAULT_K) as usize),
        }
    }

    /// Which index is to answer, and how hard it is to try.
    pub fn request(&self) -> Request {
        let choice = match self.index.as_deref() {
            _ if self.exact => Choice::Exact,
            None | Some("auto") => Choice::Auto,
            Some(name) => Choice::Named(name.to_owned()),
        };
        let efforts = [("ef", self.ef), ("nprobe", self.nprobe), ("probes", self.probes)];
        let given = efforts.into_iter().find_map(|(name, number)| number.map(|number| (name, number)));
        let effort = match (self.recall, given, self.rerank) {
            (Some(recall), ..) => Effort::Recall(recall),
            (None, None, None) => Effort::Default,
            (None, effort, rerank) => Effort::Given { effort, rerank },
        };
        Request { choice, effort }
    }

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
        assert_eq!((args.limit().k, args.form(), &args.queries), (10, Form::Table, &None));
        assert_eq!(args.request(), Request::default());
        assert!(parse("-k 0").is_err());
    }

    #[test]
    fn devices_and_collections_may_be_several() {
        let args = parse("-d a.img -d b.img -c x -c /y/z").expect("parsed");
        assert_eq!(args.devices().expect("two").len(), 2);
        assert_eq!(args.collections(), ["x", "/y/z"]);
        let args = parse("--offset 1M").expect("parsed");
        assert_eq!((args.devices().expect("one").len(), args.collections()), (1, vec!["vectors"]));
        assert!(parse("-d a.img -d b.img --offset 1M").expect("parsed").devices().is_err());
    }

    #[test]
    fn a_radius_limits_unless_a_number_does_too() {
        let limit = |line| parse(line).expect("parsed").limit();
        assert_eq!(limit("--radius -0.5"), Limit { k: usize::MAX, radius: -0.5 });
        assert_eq!(limit("--radius 2 -k 3"), Limit { k: 3, radius: 2.0 });
        assert!(parse("--radius nan").is_err() && parse("--radius inf").is_err());
    }

    #[test]
    fn an_index_is_told_once_how_hard_to_try() {
        let request = |line| parse(line).expect("parsed").request();
        let named = |name: &str| Choice::Named(name.to_owned());
        let given = Effort::Given { effort: Some(("ef", 50)), rerank: Some(20) };
        let expected = Request { choice: named("hnsw"), effort: given };
        assert_eq!(request("--index hnsw --ef 50 --rerank 20"), expected);
        assert_eq!(request("--index auto --recall 0.9").effort, Effort::Recall(0.9));
        assert_eq!(request("--exact").choice, Choice::Exact);
        for line in ["--exact --index ivf", "--exact --ef 9", "--ef 9 --nprobe 3", "--recall 0.9 --rerank 5"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
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
