//! The flags of `vexfs-dump`. What the operands mean is in [`what`](crate::what).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueHint};
use vexfs_cli::args::{CollectionArgs, DeviceArgs, OutputArgs};

/// Show what is in a VexFS, and take it out
///
/// Prints the part WHAT of the filesystem on DEVICE; without WHAT, the superblock, the groups, the collections and their
/// indexes. Nothing is written to the device, and an unclean journal is replayed in memory.
///
/// If the first operand is one of the words of WHAT, it is WHAT and not DEVICE when the device is named by -d or
/// VEXFS_DEVICE, or when no file of that name exists. Write ./super for a file called super.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vexfs-dump",
    bin_name = "vexfs-dump",
    version,
    override_usage = "vexfs-dump [OPTIONS] [DEVICE] [WHAT]",
    after_help = "WHAT is one of:
  super             superblock
  groups            block groups
  journal           journal: state and transactions
  inode N           inode number N
  extents PATH      where the blocks of PATH lie
  ls [PATH]         names in the directory PATH; -R: and below it
  stat PATH         inode that PATH leads to
  cat PATH          contents of the file PATH
  collections       collections
  indexes           indexes of the collections
  get ID            vector with the id or key ID, of the collection -c
  export            vectors of the collection -c, to the file -o
  map               what lies where, to the file -o or as text
  image FILE        metadata image for a bug report, without the data
  diff OTHER        what is different on the device or image file OTHER
  health            figures to watch; --prometheus: in its form
  udev              properties for udev"
)]
pub struct Args {
    /// DEVICE and WHAT
    #[arg(value_name = "DEVICE] [WHAT", hide = true, value_hint = ValueHint::FilePath)]
    pub operands: Vec<OsString>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub device: DeviceArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub collection: CollectionArgs,

    /// Block of the backup superblock to use instead of the primary
    #[arg(short = 'b', long, value_name = "BLOCK")]
    pub superblock: Option<u64>,

    /// For ls: list directories below PATH as well
    #[arg(short = 'R', long)]
    pub recursive: bool,

    /// For export: file of vectors to write; for map: picture, .svg or .png
    ///
    /// The name of a file of vectors tells its format: .npy takes rows of every type, bf16 as a two-byte void type, b1 as packed bytes;
    /// .npz the same as the array vectors, with the array ids or keys beside it; .fvecs and
    /// .fbin hold f32, which every type but b1 is widened to exactly; .bvecs and .u8bin hold u8 and packed b1, .i8bin i8;
    /// .h5 holds every type but bf16, as the dataset vectors, .csv, .parquet (bf16 widened) and .jsonl every type, all four with the ids or keys, .jsonl also with the payload, as members beside them. A file that exists is replaced when all rows are written.
    #[arg(short = 'o', long = "output", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output_file: Option<PathBuf>,

    /// For image: replace names, keys and the label by others of the same length
    ///
    /// Without this flag the image keeps them. In any case it has no vectors, no contents of files and no payload: they read as
    /// zeros, files and rows of zeros with checksums that fit, payload as empty objects. Of an index only what it says of itself is
    /// kept, so that it cannot be searched. All else lies where it lay, and every reading tool opens the image.
    #[arg(long)]
    pub scramble: bool,

    /// For health: the text format of Prometheus, for a textfile collector
    #[arg(long)]
    pub prometheus: bool,

    /// For export: file for the ids or keys of the rows, one to a line
    ///
    /// In the order of the rows, so that vexfs-import takes it with --ids or --keys.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ids: Option<PathBuf>,

    /// For export: file for the payload of the rows, a JSON object to a line
    ///
    /// In the order of the rows, null for one without, so that vexfs-import takes it with --payload. A .jsonl file of vectors then has
    /// none.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub payload: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,
}
