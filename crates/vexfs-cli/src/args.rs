//! Flags that several tools have, as fragments to flatten into a tool's own.
//!
//! A fragment knows where a value comes from when the flag is missing (environment, default); the tool asks the
//! fragment, not the field.

use std::ffi::OsString;
use std::num::NonZeroUsize;

use anyhow::Context;
use clap::Args;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use vexfs_format::codes::{DType, Metric};

use crate::Usage;
use crate::device::{DeviceSpec, Located};
use crate::size::parse_size;

/// Collection that is meant when none is named.
pub const DEFAULT_COLLECTION: &str = "vectors";
/// Environment variable that names the device when no flag does.
pub const DEVICE_VARIABLE: &str = "VEXFS_DEVICE";

/// Which device: `-d`, `--offset`.
#[derive(Args, Clone, Debug, Default)]
pub struct DeviceArgs {
    /// Block device, image file, LABEL=… or UUID=… [env: VEXFS_DEVICE]
    ///
    /// DEV is the path of a block device or image file, LABEL=… or UUID=… for a VexFS on one of this machine's block devices,
    /// and may end in ?offset=N for a filesystem that begins N bytes into it. Without this flag the environment variable
    /// VEXFS_DEVICE is asked, and without that the one VexFS on this machine's block devices is taken; if there is none or more
    /// than one, the tool lists what it found and does nothing.
    #[arg(short, long, value_name = "DEV", value_parser = device_spec())]
    pub device: Option<DeviceSpec>,

    /// Byte of the device at which the filesystem begins
    ///
    /// For a filesystem inside a larger file, such as a partition in the image of a whole disk. The same as ?offset=N
    /// behind the name of the device. Takes k, M, G and T as powers of 1024.
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub offset: Option<u64>,
}

impl DeviceArgs {
    /// The device named by flag or environment, if one is; a flag goes before the environment.
    ///
    /// # Errors
    /// [`Usage`] if the offset is given twice, or VEXFS_DEVICE is no device specification.
    pub fn named(&self) -> anyhow::Result<Option<DeviceSpec>> {
        let spec = match (&self.device, std::env::var_os(DEVICE_VARIABLE)) {
            (Some(spec), _) => spec.clone(),
            (None, Some(text)) => DeviceSpec::parse(&text)
                .map_err(|error| Usage::new(error.to_string()))
                .context("the environment variable VEXFS_DEVICE names no device")?,
            (None, None) => return Ok(None),
        };
        self.with_offset(spec).map(Some)
    }

    /// `spec` with the offset of the flag, for tools whose device is an operand.
    ///
    /// # Errors
    /// [`Usage`] if the offset is given twice.
    pub fn with_offset(&self, spec: DeviceSpec) -> anyhow::Result<DeviceSpec> {
        Ok(match self.offset {
            Some(offset) => spec.with_offset(offset)?,
            None => spec,
        })
    }

    /// Where the device is: that named by flag or environment, else the one VexFS of this machine.
    ///
    /// # Errors
    /// As [`named`](Self::named), and those of [`DeviceSpec::locate`] and [`device::only_one`](crate::device::only_one).
    pub fn locate(&self) -> anyhow::Result<Located> {
        match self.named()? {
            Some(spec) => spec.locate(),
            None if self.offset.is_some() => {
                Err(Usage::new("--offset needs a device; name it with -d").into())
            }
            None => crate::device::only_one(),
        }
    }
}

/// The help of `-c`, where it names one collection.
const COLLECTION: &str = "Collection, by name or path [env: VEXFS_COLLECTION] [default: vectors]";
/// The help of `-c`, where it names several.
const COLLECTIONS: &str = "Collection; may be repeated [env: VEXFS_COLLECTION] [default: vectors]";

/// The long help of `-c`: its first line, what is true of each tool, and `more`.
fn collection_help(first: &str, more: &str) -> String {
    format!(
        "{first}\n\nA name is looked up in the root directory; a path such as /models/clip is followed from there. Without this \
         flag the environment variable VEXFS_COLLECTION is asked, and without that the collection is \
         '{DEFAULT_COLLECTION}'.{more}"
    )
}

/// Which collection: `-c`.
#[derive(Args, Clone, Debug, Default)]
pub struct CollectionArgs {
    /// The name that was given, if one was.
    #[arg(
        short,
        long,
        value_name = "NAME",
        env = "VEXFS_COLLECTION",
        hide_env = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        help = COLLECTION,
        long_help = collection_help(COLLECTION, "")
    )]
    pub collection: Option<String>,
}

impl CollectionArgs {
    /// The collection that is meant.
    pub fn name(&self) -> &str {
        self.collection.as_deref().unwrap_or(DEFAULT_COLLECTION)
    }

    /// Whether the user named it, so that it may be created.
    pub fn is_given(&self) -> bool {
        self.collection.is_some()
    }
}

/// Which collections: `-c`, for a tool that searches several.
#[derive(Args, Clone, Debug, Default)]
pub struct CollectionsArgs {
    /// The names that were given.
    #[arg(
        short,
        long,
        value_name = "NAME",
        env = "VEXFS_COLLECTION",
        hide_env = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        help = COLLECTIONS,
        long_help = collection_help(
            COLLECTIONS,
            " Several collections, which must agree in dimension, element type and metric, give one answer in which each \
             neighbour says its collection. With several devices each of them is searched for all of the collections.",
        )
    )]
    pub collection: Vec<String>,
}

