//! Names for the completions of shells: collections and indexes of the device that a command line names.
//!
//! A shell calls `TOOL --complete-names WORD…` with the words before the one that is completed, and gets names, one a line. Whatever
//! keeps them from being told (no device, no permission, damage, a writer at work) leaves them out: a completion has nobody to
//! complain to. Nothing is written, and no device is looked for.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use vexfs_device::{FileDevice, OpenOptions as DeviceOptions, install_bus_error_handler};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::collection::Collection;
use vexfs_fs::source::BlockSource;
use vexfs_fs::{OpenOptions, Volume, dir, index, inode};

use crate::Family;
use crate::args::{DEFAULT_COLLECTION, DEVICE_VARIABLE};
use crate::device::DeviceSpec;
use crate::size::parse_size;

/// The first argument of a call by a shell.
pub(crate) const FLAG: &str = "--complete-names";
/// Directories that are looked into, and names that are told, at most: more help nobody to choose.
const MOST: usize = 1000;

/// What is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Collections,
    Indexes,
}

/// Prints the names that may stand behind `words`, which follow the name of the tool.
pub(crate) fn print(tool: &str, words: &[OsString]) {
    let words: Vec<OsString> = words.iter().filter(|word| *word != "=").map(|word| unquoted(word)).collect();
    let Some(wanted) = wanted(tool, &words) else { return };
    let mut names = BTreeSet::new();
    for volume in volumes(tool, &words) {
        match wanted {
            Wanted::Collections => names.extend(collections(&volume)),
            Wanted::Indexes => names.extend(indexes(&volume, &words)),
        }
    }
    // A name with a line end would be two.
    let names = names.iter().filter(|name| !name.contains(char::is_control));
    let text: String = names.take(MOST).flat_map(|name| [name, "\n"]).collect();
    let _ = io::stdout().write_all(text.as_bytes());
}

/// What a person has typed who quotes as shells do, as far as names of devices need it.
fn unquoted(word: &OsStr) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let (mut quote, mut is_escaped) = (None, false);
    for &byte in word.as_bytes() {
        match (byte, quote) {
            _ if is_escaped => {
                bytes.push(byte);
                is_escaped = false;
            }
            (b'\\', None | Some(b'"')) => is_escaped = true,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            _ => bytes.push(byte),
        }
    }
    match (bytes.strip_prefix(b"~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(OsStr::from_bytes(rest)).into_os_string(),
        _ => OsString::from_vec(bytes),
    }
}

/// What the next word of the command line is.
fn wanted(tool: &str, words: &[OsString]) -> Option<Wanted> {
    let mut last = words.iter().rev().map(|word| word.to_str().unwrap_or_default());
    match (tool, last.next()?, last.next().unwrap_or_default()) {
        (_, "-c" | "--collection", _) => Some(Wanted::Collections),
        ("vexfs-query", "--index", _) => Some(Wanted::Indexes),
        ("vexfs-tune", "drop" | "rebuild" | "extend", "--index") => Some(Wanted::Indexes),
        _ => None,
    }
}

/// Values of a flag, as `-d VALUE`, `-dVALUE`, `--device VALUE` or `--device=VALUE`.
fn values<'a>(words: &'a [OsString], short: Option<&str>, long: &str) -> Vec<&'a OsStr> {
    let joined = format!("{long}=");
    let mut found = Vec::new();
    let mut is_value = false;
    for word in words {
        let bytes = word.as_bytes();
        let is_short = |short: &str| bytes.starts_with(short.as_bytes());
        if is_value {
            found.push(word.as_os_str());
            is_value = false;
        } else if word == long || short.is_some_and(|short| word == short) {
            is_value = true;
        } else if let Some(value) = bytes.strip_prefix(joined.as_bytes()) {
            found.push(OsStr::from_bytes(value));
        } else if short.is_some_and(is_short) {
            found.push(OsStr::from_bytes(&bytes[2..]));
        }
    }
    found
}

