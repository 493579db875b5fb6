//! What the tests of repairs share: running one, and the oracle that what was not damaged is still there.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::check::repair::{Mode, RepairOptions, RepairReport, repair};
use vexfs_fs::check::{CheckOptions, DataLevel, Observer, Problem, Severity};
use vexfs_fs::{OpenOptions, Volume, dir, inode};

use crate::check_support::check_full;

/// What a repair said.
#[derive(Debug, Default)]
pub struct Told {
    pub problems: Vec<Problem>,
    pub notes: Vec<String>,
}

impl Observer for Told {
    fn problem(&mut self, problem: Problem) -> ControlFlow<()> {
        self.problems.push(problem);
        ControlFlow::Continue(())
    }

    fn note(&mut self, text: String) -> ControlFlow<()> {
        self.notes.push(text);
        ControlFlow::Continue(())
    }
}

impl Told {
    pub fn text(&self) -> String {
        let problems = self.problems.iter().map(|problem| format!("{problem}\n"));
        problems.chain(self.notes.iter().map(|note| format!("{note}\n"))).collect()
    }
}

pub fn run(device: Arc<dyn Device>, mode: Mode) -> (vexfs_fs::Result<RepairReport>, Told) {
    let check = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    let options = RepairOptions { check, mode, now_ns: 2_000, ..RepairOptions::default() };
    let mut told = Told::default();
    (repair(device, &options, &mut told), told)
}

/// Contents by inode: of every object that a path leads to.
pub type Contents = BTreeMap<u64, Vec<u8>>;

/// Reads everything that can be read from the root directory on, but for the files of indexes: they may be made anew.
pub fn contents(device: &Arc<dyn Device>) -> Contents {
    let volume = Volume::open(device.clone(), &OpenOptions::default()).expect("open");
    let mut found = Contents::new();
    let mut todo = vec![InodeNo::ROOT];
    let mut seen = BTreeSet::new();
    while let Some(ino) = todo.pop() {
        let Ok(object) = inode::read(&volume, ino) else { continue };
        if !seen.insert(ino.get()) {
            continue;
        }
        if object.kind().is_directory_like() {
            found.insert(ino.get(), Vec::new());
            let entries = dir::list(&volume, &object).unwrap_or_default().into_iter();
            let is_collection = object.kind() == InodeKind::Collection;
            let kept = entries.filter(|entry| !is_collection || entry.name != b"index");
            todo.extend(kept.map(|entry| entry.inode));
        } else if object.has_inline_target() {
            let len = object.size.get() as usize;
            found.insert(ino.get(), object.root[..len].to_vec());
        } else if let Ok(bytes) = volume.view(&object).and_then(|view| Ok(view.all()?.to_vec())) {
            found.insert(ino.get(), bytes);
        }
    }
    found
}

/// What is wrong after a repair: damage that is left, and objects that it had no business with.
pub fn faults(device: &Arc<dyn Device>, before: &Contents, touched: &BTreeSet<u64>) -> String {
    let (report, problems) = check_full(device.clone());
    let mut text = String::new();
    if !report.is_clean() || report.marked_damaged {
        text += "the second check is not silent:\n";
        let left = problems.iter().filter(|problem| problem.kind.severity > Severity::Notice);
        left.take(8).for_each(|problem| text += &format!("  {problem}\n"));
    }
    let after = contents(device);
    for (ino, bytes) in before.iter().filter(|(ino, _)| !touched.contains(ino)) {
        match after.get(ino) {
            Some(now) if now == bytes => {}
            Some(now) => text += &format!("inode {ino} has {} bytes, and had {}\n", now.len(), bytes.len()),
            None => text += &format!("inode {ino} with {} bytes is gone\n", bytes.len()),
        }
    }
    text
}

/// The inodes that problems name. Where the rows of a collection are damaged, what says which rows they are may change with them, but
/// neither their vectors nor the checksums of these.
pub fn touched(sound: &Volume, problems: &[Problem]) -> BTreeSet<u64> {
    let mut touched: BTreeSet<u64> = problems.iter().filter_map(|problem| problem.place.inode).collect();
    let about_rows = |problem: &&Problem| problem.code().pass == 5 && problem.code().number >= 20;
    for ino in problems.iter().filter(about_rows).filter_map(|problem| problem.place.inode) {
        let Ok(collection) = inode::read(sound, InodeNo(ino)) else { continue };
        let entries = dir::list(sound, &collection).unwrap_or_default().into_iter();
        let others = entries.filter(|entry| entry.name != b"vectors" && entry.name != b"crc");
        touched.extend(others.map(|entry| entry.inode.get()));
    }
    touched
}
