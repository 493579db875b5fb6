//! The flags of `vexfs-import`.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum, ValueHint};
use vexfs_cli::Usage;
use vexfs_cli::args::{CollectionArgs, DeviceArgs, OutputArgs, ThreadsArgs, dtype, metric};
use vexfs_cli::size::parse_size;
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::model::Model;
use vexfs_fs::index::IndexRequest;
use vexfs_io::Format;

/// Store vectors and files in a VexFS
///
/// Appends the rows of each FILE, such as a NumPy .npy array of n rows by d dimensions, to a collection. Either all rows of a file are
/// stored or none: a file with a NaN, an infinity or a wrong dimension, or one that is cut short, changes nothing.
///
/// A collection that does not exist is created from the data. Without -c the rows go to the collection 'vectors', which
/// mkfs.vexfs -V has made with the dimension it was told; if that does not fit, name another with -c.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vexfs-import",
    bin_name = "vexfs-import",
    version,
    override_usage = "vexfs-import [OPTIONS] FILE...\n       vexfs-import [OPTIONS] --mode delete --ids FILE\n       vexfs-import [OPTIONS] --file SRC DEST"
)]
pub struct Args {
    /// Files of vectors: .npy, .npz, .h5, .parquet, .csv, .jsonl, .fvecs and more
    ///
    /// Arrays of numpy (npy, npz), datasets of HDF5, fvecs and bvecs, fbin, u8bin and i8bin, Parquet, CSV, JSON lines, or text.
    /// What is meant of a file stands behind a colon: FILE.npz:name, FILE.h5:/train, FILE.parquet:column; if there is only one it need not.
    /// A line of text is numbers with commas or spaces between them, a JSON array, or a JSON object. - is standard input.
    ///
    /// A CSV file has a line of names; its vectors are in the column 'vector' or 'embedding', in the only one of lists such as "[0.1, 0.2]",
    /// or in numbered ones such as x0 to x127 (FILE.csv:x names those). In a JSON object they are the member 'vector' or 'embedding', or the only array of
    /// numbers. All other columns and members become payload of the rows, unless --ids, --keys or --payload say otherwise: true,
    /// false and numbers of CSV as such if all of the first 1000 rows have them there, everything else as strings, empty cells
    /// not at all. Of Parquet, a column of lists holds the vectors, and those of single values become payload.
    #[arg(value_name = "FILE", required_unless_present_any = ["file", "mode", "abandon"], value_hint = ValueHint::FilePath)]
    pub vectors: Vec<PathBuf>,

    /// Format of the files [default: what they look like]
    ///
    /// Needed for what has neither a magic number nor a telling name, such as fvecs on standard input. jsonl is another name for
    /// text, in which no line of names is looked for.
    #[arg(long, value_name = "FORMAT", value_parser = format_names(), requires = "vectors")]
    pub format: Option<Format>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub device: DeviceArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub collection: CollectionArgs,

    /// Ids of the rows: a column of the FILEs, an array of integers, or a text
    ///
    /// The name of a column or member that all FILEs have, or an array of numpy (FILE.npy, FILE.npz:ids), a dataset of HDF5, or a text with a number a line. One id for each row of all files, in their order. An id is a number below 2^64 - 1 that no other row has. Without ids,
    /// the rows are numbered on from the highest id.
    #[arg(long, value_name = "FILE|COLUMN", value_hint = ValueHint::FilePath, conflicts_with = "keys")]
    pub ids: Option<PathBuf>,

    /// String keys of the rows: a column of the FILEs, an array, or a text
    ///
    /// The name of a column or member that all FILEs have, or a text, an array of strings of numpy (FILE.npy, FILE.npz:keys), or a dataset of strings of HDF5. One key for each row of all files, in their order. Queries print keys instead of ids.
    #[arg(long, value_name = "FILE|COLUMN", value_hint = ValueHint::FilePath)]
    pub keys: Option<PathBuf>,

    /// What is known of the rows besides: a JSON object a line
    ///
    /// One line for each row of all files, in their order; null for a row without; in place of other columns of the files. It is stored as it is written, up to 16 MiB a row.
    /// vexfs-query --filter chooses rows by it, --payload prints it. Rows that replace others keep the payload of those unless
    /// this is given.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "vectors")]
    pub payload: Option<PathBuf>,

