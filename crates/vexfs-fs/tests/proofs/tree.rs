//! Everything that can be read of a filesystem, so that two states of it can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::{OpenOptions, Volume, dir, inode};

/// An object that a name leads to.
#[derive(Clone, PartialEq, Eq)]
struct Object {
    kind: InodeKind,
    /// Mode, owner, group, time of making, and of the last change of what a file holds.
    status: (u16, u32, u32, u64, u64),
    contents: Contents,
}

#[derive(Clone, PartialEq, Eq)]
enum Contents {
    Names(BTreeMap<Vec<u8>, u64>),
    Bytes(Vec<u8>),
    Unreadable,
}

/// All objects that names lead to, by inode number.
#[derive(Clone)]
pub struct Tree {
    objects: BTreeMap<u64, Object>,
}

impl Tree {
    /// Reads everything from the root directory on.
    pub fn read(device: &Arc<dyn Device>) -> Self {
        let volume = Volume::open(device.clone(), &OpenOptions::default()).expect("open");
        let mut objects = BTreeMap::new();
        let mut todo = vec![InodeNo::ROOT];
        while let Some(ino) = todo.pop() {
            if objects.contains_key(&ino.get()) {
                continue;
            }
            let Ok(record) = inode::read(&volume, ino) else { continue };
            let contents = if record.kind().is_directory_like() {
                match dir::list(&volume, &record) {
                    Ok(entries) => {
                        todo.extend(entries.iter().map(|entry| entry.inode));
                        Contents::Names(
                            entries.into_iter().map(|entry| (entry.name, entry.inode.get())).collect(),
                        )
                    }
                    Err(_) => Contents::Unreadable,
                }
            } else if record.has_inline_target() {
                Contents::Bytes(record.root[..record.size.get() as usize].to_vec())
            } else {
                match volume.view(&record).and_then(|view| Ok(view.all()?.to_vec())) {
                    Ok(bytes) => Contents::Bytes(bytes),
                    Err(_) => Contents::Unreadable,
                }
            };
            let status = (
                record.mode.get() & 0o7777,
                record.uid.get(),
                record.gid.get(),
                record.created_ns.get(),
                if record.kind().is_directory_like() { 0 } else { record.modified_ns.get() },
            );
            objects.insert(ino.get(), Object { kind: record.kind(), status, contents });
        }
        Self { objects }
    }

    /// The objects that are not the same, or are in one of the trees only.
    pub fn differences(&self, other: &Self) -> Vec<u64> {
        let all: BTreeSet<u64> = self.objects.keys().chain(other.objects.keys()).copied().collect();
        all.into_iter().filter(|ino| self.objects.get(ino) != other.objects.get(ino)).collect()
    }

    /// Names and numbers of what is in a directory or collection.
    pub fn entries(&self, ino: u64) -> impl Iterator<Item = (Vec<u8>, u64)> + '_ {
        let names = match self.objects.get(&ino).map(|object| &object.contents) {
            Some(Contents::Names(names)) => Some(names),
            _ => None,
        };
        names.into_iter().flatten().map(|(name, ino)| (name.clone(), *ino))
    }

    /// The numbers of all objects.
    pub fn numbers(&self) -> Vec<u64> {
        self.objects.keys().copied().collect()
    }

    /// The kind of an object.
    pub fn kind(&self, ino: u64) -> Option<InodeKind> {
        self.objects.get(&ino).map(|object| object.kind)
    }

    /// The collection that `ino` is, or is a stream of.
    pub fn collection_of(&self, ino: u64) -> Option<u64> {
        let is_collection = |ino: &u64| self.kind(*ino) == Some(InodeKind::Collection);
        self.objects
            .keys()
            .filter(|number| is_collection(number))
            .copied()
            .find(|number| *number == ino || self.entries(*number).any(|(_, stream)| stream == ino))
    }

    /// The streams of vectors and of their checksums.
    fn rows(&self) -> BTreeSet<u64> {
        let collections = self.objects.iter().filter(|(_, object)| object.kind == InodeKind::Collection);
        let streams = collections.flat_map(|(ino, _)| self.entries(*ino));
        streams.filter(|(name, _)| name == b"vectors" || name == b"crc").map(|(_, ino)| ino).collect()
    }

    /// The files of indexes: one that is damaged is built anew, all of its files with it.
    fn derived(&self) -> BTreeSet<u64> {
        let collections = self.objects.iter().filter(|(_, object)| object.kind == InodeKind::Collection);
        let entries = collections.flat_map(|(ino, _)| self.entries(*ino));
        let directories = entries.filter(|(name, _)| name == b"index").map(|(_, ino)| ino);
        directories.flat_map(|ino| self.entries(ino)).map(|(_, ino)| ino).collect()
    }

    /// What `after` lacks of this, in words: objects other than `touched` and those of indexes are as they were, and so are the names
    /// of directories other than these. New names may have come.
    pub fn losses(&self, after: &Self, touched: &BTreeSet<u64>) -> String {
        let mut text = String::new();
        let (rows, derived) = (self.rows(), self.derived());
        let may_differ = |ino: &u64| touched.contains(ino) || derived.contains(ino);
        for (ino, object) in self.objects.iter().filter(|(ino, _)| !may_differ(ino)) {
            let Some(now) = after.objects.get(ino) else {
                text += &format!("inode {ino}, a {}, is gone\n", object.kind.name());
                continue;
            };
            // A stream whose collection or index has lost it becomes a file in lost+found.
            let is_moved =
                object.kind == InodeKind::Stream && now.kind == InodeKind::File && !rows.contains(ino);
            let now_kind = if is_moved { object.kind } else { now.kind };
            if (now_kind, now.status) != (object.kind, object.status) {
                text += &format!("inode {ino}: its record was changed\n");
            }
            match (&object.contents, &now.contents) {
                (Contents::Names(names), Contents::Names(found)) => {
                    let untouched = names.iter().filter(|(_, child)| !may_differ(child));
                    for (name, child) in untouched.filter(|(name, child)| found.get(*name) != Some(child)) {
                        let name = String::from_utf8_lossy(name);
                        text += &format!("inode {ino}: the name '{name}' does not lead to inode {child}\n");
                    }
                }
                (before, now) if before == now => {}
                (_, Contents::Unreadable) => text += &format!("inode {ino} cannot be read\n"),
                _ => text += &format!("inode {ino} has other contents\n"),
            }
        }
        text
    }
}
