//! The flags of `mkfs.vexfs`. The letters mean what they mean to mke2fs, but for `-V` and `-D`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{ArgAction, Parser};
use vexfs_cli::args::{DEFAULT_COLLECTION, OutputArgs, device_spec, dtype, metric, metric_for};
use vexfs_cli::size::parse_size;
use vexfs_cli::{DeviceSpec, Usage};
use vexfs_format::codes::{DType, Metric};

use crate::values::{
    Extended, FeatureChange, JournalSize, SizeOperand, UuidChoice, VECTOR_ZONE, block_size, inode_size,
    label, reserved_percent,
};

/// Bytes per block without `-b`: the memory page of nearly all machines, so that files can be mapped.
pub const DEFAULT_BLOCK_SIZE: u32 = 4096;
/// Dimensions without `-D`: those of BERT-sized text embeddings, and what the guides of VexFS promise.
pub const DEFAULT_DIMENSIONS: u32 = 768;
/// What `-D` accepts.
pub const DIMENSIONS: RangeInclusive<i64> = 1..=65536;

/// Make a VexFS filesystem on a block device or image file
///
/// Formats DEVICE. A device that is mounted, in use or already holds something is refused and left untouched unless -f is
/// given. A file that does not exist is created when SIZE is given.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mkfs.vexfs",
    bin_name = "mkfs.vexfs",
    version,
    disable_version_flag = true,
    override_usage = "mkfs.vexfs [OPTIONS] DEVICE [SIZE]\n       mkfs.vexfs -O list\n       mkfs.vexfs -V",
    after_help = "-V alone prints the version."
)]
pub struct Args {
    /// Block device or image file to format
    ///
    /// May end in ?offset=N, which is the same as -E offset=N.
    #[arg(value_name = "DEVICE", value_parser = device_spec())]
    pub device: Option<DeviceSpec>,

    /// Size of the filesystem; the whole device without it
    ///
    /// Without a unit, a number of blocks if -b is given, else of KiB. With k, M, G or T, powers of 1024 bytes. A file that does
    /// not exist is created with this size, a shorter one grows to it. What lies behind it is not touched.
    #[arg(value_name = "SIZE", value_parser = SizeOperand::parse)]
    pub size: Option<SizeOperand>,

    /// Bytes per block: a power of two from 4096 to 65536 [default: 4096]
    ///
    /// Larger blocks make less metadata; the smallest file takes one. Blocks of the size of a memory page can be
    /// searched where they lie.
    #[arg(short, long, value_name = "SIZE", value_parser = block_size)]
    pub block_size: Option<u32>,

