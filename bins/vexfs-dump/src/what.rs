//! WHAT is to be shown, and of which device: the operands of `vexfs-dump`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use vexfs_cli::{DeviceSpec, Usage};
use vexfs_io::OutputFormat;

use crate::args::Args;

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Superblock, groups, collections and their indexes.
    Summary,
    /// The superblock.
    Super,
    /// The block groups.
    Groups,
    /// The journal.
    Journal,
    /// One inode.
    Inode(u64),
    /// The extents of a file, directory or collection.
    Extents(PathBuf),
    /// The names in a directory, and below it if `recursive`.
    Ls {
        /// The directory.
        path: PathBuf,
        /// Whether directories below it are listed too.
        recursive: bool,
    },
    /// The inode that a path leads to.
    Stat(PathBuf),
    /// The contents of a file.
    Cat(PathBuf),
    /// The collections.
    Collections,
    /// The indexes of the collections.
    Indexes,
    /// One vector of the collection, by id or key.
    Get(String),
    /// What lies where on the device: drawn into the file, or as text.
    Map(Option<PathBuf>),
    /// The figures an administrator watches.
    Health {
        /// Whether they are written for Prometheus.
        prometheus: bool,
    },
    /// What is different on another volume.
    Diff(DeviceSpec),
    /// What udev calls the filesystem.
    Udev,
    /// A metadata image.
    Image {
        /// The file it goes to.
        file: PathBuf,
        /// Whether names are hidden.
        scramble: bool,
    },
    /// The vectors of the collection.
    Export {
        /// The file they go to.
        file: PathBuf,
        /// Its format, by the ending of its name.
        format: OutputFormat,
        /// The file their ids or keys go to.
        ids: Option<PathBuf>,
        /// The file their payload goes to.
        payload: Option<PathBuf>,
    },
}

/// The operands, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The device among the operands, if it is there; otherwise that of the flags.
    pub device: Option<DeviceSpec>,
    /// What is to be shown.
    pub what: What,
}

const WORDS: &[&str] = &[
    "super",
    "groups",
    "journal",
    "inode",
    "extents",
    "ls",
    "stat",
    "cat",
    "collections",
    "indexes",
    "get",
    "export",
    "map",
    "health",
    "udev",
    "image",
    "diff",
];

impl Target {
    /// Understands the operands of `args`.
    ///
    /// # Errors
    /// [`Usage`] if WHAT is none, lacks its argument or has one too many, or the device is named twice.
    pub fn of(args: &Args) -> anyhow::Result<Self> {
        let is_named = args.device.named()?.is_some();
        let (device, rest) = match args.operands.split_first() {
            Some((first, rest)) if !is_what(first, is_named) => (Some(first), rest),
            _ => (None, args.operands.as_slice()),
        };
        let device = match device {
            Some(name) if args.device.device.is_some() => {
                let name = name.to_string_lossy();
                return Err(Usage::new(format!("'{name}' is not one of {}", WORDS.join(", "))).into());
            }
            Some(name) => {
                let spec = DeviceSpec::parse(name).map_err(|error| Usage::new(error.to_string()))?;
                Some(args.device.with_offset(spec)?)
            }
            None => None,
        };
        Ok(Self { device, what: what(rest, args)? })
    }
}

/// Whether the first operand is WHAT rather than DEVICE.
fn is_what(word: &OsStr, device_is_named: bool) -> bool {
    word.to_str().is_some_and(|word| WORDS.contains(&word)) && (device_is_named || !Path::new(word).exists())
}

fn what(operands: &[OsString], args: &Args) -> Result<What, Usage> {
    let Some((word, rest)) = operands.split_first() else {
        return flags_fit(What::Summary, "this", args);
    };
    let word = word.to_string_lossy();
    let none = |what: What| match rest {
        [] => Ok(what),
        [extra, ..] => Err(too_many(&word, extra)),
    };
    let one = |name: &str| match rest {
        [only] => Ok(only),
        [] => Err(Usage::new(format!("'{word}' lacks its argument {name}"))),
        [_, extra, ..] => Err(too_many(&word, extra)),
    };
    let what = match word.as_ref() {
        "super" => none(What::Super)?,
        "groups" => none(What::Groups)?,
        "journal" => none(What::Journal)?,
        "collections" => none(What::Collections)?,
        "indexes" => none(What::Indexes)?,
        "udev" => none(What::Udev)?,
        "health" => none(What::Health { prometheus: args.prometheus })?,
        "map" => none(What::Map(map_file(args)?))?,
        "image" => What::Image { file: one("FILE")?.into(), scramble: args.scramble },
        "diff" => {
            What::Diff(DeviceSpec::parse(one("OTHER")?).map_err(|error| Usage::new(error.to_string()))?)
        }
        "inode" => What::Inode(inode_number(one("N")?)?),
        "extents" => What::Extents(one("PATH")?.into()),
        "stat" => What::Stat(one("PATH")?.into()),
        "cat" => What::Cat(one("PATH")?.into()),
        "get" => {
            let id = one("ID")?.to_str().ok_or_else(|| Usage::new("the ID is not UTF-8"))?;
            What::Get(id.to_owned())
        }
        "ls" => {
            let path = if rest.is_empty() { PathBuf::from("/") } else { one("PATH")?.into() };
            What::Ls { path, recursive: args.recursive }
        }
        "export" => {
            let file = args.output_file.clone().ok_or_else(|| Usage::new("'export' needs -o FILE"))?;
            let format = OutputFormat::of(&file).ok_or_else(|| {
                let endings = OutputFormat::endings();
                Usage::new(format!("'{}' ends in none of {endings}", file.display()))
            })?;
            none(What::Export { file, format, ids: args.ids.clone(), payload: args.payload.clone() })?
        }
        _ => return Err(Usage::new(format!("'{word}' is not one of {}", WORDS.join(", ")))),
    };
    flags_fit(what, &word, args)
}

