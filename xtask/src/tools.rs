//! The tools: their command lines, the manual section they belong to, and what no flag says about them.

use clap::{Command, CommandFactory};

/// One tool.
pub(crate) struct Tool {
    /// Its flags.
    pub(crate) command: Command,
    /// Section of the manual: 8 for what administrators use, 1 for everyone.
    pub(crate) section: &'static str,
    /// Sections of the man page that are written by hand, as roff.
    pub(crate) notes: &'static str,
}

impl Tool {
    /// The name under which it is installed.
    pub(crate) fn name(&self) -> &str {
        self.command.get_name()
    }
}

/// All tools, in the order of the workspace.
pub(crate) fn all() -> Vec<Tool> {
    vec![
        Tool {
            command: mkfs_vexfs::args::Args::command(),
            section: "8",
            notes: include_str!("../../bins/mkfs.vexfs/man.roff"),
        },
        Tool {
            command: fsck_vexfs::args::Args::command(),
            section: "8",
            notes: include_str!("../../bins/fsck.vexfs/man.roff"),
        },
        Tool {
            command: vexfs_import::args::Args::command(),
            section: "1",
            notes: include_str!("../../bins/vexfs-import/man.roff"),
        },
        Tool {
            command: vexfs_query::args::Args::command(),
            section: "1",
            notes: include_str!("../../bins/vexfs-query/man.roff"),
        },
        Tool {
            command: vexfs_dump::args::Args::command(),
            section: "8",
            notes: include_str!("../../bins/vexfs-dump/man.roff"),
        },
        Tool {
            command: vexfs_tune::args::Args::command(),
            section: "8",
            notes: include_str!("../../bins/vexfs-tune/man.roff"),
        },
        Tool {
            command: vexfs_bench::args::Args::command(),
            section: "1",
            notes: include_str!("../../bins/vexfs-bench/man.roff"),
        },
    ]
}