/// The volumes on the devices that are named: by flags, else as an operand, else by the environment.
fn volumes(tool: &str, words: &[OsString]) -> Vec<Volume> {
    let offset = values(words, None, "--offset").pop();
    let offset = offset.and_then(|text| parse_size(text.to_str()?).ok());
    let open = |name: &OsStr| open(name, offset);
    let named = values(words, Some("-d"), "--device");
    if !named.is_empty() {
        return named.into_iter().filter_map(open).collect();
    }
    let has_operand = ["vexfs-dump", "vexfs-tune"].contains(&tool);
    let mut operands = words.iter().filter(|word| has_operand && Path::new(word).exists());
    let operand = operands.find_map(|word| open(word));
    let volume = operand.or_else(|| open(&std::env::var_os(DEVICE_VARIABLE)?));
    volume.into_iter().collect()
}

fn open(name: &OsStr, offset: Option<u64>) -> Option<Volume> {
    let spec = DeviceSpec::parse(name).ok()?;
    let spec = match offset {
        Some(offset) => spec.with_offset(offset).ok()?,
        None => spec,
    };
    let located = spec.locate().ok()?;
    install_bus_error_handler(Family::Ordinary.failed().into()).ok()?;
    let device = DeviceOptions::read_only().offset(located.offset);
    let device = FileDevice::open(&located.path, device).ok()?;
    Volume::open(Arc::new(device), &OpenOptions::default()).ok()
}

/// The collections of a volume, those in the root directory by their names, others by their paths.
fn collections(volume: &Volume) -> Vec<String> {
    let root = InodeNo(volume.superblock().root_inode.get());
    let (mut found, mut seen) = (Vec::new(), HashSet::from([root]));
    let mut todo = vec![(String::new(), root)];
    while let Some((prefix, number)) = todo.pop() {
        let entries = inode::read(volume, number).and_then(|inode| dir::list(volume, &inode));
        for entry in entries.unwrap_or_default() {
            let Ok(name) = String::from_utf8(entry.name) else { continue };
            match entry.kind {
                InodeKind::Directory if seen.len() < MOST && seen.insert(entry.inode) => {
                    todo.push((format!("{prefix}/{name}"), entry.inode));
                }
                InodeKind::Collection if prefix.is_empty() => found.push(name),
                InodeKind::Collection => found.push(format!("{prefix}/{name}")),
                _ => {}
            }
        }
    }
    found
}

/// The indexes of the collection that is meant.
fn indexes(volume: &Volume, words: &[OsString]) -> Vec<String> {
    let named = values(words, Some("-c"), "--collection").pop().map(OsStr::to_owned);
    let named = named.or_else(|| std::env::var_os("VEXFS_COLLECTION"));
    let name =
        named.and_then(|name| name.into_string().ok()).unwrap_or_else(|| DEFAULT_COLLECTION.to_owned());
    let list = Collection::open(volume, &name).and_then(|collection| index::list(volume, &collection));
    list.unwrap_or_default().into_iter().map(|index| index.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_words_before_say_what_is_wanted() {
        for (tool, line, expected) in [
            ("vexfs-dump", "/img -c", Some(Wanted::Collections)),
            ("vexfs-query", "--collection", Some(Wanted::Collections)),
            ("vexfs-query", "-d /img --index", Some(Wanted::Indexes)),
            ("vexfs-tune", "/img --index drop", Some(Wanted::Indexes)),
            ("vexfs-tune", "/img --index add", None),
            ("vexfs-tune", "/img --index", None),
            ("vexfs-import", "--index", None),
            ("vexfs-query", "-d", None),
        ] {
            assert_eq!(wanted(tool, &words(line)), expected, "{tool} {line}");
        }
        assert_eq!(wanted("vexfs-query", &[]), None);
    }

    #[test]
    fn flags_are_read_in_each_way_they_are_written() {
        let line = words("-d a --device b -dc --device=d -c e");
        assert_eq!(values(&line, Some("-d"), "--device"), ["a", "b", "c", "d"]);
        assert_eq!(values(&line, None, "--offset"), [""; 0]);
        let typed = |word: &str| unquoted(OsStr::new(word)).into_string().expect("UTF-8");
        assert_eq!(
            (typed("\"a b\""), typed("a\\ b"), typed("'a\\b'")),
            ("a b".into(), "a b".into(), "a\\b".into())
        );
        assert_eq!(typed("'it'\\''s'"), "it's");
    }
}
