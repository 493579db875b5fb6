//! Ordinary files into the tree.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use vexfs_cli::{Interrupted, Report, Unit, WithHint, signals};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::path::{LastLink, resolve, split_last};
use vexfs_fs::{BlockSource, FsError, Volume};

use crate::args::Args;

const CHUNK_BYTES: usize = 4 << 20;

/// Copies `source` to `destination` in one transaction; returns its length in bytes.
pub(crate) fn import(
    args: &Args,
    volume: &mut Volume,
    report: &Report,
    source: &Path,
    destination: &Path,
) -> anyhow::Result<u64> {
    let shown = source.display();
    let mut file = File::open(source).with_context(|| format!("{shown}: cannot be opened"))?;
    let metadata = file.metadata().with_context(|| format!("{shown}: cannot be examined"))?;
    if metadata.is_dir() {
        bail!("{shown}: is a directory, not an ordinary file");
    }
    let Some(destination) = destination.to_str() else {
        bail!("{}: the destination is not UTF-8", destination.display());
    };
    let (existing, missing, name) = place(volume, source, destination)?;
    if !missing.is_empty() && !args.parents {
        let error = Err(FsError::NotFound { path: destination.to_owned() });
        return error.hint("-p makes the missing directories");
    }
    let progress = report.progress(&format!("copying {shown}"), Unit::Bytes, Some(metadata.len()));
    let mut txn = volume.begin()?;
    let mut parent = existing;
    for directory in missing {
        parent = txn.make_directory(parent, directory.as_bytes())?;
    }
    let mut writer = txn.write_file(parent, name.as_bytes())?;
    writer.reserve(&mut txn, metadata.len())?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut total = 0;
    loop {
        if signals::interrupted() {
            return Err(Interrupted::new(format!("{destination} was not changed")).into());
        }
        let read =
            file.read(&mut buffer).with_context(|| format!("{shown}: cannot be read at byte {total}"))?;
        if read == 0 {
            break;
        }
        writer.write(&mut txn, &buffer[..read])?;
        total += read as u64;
        progress.add(read as u64);
    }
    writer.finish(&mut txn)?;
    txn.commit()?;
    Ok(total)
}

/// The deepest directory of `destination` that exists, the names below it that do not, and the name of the file.
fn place(
    volume: &Volume,
    source: &Path,
    destination: &str,
) -> anyhow::Result<(InodeNo, Vec<String>, String)> {
    if let Ok(inode) = resolve(volume, destination, LastLink::Follow)
        && inode.kind() == InodeKind::Directory
    {
        let name = source.file_name().and_then(|n| n.to_str());
        let name = name.with_context(|| format!("{}: has no name for the copy", source.display()))?;
        return Ok((inode.number(), Vec::new(), name.to_owned()));
    }
    let (parent, name) = split_last(destination)?;
    let root = InodeNo(volume.superblock().root_inode.get());
    let (mut at, mut path, mut missing) = (root, String::new(), Vec::new());
    for component in parent.split('/').filter(|c| !c.is_empty()) {
        path = format!("{path}/{component}");
        if !missing.is_empty() {
            missing.push(component.to_owned());
            continue;
        }
        match resolve(volume, &path, LastLink::Follow) {
            Ok(inode) if inode.kind() == InodeKind::Directory => at = inode.number(),
            Ok(inode) => {
                return Err(
                    FsError::WrongKind { path, found: inode.kind().name(), expected: "directory" }.into()
                );
            }
            Err(FsError::NotFound { .. }) => missing.push(component.to_owned()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok((at, missing, name.to_owned()))
}
