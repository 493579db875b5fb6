//! `cat PATH`: the contents of a file, verified.

use std::io::Write;

use anyhow::Context;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::view::FileView;
use vexfs_fs::{FsError, Result};

use crate::dump::Dump;

/// Bytes verified and written at a time: enough for the device to be read ahead, little enough for the cache.
const CHUNK_BYTES: u64 = 1 << 20;

/// Writes the file that `path` leads to, up to its first damaged block.
pub(crate) fn show(dump: &mut Dump<'_>, path: &str) -> anyhow::Result<()> {
    let inode = resolve(&dump.volume, path, LastLink::Follow)?;
    if inode.kind().is_directory_like() {
        let found = inode.kind().name();
        return Err(FsError::WrongKind { path: path.to_owned(), found, expected: "file" }.into());
    }
    let view = dump.volume.view(&inode)?;
    view.advise_sequential();
    let mut at = 0;
    while at < view.len() {
        let end = (at + CHUNK_BYTES).min(view.len());
        let damage = match view.bytes(at..end) {
            Ok(bytes) => {
                dump.out.write_all(bytes)?;
                at = end;
                continue;
            }
            Err(damage) => damage,
        };
        let intact = intact_end(&view, at, end);
        dump.out.write_all(view.bytes(at..intact)?)?;
        dump.out.flush()?;
        return Err(damage).with_context(|| format!("{path}: stopped after {intact} bytes"));
    }
    Ok(())
}

/// Where the intact blocks from `at` on end, at `end` at the latest.
fn intact_end(view: &FileView, at: u64, end: u64) -> u64 {
    let size = view.block_size() as u64;
    let is_damaged = |block: &u64| -> bool {
        let verified: Result<()> = view.verify_blocks(*block..block + 1);
        verified.is_err()
    };
    let first = (at / size..end.div_ceil(size)).find(is_damaged);
    first.map_or(end, |block| (block * size).max(at))
}