    /// What becomes of rows that have these ids or keys already [default: append]
    ///
    /// append refuses ids and keys that are taken. upsert replaces the rows that have them: the old row and the new one change
    /// places at once, and what is not there is added. delete takes no vectors, and deletes the rows that --ids or --keys name;
    /// if one of them is not there, nothing is deleted.
    #[arg(long, value_name = "MODE", value_enum)]
    mode: Option<Mode>,

    /// Store in steps, and go on where an interrupted import was
    ///
    /// Each step is durable, and its rows are found at once. If the import is interrupted, even by the death of the process or of the machine, the same
    /// command with the same files goes on behind the last step. A file that turns out to have a fault takes the steps back: then
    /// nothing of the import is there.
    #[arg(long, requires = "vectors")]
    pub resume: bool,

    /// Bytes of rows in a step of --resume [default: 1G]
    ///
    /// Takes k, M, G and T as powers of 1024. What lies behind the last step is read again after an interruption.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "resume")]
    pub step: Option<u64>,

    /// Delete the rows of an import with --resume that was not finished
    #[arg(long, conflicts_with_all = ["vectors", "file", "mode", "ids", "keys"])]
    pub abandon: bool,

    /// Model that made the vectors: NAME, or NAME@HASH of its weights
    ///
    /// It is stored with the collection. Vectors of another model are refused from then on, by vexfs-query --model, too: their distances
    /// mean nothing. The hash is compared where both have one.
    #[arg(long, value_name = "MODEL", requires = "vectors")]
    pub model: Option<Model>,

    /// Element type of a collection that is created [default: that of the data]
    ///
    /// b1 is one bit per dimension, made of bool, of 0 and 1, or of u8 with eight bits in each (numpy.packbits with
    /// bitorder='little'). An existing collection has its type, and rows are converted to it: floating point numbers are rounded, a
    /// number that the type cannot hold is an error.
    #[arg(long, value_name = "TYPE", value_parser = dtype(), requires = "vectors")]
    pub dtype: Option<DType>,

    /// Metric of a collection that is created [default: l2, of b1 hamming]
    ///
    /// l2 is the squared Euclidean distance, cosine is 1 - cos, ip is the negated inner product, hamming counts differing bits
    /// of b1. In all of them smaller is nearer.
    #[arg(long, value_name = "METRIC", value_parser = metric(), requires = "vectors")]
    pub metric: Option<Metric>,

    /// Scale each vector to length 1 before it is stored
    ///
    /// A vector of length 0 is an error. A collection whose first rows come with this flag scales all rows that come later, too; one that has
    /// rows as they were given refuses it.
    #[arg(long, requires = "vectors")]
    pub normalize: bool,

    /// Build this index once the vectors are stored; may be given again
    ///
    /// KIND is flat, hnsw, ivf, pq, ivf-pq or lsh; name=NAME calls the index otherwise than by its kind, and what else there is depends
    /// on the kind. It covers all vectors of the collection. Should the build fail or be interrupted, the vectors stay stored, and
    /// 'vexfs-tune --index add' builds it.
    #[arg(long, value_name = "KIND[,NAME=VALUE...]", action = ArgAction::Append, value_parser = index, requires = "vectors")]
    pub index: Vec<IndexRequest>,

    /// Copy the ordinary file SRC to the path DEST; may be given again
    ///
    /// DEST is a path from the root directory of the filesystem; if it is a directory, or ends in /, the file keeps its name in
    /// it. A file that exists is replaced at once: readers see the old or the new one. SRC may be -, standard input. Files are copied
    /// after the vectors are stored.
    #[arg(long, num_args = 2, value_names = ["SRC", "DEST"], action = ArgAction::Append, value_hint = ValueHint::FilePath)]
    pub file: Vec<PathBuf>,

    /// Create the missing directories of DEST
    #[arg(short, long, requires = "file")]
    pub parents: bool,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub threads: ThreadsArgs,

    /// Memory to use, at most [default: 256M; for indexes half of what is available]
    ///
    /// Takes k, M, G and T as powers of 1024. More memory makes larger steps; a file of any size can be imported with little. An
    /// index that does not fit is built in several parts.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,
}

/// What becomes of rows that have the ids or keys already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// They are in the way
    #[default]
    Append,
    /// They are replaced
    Upsert,
    /// They are deleted
    Delete,
}