impl CollectionsArgs {
    /// The collections that are meant.
    pub fn names(&self) -> Vec<&str> {
        match &self.collection[..] {
            [] => vec![DEFAULT_COLLECTION],
            names => names.iter().map(String::as_str).collect(),
        }
    }
}

/// How much is said and in which form: `-q`, `-v`, `--json`.
#[derive(Args, Clone, Debug, Default)]
pub struct OutputArgs {
    /// Say nothing but errors and warnings
    ///
    /// Results are still printed; messages and progress are not.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more; may be given twice
    ///
    /// Details go to standard error, so that they never mix with results.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Print the result as JSON
    ///
    /// One document on standard output, numbers as numbers, with a field 'schema' that names its kind and version.
    #[arg(long)]
    pub json: bool,
}

/// How many threads work: `--threads`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ThreadsArgs {
    /// Threads that work at the same time [default: one per processor]
    ///
    /// The result does not depend on the number.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl ThreadsArgs {
    /// The number of threads: as asked, else one for each processor this process may run on.
    pub fn count(&self) -> NonZeroUsize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Parser of device specifications, for operands and flags.
pub fn device_spec() -> impl TypedValueParser<Value = DeviceSpec> {
    OsStringValueParser::new().try_map(|text: OsString| DeviceSpec::parse(&text))
}

/// Parser of element types by name; help and completions list them.
pub fn dtype() -> impl TypedValueParser<Value = DType> {
    PossibleValuesParser::new(DType::ALL.iter().map(|dtype| dtype.name()))
        // The parser lets defined names through only.
        .map(|name| DType::from_name(&name).unwrap_or(DType::F32))
}

/// Parser of metrics by name; help and completions list them.
pub fn metric() -> impl TypedValueParser<Value = Metric> {
    PossibleValuesParser::new(Metric::ALL.iter().map(|metric| metric.name()))
        // The parser lets defined names through only.
        .map(|name| Metric::from_name(&name).unwrap_or(Metric::L2))
}

/// The metric of a collection of `dtype` when `asked` is what the user wants, if anything.
///
/// Hamming and b1 belong together; for all other element types the default is l2.
///
/// # Errors
/// [`Usage`] if one of hamming and b1 comes without the other.
pub fn metric_for(dtype: DType, asked: Option<Metric>) -> Result<Metric, Usage> {
    match (dtype, asked) {
        (DType::B1, None | Some(Metric::Hamming)) => Ok(Metric::Hamming),
        (DType::B1, Some(other)) => {
            Err(Usage::new(format!("vectors of b1 are compared by hamming, not by {other}")))
        }
        (dtype, Some(Metric::Hamming)) => {
            Err(Usage::new(format!("the metric hamming is for vectors of b1, not of {dtype}")))
        }
        (_, asked) => Ok(asked.unwrap_or(Metric::L2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Sample {
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        collection: CollectionArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        threads: ThreadsArgs,
        #[arg(long, value_parser = dtype())]
        dtype: Option<DType>,
        #[arg(long, value_parser = metric())]
        metric: Option<Metric>,
    }

    fn parse(argv: &[&str]) -> Result<Sample, clap::Error> {
        Sample::try_parse_from(["sample"].iter().chain(argv))
    }

    #[test]
    fn each_kind_is_known_by_its_name() {
        for &kind in DType::ALL {
            assert_eq!(parse(&["--dtype", kind.name()]).expect("known").dtype, Some(kind));
        }
        for &kind in Metric::ALL {
            assert_eq!(parse(&["--metric", kind.name()]).expect("known").metric, Some(kind));
        }
        assert!(parse(&["--dtype", "f64"]).is_err());
    }

    #[test]
    fn an_offset_may_be_said_once() {
        let sample = parse(&["-d", "/img?offset=512", "--offset", "1k"]).expect("parsed");
        assert!(sample.device.named().is_err());
        let sample = parse(&["-d", "/img", "--offset", "1k"]).expect("parsed");
        assert_eq!(sample.device.named().expect("fine").expect("named").offset(), 1024);
    }

    #[test]
    fn an_empty_name_is_refused_rather_than_taken_for_none() {
        assert!(parse(&["-d", ""]).is_err());
        assert!(parse(&["-c", ""]).is_err());
    }

    #[test]
    fn quiet_and_verbose_exclude_each_other_and_no_threads_is_refused() {
        assert!(parse(&["-q", "-v"]).is_err());
        assert!(parse(&["--threads", "0"]).is_err());
        assert_eq!(parse(&["--threads", "3"]).expect("parsed").threads.count().get(), 3);
        let sample = parse(&["-vv", "-c", "items"]).expect("parsed");
        assert_eq!((sample.output.verbose, sample.collection.name()), (2, "items"));
    }

    #[test]
    fn hamming_and_b1_belong_together() {
        assert_eq!(metric_for(DType::B1, None).expect("fits"), Metric::Hamming);
        assert_eq!(metric_for(DType::U8, None).expect("fits"), Metric::L2);
        assert!(metric_for(DType::B1, Some(Metric::L2)).is_err());
        assert!(metric_for(DType::F32, Some(Metric::Hamming)).is_err());
    }
}
