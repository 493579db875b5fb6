//! The work of `mkfs.vexfs`.

use anyhow::bail;
use vexfs_cli::Output;

use crate::args::Args;

pub(crate) fn run(_args: &Args, _out: &mut Output) -> anyhow::Result<()> {
    bail!("not built yet")
}
