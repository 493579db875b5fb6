//! Generated files: writing them, and comparing them with what is committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A file to generate.
#[derive(Clone)]
pub(crate) struct Generated {
    /// Path from the top of the repository.
    pub(crate) path: PathBuf,
    /// Contents.
    pub(crate) text: Vec<u8>,
}

/// Writes the files, and removes others from their folders.
pub(crate) fn write(files: &[Generated]) -> anyhow::Result<()> {
    for folder in folders(files) {
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for stranger in strangers(&folder, files)? {
            fs::remove_file(&stranger).with_context(|| format!("cannot remove {}", stranger.display()))?;
        }
    }
    for file in files {
        let path = top().join(&file.path);
        if fs::read(&path).ok().as_deref() != Some(&file.text) {
            fs::write(&path, &file.text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", file.path.display());
        }
    }
    Ok(())
}

/// Fails if a file differs from what is on disk, or a folder has a file too many.
pub(crate) fn check(files: &[Generated]) -> anyhow::Result<()> {
    let mut stale: Vec<String> = files
        .iter()
        .filter(|file| fs::read(top().join(&file.path)).ok().as_deref() != Some(&file.text))
        .map(|file| file.path.display().to_string())
        .collect();
    for folder in folders(files) {
        stale.extend(strangers(&folder, files)?.iter().map(|path| path.display().to_string()));
    }
    if !stale.is_empty() {
        bail!("not up to date (run 'make generate' and commit): {}", stale.join(", "));
    }
    println!("{} generated files are up to date", files.len());
    Ok(())
}

fn folders(files: &[Generated]) -> BTreeSet<PathBuf> {
    files.iter().filter_map(|file| Some(top().join(file.path.parent()?))).collect()
}

/// Files in `folder` that nothing generates.
fn strangers(folder: &Path, files: &[Generated]) -> anyhow::Result<Vec<PathBuf>> {
    let known: BTreeSet<PathBuf> = files.iter().map(|file| top().join(&file.path)).collect();
    let mut strangers = Vec::new();
    // A folder that is not there holds none.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        if !known.contains(&path) {
            strangers.push(path);
        }
    }
    Ok(strangers)
}

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
