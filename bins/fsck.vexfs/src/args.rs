//! The flags of `fsck.vexfs`. The letters mean what they mean to e2fsck.
//!
//! The `fsck` front end keeps the letters A C l M N P R r s T t V and ? to itself, so nothing that is needed at boot
//! hides behind one of them.

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};
use vexfs_cli::DeviceSpec;
use vexfs_cli::args::device_spec;
use vexfs_cli::extended::key_value;
use vexfs_cli::size::parse_size;
use vexfs_format::superblock::BLOCK_SIZES;
use vexfs_fs::check::DEFAULT_MEMORY;
use vexfs_fs::check::repair::Reindex;

/// Check and repair a VexFS filesystem
///
/// Replays the journal, then checks the superblock, groups, inodes, directories and collections of the filesystem on DEVICE, and
/// repairs what is damaged: without a mode it asks before each repair. A filesystem that was closed cleanly and has no known damage
/// is not read through unless -f is given.
///
/// The exit status is the sum of: 0 clean, 1 problems corrected, 4 problems left, 8 operational error, 16 usage error, 32
/// cancelled by a signal.
#[derive(Clone, Debug, Parser)]
#[command(name = "fsck.vexfs", bin_name = "fsck.vexfs", version)]
pub struct Args {
    /// Block device, image file, LABEL=… or UUID=…; may end in ?offset=N
    #[arg(value_name = "DEVICE", value_parser = device_spec())]
    pub device: DeviceSpec,

    /// Preen: do what is safe without asking; for use at boot
    ///
    /// Replays the journal, and repairs what can be computed again. The check ends at the first problem that a person has to decide
    /// about; if problems are left, the filesystem is marked as damaged and the exit status is exactly 4.
    #[arg(short = 'p', visible_short_alias = 'a', long, conflicts_with_all = ["check", "yes"])]
    pub preen: bool,

    /// Answer every question with yes: repair all that can be repaired
    ///
    /// Nothing that is intact goes away: what has lost its name is kept in lost+found, and so are the bytes of rows that are damaged.
    #[arg(short = 'y', long, conflicts_with = "check")]
    pub yes: bool,

    /// Check only: write nothing at all
    ///
    /// The device is opened for reading, and the journal is replayed in memory.
    #[arg(short = 'n', long)]
    pub check: bool,

    /// Check even if the filesystem is marked clean
    ///
    /// Without it, a filesystem that is marked clean is looked at for milliseconds: superblocks, journal, names of collections,
    /// and the images of indexes up to 32 MiB of them.
    #[arg(short, long)]
    pub force: bool,

    /// Block of the backup superblock to use instead of the primary
    ///
    /// 'mkfs.vexfs -n' prints where the backups are. Without -B, all block sizes are tried. A primary that is damaged, or of another
    /// filesystem, is restored from it if that is decided.
    #[arg(short = 'b', long, value_name = "BLOCK")]
    pub superblock: Option<u64>,

    /// Bytes per block, for -b
    #[arg(short = 'B', long, value_name = "SIZE", value_parser = block_size, requires = "superblock")]
    pub block_size: Option<u32>,

    /// Write progress to this file descriptor
    ///
    /// A line per step: the pass from 1 to 5, how much of it is done, how much there is, the device. This is what
    /// systemd reads. 0 stands for a bar on standard error, which is shown anyway where that is a terminal.
    #[arg(short = 'C', long, value_name = "FD", value_parser = clap::value_parser!(i32).range(0..))]
    pub progress_fd: Option<i32>,

    /// Save what is overwritten in this file, so that it can be taken back
    ///
    /// 'vexfs-tune --undo FILE DEVICE' puts it back. The file survives a power failure: what a block held is durable in it before
    /// the block is overwritten. A file that exists is gone on with if it belongs to this device and describes the state it
    /// is in; any other file is refused. It may not lie on DEVICE.
    #[arg(short = 'z', long, value_name = "FILE", conflicts_with_all = ["check", "superblock"])]
    pub undo_file: Option<PathBuf>,

    /// Copy the device to this image file, and repair the copy
    ///
    /// DEVICE is only read. NEW must not exist, or be empty; it takes as much room as DEVICE holds bytes other than zero. What
    /// cannot be read, in units of 4096 bytes, is zero in the copy and listed, and all of the copy is checked then.
    #[arg(long, value_name = "NEW", conflicts_with_all = ["check", "superblock", "undo_file"])]
    pub repair_to: Option<PathBuf>,

    /// How much of the data is read
    ///
    /// With full, a filesystem that is marked clean is checked too, as with -f.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Data::Meta)]
    pub data: Data,

    /// Extended options: journal_only, reindex=auto|never|all
    ///
    /// A list separated by commas; key:value is the same as key=value. journal_only replays the journal and checks nothing. reindex
    /// says what becomes of indexes, which hold nothing but what follows from the rows: with auto, the default, one that is damaged is
    /// built anew as it was asked for, and dropped where that cannot be; with never it is dropped; with all, each is built anew, damaged
    /// or not.
    #[arg(short = 'E', long, value_name = "OPTION", value_delimiter = ',', value_parser = Extended::parse)]
    pub extended: Vec<Extended>,

    /// Memory to stay within [default: 512M]
    ///
    /// Takes k, M, G and T as powers of 1024. It bounds what is cut into parts: ids that are compared, and indexes that are built anew.
    /// The tables of a check come on top of it: 20 MiB, 256 bytes for each block group (32 MiB for 16 TiB), 32 for each inode in
    /// use, 600 for each collection, and at most a bit for each block in groups that are partly in use. Rows take none, however many
    /// there are. A repair takes up to 200 MiB more where millions of problems are found.
    #[arg(short, long, value_name = "SIZE", value_parser = memory, default_value_t = DEFAULT_MEMORY, hide_default_value = true)]
    pub memory: u64,

