//! Ordinary files into the tree.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use anyhow::{Context, bail};
use vexfs_cli::{Report, Unit, WithHint};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::path::{LastLink, resolve, split_last};
use vexfs_fs::{BlockSource, FsError, Volume};

use crate::ahead::{Ahead, wait_for};
use crate::args::Args;
use crate::rows::hint_if_full;
use crate::shown;

/// Bytes read and written at a time; two pieces are under way.
const CHUNK_BYTES: u64 = 2 << 20;

/// Refuses sources that cannot be copied, before anything is changed.
pub(crate) fn check_sources(args: &Args) -> anyhow::Result<()> {
    for (source, _) in args.copies().filter(|&(source, _)| source != Path::new("-")) {
        let shown = shown(source);
        let metadata = source.metadata().with_context(|| format!("{shown}: cannot be opened"))?;
        if metadata.is_dir() {
            bail!("{shown}: is a directory, not an ordinary file");
        }
    }
    Ok(())
}

/// Copies `source` to `destination` in one transaction; returns its length in bytes.
pub(crate) fn import(
    args: &Args,
    volume: &mut Volume,
    report: &Report,
    source: &Path,
    destination: &Path,
) -> anyhow::Result<u64> {
    let shown = shown(source);
    let Some(destination) = destination.to_str() else {
        bail!("{}: the destination is not UTF-8", destination.display());
    };
    let place = Place::find(volume, source, destination)?;
    if !place.missing.is_empty() && !args.parents {
        let error = Err(FsError::NotFound { path: destination.to_owned() });
        return error.hint("-p makes the missing directories");
    }
    let untouched = format!("{destination} was not changed");
    let path = source.to_owned();
    let opened = wait_for(&untouched, move || open(&path))?;
    let (file, len) = opened.with_context(|| format!("{shown}: cannot be opened"))?;
    let progress = report.progress(&format!("copying {shown}"), Unit::Bytes, len);
    let mut txn = volume.begin()?;
    let mut parent = place.directory;
    for directory in place.missing {
        parent = txn.make_directory(parent, directory.as_bytes())?;
    }
    let mut writer = txn.write_file(parent, place.name.as_bytes())?;
    if let Some(len) = len {
        hint_if_full(writer.reserve(&mut txn, len), &untouched)?;
    }
    let mut chunks = Ahead::start(&untouched, 1, move |sender| read_chunks(file, &sender))?;
    let mut total = 0;
    while let Some(chunk) = chunks.next()? {
        let chunk = chunk.with_context(|| format!("{shown}: cannot be read behind byte {total}"))?;
        hint_if_full(writer.write(&mut txn, &chunk), &untouched)?;
        total += chunk.len() as u64;
        progress.add(chunk.len() as u64);
    }
    hint_if_full(writer.finish(&mut txn), &untouched)?;
    hint_if_full(txn.commit(), &untouched)?;
    Ok(total)
}

/// Opens a source; its length if that is settled.
fn open(path: &PathBuf) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Hands the bytes of a file over in chunks, up to its end or the first error.
fn read_chunks(mut file: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = Vec::new();
        let read = match (&mut file).take(CHUNK_BYTES).read_to_end(&mut chunk) {
            Ok(0) => return,
            other => other,
        };
        let is_last = read.is_err();
        if sender.send(read.map(|_| chunk)).is_err() || is_last {
            return;
        }
    }
}

/// Where a file goes.
struct Place {
    /// The deepest directory of the destination that exists.
    directory: InodeNo,
    /// Directories below it that do not.
    missing: Vec<String>,
    /// Name of the file.
    name: String,
}

impl Place {
    fn find(volume: &Volume, source: &Path, destination: &str) -> anyhow::Result<Self> {
        let is_directory = |path: &str| match resolve(volume, path, LastLink::Follow) {
            Ok(inode) if inode.kind() == InodeKind::Directory => Ok(Some(inode.number())),
            Ok(inode) => Err(FsError::WrongKind {
                path: path.to_owned(),
                found: inode.kind().name(),
                expected: "directory",
            }),
            Err(FsError::NotFound { .. }) => Ok(None),
            Err(e) => Err(e),
        };
        let names_directory = destination.ends_with('/') || matches!(is_directory(destination), Ok(Some(_)));
        let (parent, name) = if names_directory {
            let name = source.file_name().filter(|&name| name != "-").with_context(|| {
                format!("{destination}: is a directory, and {} has no name to keep in it", shown(source))
            })?;
            (destination, name.to_str().with_context(|| format!("{}: is not UTF-8", source.display()))?)
        } else {
            split_last(destination)?
        };
        let mut directory = InodeNo(volume.superblock().root_inode.get());
        let (mut path, mut missing) = (String::new(), Vec::new());
        for component in parent.split('/').filter(|c| !c.is_empty()) {
            path = format!("{path}/{component}");
            match if missing.is_empty() { is_directory(&path)? } else { None } {
                Some(found) => directory = found,
                None => missing.push(component.to_owned()),
            }
        }
        Ok(Self { directory, missing, name: name.to_owned() })
    }
}