/// Refuses flags that would do nothing.
fn flags_fit(what: What, word: &str, args: &Args) -> Result<What, Usage> {
    if args.recursive && !matches!(what, What::Ls { .. }) {
        return Err(Usage::new(format!("-R is for 'ls', not for {word}")));
    }
    if args.output_file.is_some() && !matches!(what, What::Export { .. } | What::Map(_)) {
        return Err(Usage::new(format!("-o is for 'export' and 'map', not for {word}")));
    }
    if args.ids.is_some() && !matches!(what, What::Export { .. }) {
        return Err(Usage::new(format!("--ids is for 'export', not for {word}")));
    }
    if args.payload.is_some() && !matches!(what, What::Export { .. }) {
        return Err(Usage::new(format!("--payload is for 'export', not for {word}")));
    }
    if args.prometheus && !matches!(what, What::Health { .. }) {
        return Err(Usage::new(format!("--prometheus is for 'health', not for {word}")));
    }
    if args.scramble && !matches!(what, What::Image { .. }) {
        return Err(Usage::new(format!("--scramble is for 'image', not for {word}")));
    }
    if args.output.json && (args.prometheus || matches!(what, What::Map(Some(_)))) {
        return Err(Usage::new("one form of the result: --json, or the other"));
    }
    if args.output.json && matches!(what, What::Cat(_)) {
        return Err(Usage::new("the contents of a file are no JSON: --json is not for 'cat'"));
    }
    Ok(what)
}

/// The file of a map, if one is named.
fn map_file(args: &Args) -> Result<Option<PathBuf>, Usage> {
    match &args.output_file {
        Some(file) if file.extension().is_none_or(|extension| extension != "svg" && extension != "png") => {
            Err(Usage::new(format!("'{}' ends neither in .svg nor in .png", file.display())))
        }
        file => Ok(file.clone()),
    }
}

fn too_many(word: &str, extra: &OsStr) -> Usage {
    Usage::new(format!("'{word}' takes no further argument '{}'", extra.to_string_lossy()))
}

fn inode_number(text: &OsStr) -> Result<u64, Usage> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| Usage::new(format!("'{}' is not the number of an inode", text.to_string_lossy())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn target(line: &str) -> anyhow::Result<Target> {
        Target::of(&Args::try_parse_from(["vexfs-dump"].into_iter().chain(line.split_whitespace()))?)
    }

    fn what_of(line: &str) -> What {
        target(line).expect(line).what
    }

    #[test]
    fn each_word_is_understood() {
        assert_eq!(what_of("/img"), What::Summary);
        assert_eq!(what_of("/img super"), What::Super);
        assert_eq!(what_of("/img indexes"), What::Indexes);
        assert_eq!(what_of("/img inode 11"), What::Inode(11));
        assert_eq!(what_of("/img ls"), What::Ls { path: "/".into(), recursive: false });
        assert_eq!(what_of("/img ls -R /models"), What::Ls { path: "/models".into(), recursive: true });
        assert_eq!(what_of("/img cat /README"), What::Cat("/README".into()));
        assert_eq!(what_of("/img get item-7 -c items"), What::Get("item-7".into()));
        let (file, format) = ("x.npy".into(), OutputFormat::Npy);
        let export = What::Export { file, format, ids: Some("x.ids".into()), payload: Some("x.p".into()) };
        assert_eq!(what_of("/img export -c items -o x.npy --ids x.ids --payload x.p"), export);
        assert_eq!(what_of("/img map -o x.svg"), What::Map(Some("x.svg".into())));
        assert_eq!(what_of("/img health --prometheus"), What::Health { prometheus: true });
        assert_eq!(
            what_of("/img image x.img --scramble"),
            What::Image { file: "x.img".into(), scramble: true }
        );
        for word in WORDS {
            let argument = match *word {
                "inode" | "extents" | "stat" | "cat" | "get" | "image" | "diff" => " 1",
                "export" => " -o x.npy",
                _ => "",
            };
            assert_ne!(what_of(&format!("/img {word}{argument}")), What::Summary, "{word}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for line in [
            "/img superblock",
            "/img inode",
            "/img inode 0",
            "/img inode x",
            "/img super 1",
            "/img stat /a /b",
            "/img export",
            "/img map -o x.npy",
            "/img map -o x.svg --json",
            "/img health --prometheus --json",
            "/img super --prometheus",
            "/img udev x",
            "/img export -o x.pickle",
            "/img super --ids x.ids",
            "/img super --payload x.jsonl",
            "/img cat /a --json",
            "/img super -R",
            "/img image",
            "/img super --scramble",
            "/img -o x.npy",
            "-d /img /other super",
        ] {
            let error = target(line).expect_err(line);
            assert!(error.downcast_ref::<Usage>().is_some(), "{line}: {error:#}");
        }
    }

    #[test]
    fn a_word_is_no_device_once_the_device_is_named() {
        let with_flag = target("-d /img groups").expect("parsed");
        assert_eq!(with_flag, Target { device: None, what: What::Groups });
        let positional = target("/img?offset=512 groups").expect("parsed");
        assert_eq!(positional.device.expect("an operand").offset(), 512);
        // No file called groups lies in this package's folder.
        assert_eq!(target("groups").expect("parsed"), Target { device: None, what: What::Groups });
    }
}
