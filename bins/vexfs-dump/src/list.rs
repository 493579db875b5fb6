//! `ls [PATH]`: the names in a directory.

use std::collections::HashSet;

use serde::Serialize;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::printable;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::inode::Inode;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{dir, inode};

use crate::dump::Dump;
use crate::inode::{link_target, mode_text};

const SCHEMA: Schema = Schema::new("vexfs-dump-ls", 1);

#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    inode: u64,
    kind: &'static str,
    /// Type and permissions; this and what follows is `None` if the inode is damaged.
    mode: Option<u16>,
    links: Option<u32>,
    size: Option<u64>,
    modified_ns: Option<u64>,
    /// Of a symbolic link.
    target: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listing {
    path: String,
    entries: Vec<Entry>,
}

/// Prints the names in the directory `path`, and below it if `recursive`. Of anything else, prints it.
pub(crate) fn show(dump: &mut Dump<'_>, path: &str, recursive: bool) -> anyhow::Result<()> {
    let top = resolve(&dump.volume, path, LastLink::Follow)?;
    let prefix = match path.trim_matches('/') {
        "" => String::new(),
        trimmed => format!("/{trimmed}"),
    };
    let mut entries = Vec::new();
    if top.kind().is_directory_like() {
        let mut seen = HashSet::from([top.number()]);
        let mut todo = vec![(prefix.clone(), top)];
        while let Some((prefix, directory)) = todo.pop() {
            let below = gather(dump, &prefix, &directory, &mut entries)?;
            if recursive {
                // A damaged tree may lead back to itself.
                todo.extend(below.into_iter().rev().filter(|(_, inode)| seen.insert(inode.number())));
            }
        }
    } else {
        let number = top.number();
        entries.push(entry(dump, prefix.clone(), number, top.kind(), Some(&top))?);
    }
    let listing = Listing { path: if prefix.is_empty() { "/".to_owned() } else { prefix.clone() }, entries };
    if dump.json { dump.document(SCHEMA, &listing) } else { listing.write_text(dump, &prefix, recursive) }
}

/// Adds the entries of one directory, and returns the directories among them.
fn gather(
    dump: &mut Dump<'_>,
    prefix: &str,
    directory: &Inode,
    entries: &mut Vec<Entry>,
) -> anyhow::Result<Vec<(String, Inode)>> {
    let mut below = Vec::new();
    let names = dir::list_sorted(&dump.volume, directory);
    let shown = if prefix.is_empty() { "/" } else { prefix };
    for name in dump.intact(shown, names)?.unwrap_or_default() {
        let path = format!("{prefix}/{}", String::from_utf8_lossy(&name.name));
        let inode = inode::read(&dump.volume, name.inode);
        let inode = dump.intact(&path, inode)?;
        entries.push(entry(dump, path.clone(), name.inode, name.kind, inode.as_ref())?);
        below.extend(inode.filter(|inode| inode.kind().is_directory_like()).map(|inode| (path, inode)));
    }
    Ok(below)
}

fn entry(
    dump: &mut Dump<'_>,
    path: String,
    number: InodeNo,
    kind: InodeKind,
    inode: Option<&Inode>,
) -> anyhow::Result<Entry> {
    let target = match inode {
        Some(link) if link.kind() == InodeKind::Symlink => link_target(dump, link)?,
        _ => None,
    };
    Ok(Entry {
        path,
        inode: number.get(),
        kind: kind.name(),
        mode: inode.map(|inode| inode.mode.get()),
        links: inode.map(|inode| inode.links.get()),
        size: inode.map(|inode| inode.size.get()),
        modified_ns: inode.map(|inode| inode.modified_ns.get()),
        target,
    })
}

impl Listing {
    /// A line for each entry; names, or paths below `prefix` when they come from several directories.
    fn write_text(&self, dump: &mut Dump<'_>, prefix: &str, recursive: bool) -> anyhow::Result<()> {
        let width = |number: fn(&Entry) -> Option<u64>| {
            self.entries.iter().map(|entry| text(number(entry)).len()).max().unwrap_or(0)
        };
        let inodes = width(|entry| Some(entry.inode));
        let links = width(|entry| entry.links.map(u64::from));
        let sizes = width(|entry| entry.size);
        for entry in &self.entries {
            let mode = entry.mode.map_or_else(|| "?".to_owned(), mode_text);
            let time = entry.modified_ns.map_or_else(|| "?".to_owned(), format_time);
            let name = match entry.path.strip_prefix(prefix).and_then(|name| name.strip_prefix('/')) {
                Some(name) if !recursive => name,
                _ => &entry.path,
            };
            let arrow = entry.target.as_ref().map_or_else(String::new, |t| format!(" -> {}", printable(t)));
            dump.out.line(format_args!(
                "{:>inodes$} {:10} {mode:10} {:>links$} {:>sizes$} {time:20} {}{arrow}",
                entry.inode,
                entry.kind,
                text(entry.links.map(u64::from)),
                text(entry.size),
                printable(name)
            ))?;
        }
        Ok(())
    }
}

fn text(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}