    /// One inode for this many bytes
    ///
    /// Inodes are needed for files, directories and the streams of collections; their number is fixed when the filesystem is made.
    #[arg(
        short = 'i',
        long,
        value_name = "BYTES",
        value_parser = parse_size,
        default_value_t = vexfs_format::geometry::DEFAULT_BYTES_PER_INODE
    )]
    pub bytes_per_inode: u64,

    /// Bytes per inode: a power of two, 256 or more, up to the block size
    #[arg(
        short = 'I',
        long,
        value_name = "BYTES",
        value_parser = inode_size,
        default_value_t = vexfs_format::geometry::DEFAULT_INODE_SIZE
    )]
    pub inode_size: u32,

    /// Number of inodes, instead of one for so many bytes
    ///
    /// Rounded up to whole blocks of inodes in each block group.
    #[arg(
        short = 'N',
        long,
        value_name = "COUNT",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "bytes_per_inode"
    )]
    pub inodes: Option<u64>,

    /// Size of the journal, as size=N in MiB
    ///
    /// N may have a unit: size=64 and size=64M are the same. Without this option the journal takes a hundredth of the device, at
    /// most 128 MiB. A larger journal lets one import change more metadata at once.
    #[arg(short = 'J', long, value_name = "size=N", value_parser = JournalSize::parse)]
    pub journal: Option<JournalSize>,

    /// Label: up to 64 bytes of UTF-8
    ///
    /// The tools find the filesystem by it as LABEL=….
    #[arg(short = 'L', long, value_name = "LABEL", value_parser = label)]
    pub label: Option<String>,

    /// UUID of the filesystem: a UUID, or 'random' [default: random]
    ///
    /// With a UUID given and SOURCE_DATE_EPOCH set, two runs write the same bytes.
    #[arg(short = 'U', long, value_name = "UUID", value_parser = UuidChoice::parse)]
    pub uuid: Option<UuidChoice>,

    /// Percentage of the blocks kept free for repairs and compaction
    ///
    /// From 0 to 50, with or without a fraction. Imports stop with "no space" when only these blocks are left. Without this
    /// option it is 1 percent, but at most 64 MiB.
    #[arg(short = 'm', long, value_name = "PERCENT", value_parser = reserved_percent)]
    pub reserved: Option<f64>,

    /// Reserve the vector zone and create the default collection
    ///
    /// The vector zone is a run of blocks in which vectors lie one after the other. As the only argument, -V prints the
    /// version. 'mkfs -t vexfs' swallows -V when it comes first; each of -D, --dtype, --metric and --collection implies it.
    #[arg(short = 'V', long)]
    pub vectors: bool,

    /// Dimensions of the default collection, 1 to 65536 [default: 768]
    ///
    /// Implies -V.
    #[arg(
        short = 'D',
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(DIMENSIONS)
    )]
    pub dimensions: Option<u32>,

    /// Element type of the default collection [default: f32]
    ///
    /// b1 is one bit per dimension. Implies -V.
    #[arg(long, value_name = "TYPE", value_parser = dtype())]
    pub dtype: Option<DType>,

    /// Metric of the default collection [default: l2, of b1 hamming]
    ///
    /// l2 is the squared Euclidean distance, cosine is 1 - cos, ip is the negated inner product, hamming counts differing bits
    /// of b1. In all of them smaller is nearer. Implies -V.
    #[arg(long, value_name = "METRIC", value_parser = metric())]
    pub metric: Option<Metric>,

    /// Name of the default collection [default: vectors]
    ///
    /// Implies -V.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub collection: Option<String>,

    /// Extended options: offset=N, discard, nodiscard
    ///
    /// A list separated by commas; key:value is the same as key=value. offset=N begins the filesystem N bytes into the device.
    /// discard tells the device that all its blocks are unused, and gives the blocks of an image file back; it is the default for
    /// block devices. nodiscard, the same as -K, does neither.
    #[arg(short = 'E', long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = Extended::parse)]
    pub extended: Vec<Extended>,

    /// Features to switch on, or with ^ off; 'list' prints them
    ///
    /// A list separated by commas. -V switches vector_zone on; with -O ^vector_zone it only creates the collection, with
    /// -O vector_zone and no -V the zone is reserved and no collection created.
    #[arg(short = 'O', long, value_name = "FEATURE", value_delimiter = ',', value_parser = FeatureChange::parse)]
    pub features: Vec<FeatureChange>,

    /// Print the layout and write nothing
    ///
    /// Whatever is on the device: where the backups of a damaged filesystem lie is told by the options it was made with. If the
    /// same line without -n were refused, a warning says why.
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    /// Overwrite what is on the device; twice: even if it is busy
    ///
    /// Given once, overwrites whatever is recognised on the device. Given twice, formats even a device that is mounted, used
    /// as swap or otherwise in use, which is hardly ever right.
    #[arg(short = 'f', visible_short_alias = 'F', long, action = ArgAction::Count)]
    pub force: u8,

    /// Save what is overwritten in this file, so that it can be taken back
    ///
    /// 'vexfs-tune --undo FILE DEVICE' puts it back. The file survives a power failure: what a block held is durable in it before
    /// the block is overwritten. Nothing is discarded then. A file that exists is gone on with if it belongs to this device and
    /// describes the state it is in; any other file is refused. It may not lie on DEVICE.
    #[arg(short = 'z', long, value_name = "FILE", conflicts_with = "dry_run")]
    pub undo_file: Option<PathBuf>,

    /// Do not discard the blocks of the device
    #[arg(short = 'K', long)]
    pub no_discard: bool,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,

    /// Print version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// The collection that mkfs creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCollection {
    /// Its name.
    pub name: String,
    /// Number of dimensions.
    pub dim: u32,
    /// Element type.
    pub dtype: DType,
    /// Metric; it fits the element type.
    pub metric: Metric,
}

impl Args {
    /// The device with its offset, from wherever it was given.
    ///
    /// # Errors
    /// [`Usage`] if there is no device, or two offsets.
    pub fn device(&self) -> Result<DeviceSpec, Usage> {
        let spec = self.device.clone().ok_or_else(|| Usage::new("DEVICE is missing"))?;
        self.extended.iter().try_fold(spec, |spec, option| match option {
            Extended::Offset(offset) => spec.with_offset(*offset),
            Extended::Discard | Extended::NoDiscard => Ok(spec),
        })
    }

    /// Bytes per block.
    pub fn block_size(&self) -> u32 {
        self.block_size.unwrap_or(DEFAULT_BLOCK_SIZE)
    }

    /// Size of the filesystem in bytes, if it was given.
    ///
    /// # Errors
    /// [`Usage`] if it does not fit into 64 bits.
    pub fn size_bytes(&self) -> Result<Option<u64>, Usage> {
        self.size.map(|size| size.bytes(self.block_size)).transpose()
    }

