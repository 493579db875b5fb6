//! Running the VexFS tools as programs, for the tests in this package.
//!
//! [`Tool`] knows the tools, [`Tool::on`] and [`Invocation`] run one and collect what comes back, [`Scratch`] is a folder for images.
//!
//! Nothing but a build of the tools themselves guarantees that the programs match the sources, and a dependency on
//! their packages builds their libraries only. Therefore the first use of a tool builds all of them, in the profile and target
//! folder of the test; when they are up to date, that takes a fraction of a second. With `VEXFS_TOOLS_DIR` set, the programs in
//! that folder are tested instead, under their installed names: this is how an installed package is tested.

mod invocation;
mod programs;
mod scratch;

use std::path::{Path, PathBuf};

use vexfs_cli::Family;

pub use invocation::{Finished, Invocation};
pub use scratch::Scratch;

/// A tool, by the name under which it is installed.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The name under which it is installed.
    pub name: &'static str,
    /// Its exit codes.
    pub family: Family,
    /// How it is asked to work on a device: arguments, with `{device}` and `{vectors}` to be filled in.
    sample: &'static [&'static str],
}

impl Tool {
    /// `mkfs.vexfs`
    pub const MKFS: Self = Self { name: "mkfs.vexfs", family: Family::Mkfs, sample: &["{device}"] };
    /// `fsck.vexfs`
    pub const FSCK: Self =
        Self { name: "fsck.vexfs", family: Family::Fsck, sample: &["-n", "-f", "{device}"] };
    /// `vexfs-import`
    pub const IMPORT: Self =
        Self { name: "vexfs-import", family: Family::Ordinary, sample: &["-d", "{device}", "{vectors}"] };
    /// `vexfs-query`
    pub const QUERY: Self = Self {
        name: "vexfs-query",
        family: Family::Ordinary,
        sample: &["-d", "{device}", "--vector", "1,2"],
    };
    /// `vexfs-dump`
    pub const DUMP: Self =
        Self { name: "vexfs-dump", family: Family::Ordinary, sample: &["{device}", "super"] };

    /// `vexfs-tune`
    pub const TUNE: Self =
        Self { name: "vexfs-tune", family: Family::Ordinary, sample: &["{device}", "-L", "label"] };

    /// `vexfs-bench`
    pub const BENCH: Self = Self {
        name: "vexfs-bench",
        family: Family::Ordinary,
        sample: &["run", "-d", "{device}", "--train", "{vectors}", "--test", "{vectors}"],
    };

    /// All tools.
    pub const ALL: &'static [Self] =
        &[Self::MKFS, Self::FSCK, Self::IMPORT, Self::QUERY, Self::DUMP, Self::TUNE, Self::BENCH];

    /// The program itself, built.
    ///
    /// # Panics
    /// The tools do not build, or are not where they should be.
    pub fn program(&self) -> PathBuf {
        programs::path(self.name)
    }

    /// A run of the tool without arguments, without standard input and without the environment variables of the tools.
    pub fn run(&self) -> Invocation {
        Invocation::of(&self.program())
    }

    /// A run of the tool that does its usual work on `device`; `scratch` gives it vectors of two dimensions to import.
    pub fn on(&self, device: &Path, scratch: &Scratch) -> Invocation {
        let mut run = self.run();
        for word in self.sample {
            run = match *word {
                "{device}" => run.arg(device),
                "{vectors}" => run.arg(scratch.npy("sample.npy", 2, &[1.0, 2.0])),
                word => run.arg(word),
            };
        }
        run
    }
}