    /// Print how long each pass took; twice: and what it read
    #[arg(short = 't', long, action = ArgAction::Count)]
    pub timings: u8,

    /// Accepted and ignored, as other checkers do
    #[arg(short = 'r')]
    pub interactive: bool,

    /// Say nothing but problems
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more; may be given twice
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// Print the result as JSON
    ///
    /// One document on standard output, numbers as numbers, with a field 'schema' that names its kind and version.
    #[arg(long)]
    pub json: bool,
}

/// How much of the data a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Data {
    /// Neither rows nor the files that describe them: structure of the filesystem only
    None,
    /// What describes collections: ids, keys, checksums; and the images of indexes
    Meta,
    /// Every row of every collection and every block of every file; and whether indexes contradict themselves
    Full,
}

/// One extended option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// Replay the journal, check nothing.
    JournalOnly,
    /// What becomes of indexes.
    Reindex(Reindex),
}

impl Extended {
    /// Reads one option of the list.
    ///
    /// # Errors
    /// It is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        match key_value(text) {
            ("journal_only", None) => Ok(Self::JournalOnly),
            ("reindex", Some("auto")) => Ok(Self::Reindex(Reindex::Auto)),
            ("reindex", Some("never")) => Ok(Self::Reindex(Reindex::Never)),
            ("reindex", Some("all")) => Ok(Self::Reindex(Reindex::All)),
            _ => Err("expected journal_only or reindex=auto|never|all".to_owned()),
        }
    }
}

impl Args {
    /// Whether a filesystem that is marked clean is checked all the same.
    pub fn is_forced(&self) -> bool {
        let is_asked = self.data == Data::Full || self.reindex() == Some(Reindex::All);
        self.force || is_asked || self.superblock.is_some()
    }

    /// What becomes of indexes, if that was said; the last word counts.
    pub fn reindex(&self) -> Option<Reindex> {
        let reindex = |option: &Extended| match option {
            Extended::Reindex(reindex) => Some(*reindex),
            Extended::JournalOnly => None,
        };
        self.extended.iter().rev().find_map(reindex)
    }

    /// Whether anything may be written.
    pub fn writes(&self) -> bool {
        !self.check
    }

    /// Whether the journal is to be replayed and nothing checked.
    pub fn journal_only(&self) -> bool {
        self.extended.contains(&Extended::JournalOnly)
    }
}

/// Least memory to stay within: with less, ids would be compared in passes without end.
const MIN_MEMORY: u64 = 8 << 20;

fn memory(text: &str) -> Result<u64, String> {
    match parse_size(text).map_err(|error| error.to_string())? {
        size @ MIN_MEMORY.. => Ok(size),
        _ => Err("expected at least 8M".to_owned()),
    }
}

fn block_size(text: &str) -> Result<u32, String> {
    let size = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(size) {
        Ok(size) if size.is_power_of_two() && BLOCK_SIZES.contains(&size) => Ok(size),
        _ => Err(format!("expected a power of two from {} to {}", BLOCK_SIZES.start(), BLOCK_SIZES.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(["fsck.vexfs"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn modes_exclude_each_other_and_a_is_p() {
        assert!(parse("-a /dev/sda1").expect("boot").preen);
        assert!(parse("-p /dev/sda1").expect("boot").preen);
        assert!(parse("-p -n /dev/sda1").is_err());
        assert!(parse("-a -n /dev/sda1").is_err());
        assert!(parse("-y /dev/sda1").expect("all").yes);
        for two in ["-y -n", "-y -p", "-a -y"] {
            assert!(parse(&format!("{two} /dev/sda1")).is_err(), "{two}");
        }
    }

    #[test]
    fn what_is_saved_or_copied_is_also_written() {
        assert!(parse("-p -z undo img").expect("preen").undo_file.is_some());
        assert!(parse("-p --repair-to new img").expect("preen").repair_to.is_some());
        for line in
            ["-n -z undo img", "-n --repair-to new img", "-b 1 -z undo img", "-z undo --repair-to new img"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_block_size_is_for_a_backup() {
        assert_eq!(parse("-b 32768 -B 4k img").expect("both").block_size, Some(4096));
        assert!(parse("-B 4k img").is_err());
        assert!(parse("-b 32768 -B 5000 img").is_err());
    }

    #[test]
    fn extended_options_are_known_or_refused() {
        assert!(parse("-E journal_only img").expect("known").journal_only());
        assert!(parse("-E journal_only:1 img").is_err());
        assert!(parse("-E fragcheck img").is_err());
        for text in ["reindex", "reindex=", "reindex=some", "reindex:auto:all"] {
            assert!(parse(&format!("-E {text} img")).is_err(), "{text}");
        }
        assert_eq!(parse("-E reindex:never img").expect("known").reindex(), Some(Reindex::Never));
        let both = parse("-E journal_only,reindex=never -E reindex=all img").expect("known");
        assert_eq!((both.reindex(), both.journal_only(), both.is_forced()), (Some(Reindex::All), true, true));
    }

    #[test]
    fn memory_is_a_size_that_is_enough_for_something() {
        assert_eq!(parse("-m 64M img").expect("a size").memory, 64 << 20);
        assert_eq!(parse("img").expect("a size").memory, DEFAULT_MEMORY);
        assert!(parse("-m 4096 img").is_err() && parse("-m much img").is_err());
    }

    #[test]
    fn the_letters_of_boot_scripts_are_accepted() {
        let args = parse("-r -f -C 3 -tt -v /dev/sda1").expect("known");
        assert_eq!((args.progress_fd, args.timings), (Some(3), 2));
        assert!(parse("-C -1 /dev/sda1").is_err());
    }
}
