//! The work of `fsck.vexfs`.

use anyhow::bail;
use vexfs_cli::Output;

use crate::args::Args;

pub(crate) fn run(_args: &Args, _out: &mut Output) -> anyhow::Result<vexfs_cli::FsckStatus> {
    bail!("not built yet")
}