fn index(text: &str) -> Result<IndexRequest, String> {
    text.parse().map_err(|e: vexfs_fs::FsError| e.to_string())
}

/// Bytes of a step when nobody says: some seconds of work, beside which a commit does not count.
const STEP: u64 = 1 << 30;

/// Memory for rows under way when nobody says: a few steps of the size that devices are fast at.
const ROW_MEMORY: u64 = 256 << 20;

/// Takes the names of the formats.
fn format_names() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::names()).try_map(|name| name.parse::<Format>())
}

impl Args {
    /// What becomes of rows that have the ids or keys already.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// Refuses flags that do not fit together.
    ///
    /// # Errors
    /// [`Usage`] for ids or keys that are missing, or that are of nothing.
    pub fn check(&self) -> Result<(), Usage> {
        let (has_vectors, is_named) = (!self.vectors.is_empty(), self.ids.is_some() || self.keys.is_some());
        let problem = match self.mode() {
            Mode::Delete if has_vectors => "--mode delete takes no vectors, only --ids or --keys of the rows",
            Mode::Delete if !is_named => "--mode delete: name the rows with --ids or --keys",
            Mode::Upsert if !is_named => "--mode upsert: say with --ids or --keys which rows are replaced",
            Mode::Append | Mode::Upsert if !has_vectors && is_named => {
                "--ids and --keys are of vectors, and there is no FILE of them"
            }
            Mode::Append | Mode::Upsert if !has_vectors && self.mode.is_some() => {
                "--mode is of vectors, and there is no FILE of them"
            }
            Mode::Upsert if self.resume => "--resume: an upsert can simply be repeated; leave the flag out",
            _ => return Ok(()),
        };
        Err(Usage::new(problem))
    }

    /// Bytes of a step of `--resume`.
    pub fn step(&self) -> u64 {
        self.step.unwrap_or(STEP)
    }

    /// Bytes for rows under way.
    pub fn row_memory(&self) -> u64 {
        self.memory.unwrap_or(ROW_MEMORY)
    }

    /// The ordinary files to copy: source on this machine, destination in the filesystem.
    pub fn copies(&self) -> impl Iterator<Item = (&Path, &Path)> {
        // The parser takes the values two by two.
        self.file.chunks_exact(2).map(|pair| (pair[0].as_path(), pair[1].as_path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["vexfs-import"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_line_of_the_guide_is_understood() {
        let args = parse("vectors.npy").expect("parsed");
        assert_eq!(
            (args.vectors.len(), args.row_memory(), args.collection.is_given()),
            (1, 256 << 20, false)
        );
    }

    #[test]
    fn files_come_with_their_destination_and_may_come_alone() {
        let args = parse("-p --file a /b/a --file c /d").expect("parsed");
        let pairs: Vec<_> = args.copies().collect();
        assert_eq!(pairs, [(Path::new("a"), Path::new("/b/a")), (Path::new("c"), Path::new("/d"))]);
        let args = parse("x.npy --file a /a").expect("parsed");
        assert_eq!((args.vectors.len(), args.copies().count()), (1, 1));
        assert!(parse("--file a").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn indexes_are_understood_before_anything_is_read() {
        let args = parse("x.npy --index hnsw,m=16 --index ivf,name=b").expect("parsed");
        assert_eq!(args.index.len(), 2);
        for line in ["x.npy --index tree", "x.npy --index ivf,name=a.b", "--file a /a --index ivf"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn flags_that_would_do_nothing_are_refused() {
        for line in [
            "-p x.npy",
            "--file a /a --normalize",
            "x.npy --ids i --keys k",
            "x.npy --step 1M",
            "x.npy --abandon",
            "x.npy --model @1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in [
            "--file a /a --ids i",
            "--mode append",
            "x.npy --mode upsert",
            "--mode upsert --ids i",
            "--mode delete",
            "x.npy --mode delete --ids i",
            "x.npy --mode upsert --ids i --resume",
        ] {
            assert!(parse(line).expect(line).check().is_err(), "{line}");
        }
        for line in ["x.npy --mode upsert --keys k", "--mode delete --ids i", "x.npy --mode append"] {
            assert!(parse(line).expect(line).check().is_ok(), "{line}");
        }
    }
}