    /// The collection to create, if one is wanted.
    ///
    /// # Errors
    /// [`Usage`] if metric and element type do not fit.
    pub fn new_collection(&self) -> Result<Option<NewCollection>, Usage> {
        if !self.wants_vectors() {
            return Ok(None);
        }
        let dtype = self.dtype.unwrap_or(DType::F32);
        Ok(Some(NewCollection {
            name: self.collection.clone().unwrap_or_else(|| DEFAULT_COLLECTION.to_owned()),
            dim: self.dimensions.unwrap_or(DEFAULT_DIMENSIONS),
            dtype,
            metric: metric_for(dtype, self.metric)?,
        }))
    }

    /// Whether the vector zone is to be reserved: what `-O` says last, else `-V` and what implies it.
    pub fn vector_zone(&self) -> bool {
        let changes = self.features.iter().rev().find_map(|change| match change {
            FeatureChange::Set { feature, on } if feature.name == VECTOR_ZONE => Some(*on),
            _ => None,
        });
        changes.unwrap_or_else(|| self.wants_vectors())
    }

    /// Whether the features are only to be listed.
    pub fn lists_features(&self) -> bool {
        self.features.contains(&FeatureChange::List)
    }

    /// Whether the blocks are to be discarded; `None` if that is left to the kind of device.
    ///
    /// # Errors
    /// [`Usage`] if discarding is both asked for and forbidden.
    pub fn discards(&self) -> Result<Option<bool>, Usage> {
        let forbidden =
            self.no_discard || self.undo_file.is_some() || self.extended.contains(&Extended::NoDiscard);
        match (forbidden, self.extended.contains(&Extended::Discard)) {
            (true, true) => Err(Usage::new("-E discard contradicts -K, -z or -E nodiscard")),
            (true, false) => Ok(Some(false)),
            (false, true) => Ok(Some(true)),
            (false, false) => Ok(None),
        }
    }

    fn wants_vectors(&self) -> bool {
        self.vectors
            || self.dimensions.is_some()
            || self.dtype.is_some()
            || self.metric.is_some()
            || self.collection.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["mkfs.vexfs"].into_iter().chain(line.split_whitespace()))
    }

    fn args(line: &str) -> Args {
        parse(line).expect(line)
    }

    #[test]
    fn the_lines_that_guides_print_are_understood() {
        let args = args("-V -D 768 -L VectorDB /dev/sda1");
        let collection = args.new_collection().expect("fits").expect("wanted");
        assert_eq!((collection.dim, collection.name.as_str()), (768, "vectors"));
        assert_eq!((collection.dtype, collection.metric), (DType::F32, Metric::L2));
        assert!(args.vector_zone());
        let args = self::args("-b 8192 -i 8192 -V -D 1024 /dev/sda1");
        assert_eq!((args.block_size(), args.bytes_per_inode), (8192, 8192));
    }

    #[test]
    fn dimensions_imply_vectors_and_a_bare_call_has_none() {
        assert!(args("-D 4 img").vector_zone());
        assert!(args("--metric cosine img").new_collection().expect("fits").is_some());
        let bare = args("img");
        assert!(!bare.vector_zone() && bare.new_collection().expect("fits").is_none());
        assert!(parse("-D 0 img").is_err() && parse("-D 65537 img").is_err());
    }

    #[test]
    fn the_last_feature_word_decides_on_the_zone() {
        assert!(args("-O vector_zone img").vector_zone());
        assert!(!args("-V -O ^vector_zone img").vector_zone());
        assert!(args("-O ^vector_zone,vector_zone img").vector_zone());
        assert!(args("-O list").lists_features());
        assert!(parse("-O raid img").expect_err("unknown").to_string().contains("vector_zone"));
    }

    #[test]
    fn a_size_without_unit_is_blocks_or_kib() {
        assert_eq!(args("img 8192").size_bytes().expect("fits"), Some(8 << 20));
        assert_eq!(args("-b 8k img 8192").size_bytes().expect("fits"), Some(64 << 20));
        assert_eq!(args("-b 8k img 64M").size_bytes().expect("fits"), Some(64 << 20));
        assert!(args("-b 8k img 18446744073709551615").size_bytes().is_err());
    }

    #[test]
    fn extended_options_may_use_a_colon_and_offsets_come_once() {
        let args = args("-E offset:1M,nodiscard img");
        assert_eq!(args.device().expect("given").offset(), 1 << 20);
        assert_eq!(args.discards().expect("clear"), Some(false));
        assert_eq!(self::args("-E discard img").discards().expect("clear"), Some(true));
        assert_eq!(self::args("img").discards().expect("clear"), None);
        assert!(self::args("-E offset=1,offset=2 img").device().is_err());
        assert!(self::args("-K -E discard img").discards().is_err());
        assert!(self::args("-z undo -E discard img").discards().is_err());
        assert_eq!(self::args("-z undo img").discards().expect("clear"), Some(false));
        assert!(parse("-E stride=4 img").is_err());
    }

    #[test]
    fn force_counts_under_both_its_letters() {
        assert_eq!(args("-f -F img").force, 2);
        assert_eq!(args("-FF img").force, 2);
    }
}
