//! The flags of `vexfs-tune`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueHint};
use uuid::Uuid;
use vexfs_cli::args::{CollectionArgs, DeviceArgs, OutputArgs, ThreadsArgs, device_spec};
use vexfs_cli::size::parse_size;
use vexfs_cli::{DeviceSpec, Usage};
use vexfs_format::superblock::LABEL_MAX;
use vexfs_fs::index::IndexRequest;

/// Change a VexFS: its size, label and UUID, the rows of its collections and their indexes
///
/// Does what the flags ask for on the filesystem on DEVICE, in this order: growth, label and UUID, deletion, compaction,
/// defragmentation, indexes as they are named, calibration.
/// Each step is durable when the next one begins, and happens wholly or not at all, whatever interrupts it.
///
/// An index shortens searches in a collection. It is built from the vectors and can be dropped at any time; vectors that are added
/// later are found without it until it is extended or rebuilt.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vexfs-tune",
    bin_name = "vexfs-tune",
    version,
    override_usage = "vexfs-tune [OPTIONS] [DEVICE]",
    after_help = "Kinds of index:
  flat     every vector by its 8-bit code, exactly
  hnsw     graph of near neighbours
  ivf      inverted lists of codes of 8 bits, 4 or 1
  pq       every vector by its product code
  ivf-pq   inverted lists of product codes
  lsh      locality-sensitive hashing"
)]
pub struct Args {
    /// Block device, image file, LABEL=… or UUID=…; may end in ?offset=N
    ///
    /// The same as -d.
    #[arg(value_name = "DEVICE", value_parser = device_spec())]
    pub operand: Option<DeviceSpec>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub device: DeviceArgs,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub collection: CollectionArgs,

    /// Let the filesystem grow to SIZE, or to the size of its device
    ///
    /// After the partition, volume or image file has become longer. SIZE is that of the filesystem, with k, M, G and T as powers of
    /// 1024; an image file that is shorter is made longer, without taking space for it. What is there stays where it is. A crash leaves the
    /// old size or the new one. A filesystem can grow to four times the size that it was made with, a small one further.
    #[arg(long, value_name = "SIZE", num_args = 0..=1)]
    grow: Option<Option<OsString>>,

    /// Give the filesystem this label
    ///
    /// At most 64 bytes of UTF-8; an empty one takes the label away.
    #[arg(short = 'L', long, value_name = "LABEL", value_parser = label)]
    pub label: Option<String>,

    /// Give the filesystem this UUID; random makes one
    #[arg(short = 'U', long, value_name = "UUID", value_parser = uuid)]
    pub uuid: Option<NewUuid>,

    /// List what the filesystem is, and its indexes
    ///
    /// Done last, so that it shows what the other flags have changed.
    #[arg(short, long)]
    pub list: bool,

    /// Delete the rows with these ids or keys: a text with one a line, or a .npy array
    ///
    /// A collection whose rows have keys takes keys, any other ids. If one of them is not there, nothing is deleted. A deleted row
    /// is found no more; the space it takes is reclaimed by --compact.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub delete_ids: Option<PathBuf>,

    /// Reclaim the space of deleted rows, and build the indexes anew
    ///
    /// The rows that are left are written anew and keep their ids and keys; until that is complete the old ones are there, so it takes
    /// as much free space as they do. Indexes are then built by their descriptions. After an interruption the same command
    /// goes on with those that are not built.
    #[arg(long)]
    pub compact: bool,

    /// Write files and rows that lie in pieces anew in one
    ///
    /// Those of all collections, their indexes and the ordinary files; rows go into the vector zone while it has room. Each is
    /// a step of its own, which a crash or an interruption leaves done or not begun; the same command goes on with the rest. What
    /// does not fit into the free space in fewer pieces stays where it is.
    #[arg(long)]
    pub defrag: bool,

    /// add KIND, drop NAME, rebuild NAME, or extend NAME; may be given again
    ///
    /// 'add KIND[,name=NAME][,PARAMETER=VALUE...]' builds an index of the collection. Without a name it is called by its kind. 'drop
    /// NAME' removes it. 'rebuild NAME' builds it anew over all vectors, 'extend NAME' over those that were added since; for these two,
    /// NAME may be 'all'. Until a build is complete the old index answers. Each build ends with a calibration.
    #[arg(long, num_args = 2, value_names = ["ACTION", "WHAT"], action = ArgAction::Append)]
    index: Vec<String>,

