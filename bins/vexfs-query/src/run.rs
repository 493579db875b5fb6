//! The work of `vexfs-query`.

use anyhow::bail;
use vexfs_cli::Output;

use crate::args::Args;

pub(crate) fn run(_args: &Args, _out: &mut Output) -> anyhow::Result<()> {
    bail!("not built yet")
}