    /// Measure anew which recall each effort of the indexes reaches
    ///
    /// Vectors of the collection serve as queries. 'vexfs-query --recall' chooses by what was measured.
    #[arg(long)]
    pub calibrate: bool,

    /// Take back what was done with -z FILE, and do nothing else
    ///
    /// Puts back what mkfs.vexfs or fsck.vexfs has saved in FILE before overwriting it. A file that belongs to another device, that is
    /// damaged, or that does not describe the state the device is in is refused, with nothing written. After an interruption
    /// the same command goes on.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["collection", "grow", "label", "uuid", "list", "delete_ids", "compact", "defrag", "index", "calibrate", "simd"]
    )]
    pub undo: Option<PathBuf>,

    /// Take it back even if the device was changed since
    #[arg(short, long, requires = "undo")]
    pub force: bool,

    /// Show which vector instructions this machine has, and which are used
    ///
    /// Needs no device.
    #[arg(
        long,
        conflicts_with_all = [
            "operand", "device", "grow", "label", "uuid", "list", "delete_ids", "compact", "defrag", "index", "calibrate", "dry_run"
        ]
    )]
    pub simd: bool,

    /// Say what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub threads: ThreadsArgs,

    /// Memory for a build, at most [default: half of what is available]
    ///
    /// Takes k, M, G and T as powers of 1024. An index that does not fit is built in several parts, which are searched one after the
    /// other: more memory makes fewer.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,
}

/// How far `--grow` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrowTo {
    /// As long as the device is.
    Device,
    /// This many bytes.
    Bytes(u64),
}

/// The UUID that `-U` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewUuid {
    /// One that nothing else has.
    Random,
    /// This one.
    Given(Uuid),
}

/// One `--index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexAction {
    /// Build a new one.
    Add(IndexRequest),
    /// Remove one.
    Drop(String),
    /// Build one anew, or all of them.
    Rebuild(Which),
    /// Cover what came later by one, or by all of them.
    Extend(Which),
}

/// Which indexes are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of the collection.
    All,
    /// The one of this name.
    Named(String),
}

impl Args {
    /// The device: the operand, or that of the flags.
    ///
    /// # Errors
    /// [`Usage`] if it is named twice.
    pub fn device(&self) -> anyhow::Result<DeviceArgs> {
        let behind_grow = self.device_behind_grow().map(DeviceSpec::parse).transpose();
        let behind_grow = behind_grow.map_err(|error| Usage::new(format!("--grow: {error}")))?;
        let Some(operand) = self.operand.clone().or(behind_grow) else { return Ok(self.device.clone()) };
        if self.device.device.is_some() {
            return Err(Usage::new("the device is named twice, by -d and as DEVICE").into());
        }
        Ok(DeviceArgs { device: Some(operand), ..self.device.clone() })
    }

    /// How far the filesystem is to grow, if it is to.
    ///
    /// # Errors
    /// [`Usage`] for a value that is no size, where the device is named besides.
    pub fn grow(&self) -> Result<Option<GrowTo>, Usage> {
        let Some(value) = &self.grow else { return Ok(None) };
        let Some(value) = value.as_ref().filter(|_| self.device_behind_grow().is_none()) else {
            return Ok(Some(GrowTo::Device));
        };
        let size =
            parse_size(&value.to_string_lossy()).map_err(|error| Usage::new(format!("--grow: {error}")))?;
        Ok(Some(GrowTo::Bytes(size)))
    }

    /// What stands behind `--grow`, where that is the device: no size, and no device is named besides.
    fn device_behind_grow(&self) -> Option<&OsStr> {
        let value = self.grow.as_ref()?.as_deref()?;
        let is_size = value.to_str().is_some_and(|text| parse_size(text).is_ok());
        let is_named = self.operand.is_some() || self.device.device.is_some();
        (!is_size && !is_named).then_some(value)
    }

    /// What is to be done with indexes, in order.
    ///
    /// # Errors
    /// [`Usage`] for an action that there is not, or an index that is none.
    pub fn index_actions(&self) -> Result<Vec<IndexAction>, Usage> {
        // The parser takes the values two by two.
        self.index.chunks_exact(2).map(|pair| IndexAction::parse(&pair[0], &pair[1])).collect()
    }

    /// Whether anything is to be written.
    pub fn changes(&self) -> bool {
        let changes_rows = self.delete_ids.is_some() || self.compact;
        self.grow.is_some()
            || self.label.is_some()
            || self.uuid.is_some()
            || changes_rows
            || self.defrag
            || !self.index.is_empty()
            || self.calibrate
    }
}

impl IndexAction {
    fn parse(action: &str, what: &str) -> Result<Self, Usage> {
        let which = if what == "all" { Which::All } else { Which::Named(what.to_owned()) };
        match action {
            "add" => what.parse().map(Self::Add).map_err(|e: vexfs_fs::FsError| Usage::new(e.to_string())),
            "drop" => Ok(Self::Drop(what.to_owned())),
            "rebuild" => Ok(Self::Rebuild(which)),
            "extend" => Ok(Self::Extend(which)),
            _ => {
                let problem = format!("--index {action}: 'add', 'drop', 'rebuild' or 'extend' is expected");
                Err(Usage::new(problem))
            }
        }
    }
}

fn label(text: &str) -> Result<String, String> {
    if text.len() > LABEL_MAX || text.contains('\0') {
        return Err(format!("a label has at most {LABEL_MAX} bytes, and no zero byte"));
    }
    Ok(text.to_owned())
}

fn uuid(text: &str) -> Result<NewUuid, String> {
    match Uuid::parse_str(text) {
        _ if text == "random" => Ok(NewUuid::Random),
        Ok(uuid) if !uuid.is_nil() => Ok(NewUuid::Given(uuid)),
        Ok(_) => Err("the nil UUID stands for none".to_owned()),
        Err(_) => Err(format!("'{text}' is neither a UUID nor 'random'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["vexfs-tune"].into_iter().chain(line.split_whitespace()))
    }

    fn actions(line: &str) -> Result<Vec<IndexAction>, Usage> {
        parse(line).expect(line).index_actions()
    }

    #[test]
    fn actions_come_in_their_order() {
        let found =
            actions("/img --index add hnsw,m=16 --index drop old --index rebuild all --index extend x");
        let expected = [
            IndexAction::Add("hnsw,m=16".parse().expect("a request")),
            IndexAction::Drop("old".to_owned()),
            IndexAction::Rebuild(Which::All),
            IndexAction::Extend(Which::Named("x".to_owned())),
        ];
        assert_eq!(found.expect("parsed"), expected);
        for line in ["/img --index make hnsw", "/img --index add tree", "/img --index add hnsw,name=a.b"] {
            assert!(actions(line).is_err(), "{line}");
        }
        assert!(parse("/img --index add").is_err());
    }

    #[test]
    fn the_device_is_named_once() {
        assert!(parse("/img -L x").expect("parsed").device().is_ok());
        assert!(parse("/img -d /other -L x").expect("parsed").device().is_err());
        assert!(parse("--simd /img").is_err());
    }

    #[test]
    fn what_stands_behind_grow_is_a_size_or_the_device() {
        let grow = |line: &str| {
            let args = parse(line).expect(line);
            (args.grow().expect(line), args.device().expect(line).device.map(|device| device.to_string()))
        };
        let image = Some("/img".to_owned());
        let two = Some(GrowTo::Bytes(2 << 30));
        assert_eq!(grow("--grow /img"), (Some(GrowTo::Device), image.clone()));
        assert_eq!(grow("/img --grow"), (Some(GrowTo::Device), image.clone()));
        assert_eq!(grow("--grow -d /img"), (Some(GrowTo::Device), image.clone()));
        assert_eq!(grow("--grow 2G /img"), (two, image.clone()));
        assert_eq!(grow("/img --grow 2G"), (two, image.clone()));
        assert_eq!(grow("--grow 2G -d /img"), (two, image));
        assert_eq!(grow("--grow 2G"), (two, None));
        for line in ["/img --grow 2X", "-d /img --grow big"] {
            assert!(parse(line).expect("parsed").grow().is_err(), "{line}");
        }
    }

    #[test]
    fn identities_are_checked() {
        let long = "x".repeat(LABEL_MAX + 1);
        assert!(parse(&format!("/img -L {long}")).is_err());
        assert!(parse("/img -U 00000000-0000-0000-0000-000000000000").is_err());
        assert!(parse("/img -U nonsense").is_err());
        assert_eq!(parse("/img -U random").expect("parsed").uuid, Some(NewUuid::Random));
    }
}
