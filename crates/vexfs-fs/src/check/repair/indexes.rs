//! Pass 5: indexes that are damaged. They are derived: built anew by their descriptions, or dropped.
//!
//! This comes when everything else is repaired, so that the rows an index is built of are those that stay. Rows and answers are the
//! same with an index and without one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use vexfs_ann::index::image::Image;
use vexfs_ann::index::{IndexSpec, Progress};
use vexfs_device::{DeviceError, IoOp};
use vexfs_format::InodeNo;

use super::super::context::{Context, Reporter};
use super::super::pass5;
use super::super::problem::{Fix, Problem};
use super::super::{paths, table};
use super::{Reindex, RepairOptions, batch, connect};
use crate::collection::Collection;
use crate::error::{FsError, Result};
use crate::index::build::{self, BuildOptions};
use crate::index::files::IndexFiles;
use crate::index::remove::remove_files;
use crate::volume::Volume;
use crate::{dir, inode};

/// How often the observer is asked whether to go on while an index is built.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What is to be done about an index, the lesser first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Calibrate,
    Build,
}

/// Reports each index that no repair has built anew, for those who want all of them anew.
pub(super) fn ask_for_all(ctx: &mut Context<'_>) -> Result<()> {
    for index in 0..ctx.collections.len() {
        let info = ctx.collections[index].clone();
        if info.index == 0 {
            continue;
        }
        let Some((_, all)) = pass5::indexes::open(ctx, &info) else { continue };
        for files in all {
            let problem = Problem::new(table::INDEX_ASKED).inode(info.ino).name(files.name);
            if ctx.reporter.ledger().is_some_and(|ledger| !ledger.is_tried(&problem)) {
                ctx.report(problem)?;
            }
        }
    }
    Ok(())
}

/// Makes the repairs of indexes that were decided.
pub(super) fn repair(ctx: &mut Context<'_>, options: &RepairOptions) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Index]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let (entries, of_indexes): (Vec<Problem>, Vec<Problem>) =
        accepted.into_iter().partition(|problem| problem.kind == table::INDEX_ENTRY);
    move_away(ctx, &entries)?;
    for index in 0..ctx.collections.len() {
        let info = ctx.collections[index].clone();
        if info.index == 0 {
            continue;
        }
        let Some((mut collection, all)) = pass5::indexes::open(ctx, &info) else { continue };
        let tasks: Vec<(Task, IndexFiles)> = all
            .into_iter()
            .filter_map(|files| {
                let tasks = of_indexes.iter().filter_map(|problem| task(problem, info.ino, &files));
                tasks.max().map(|task| (task, files))
            })
            .collect();
        if !tasks.is_empty() {
            let path = paths::find(ctx, info.ino);
            collection.path = path.unwrap_or_else(|| format!("inode {}", info.ino));
        }
        for (task, files) in tasks {
            repair_one(ctx, &collection, &files, task, options)?;
        }
    }
    Ok(())
}

/// What a problem asks to be done about an index; `None` if it is not of this one.
fn task(problem: &Problem, collection: u64, files: &IndexFiles) -> Option<Task> {
    let ino = problem.place.inode?;
    if ino == collection {
        let is_calibration = problem.kind == table::INDEX_CALIBRATION;
        let task = if is_calibration { Task::Calibrate } else { Task::Build };
        return (problem.name.as_deref() == Some(&files.name)).then_some(task);
    }
    let is = |file: &InodeNo| file.get() == ino;
    if files.calibration.iter().any(is) {
        return Some(Task::Calibrate);
    }
    files.parts.values().chain(&files.spec).any(is).then_some(Task::Build)
}

/// Gives what is no file of an index a name in lost+found instead.
fn move_away(ctx: &mut Context<'_>, entries: &[Problem]) -> Result<()> {
    let mut found: Vec<(InodeNo, Vec<u8>, InodeNo, bool)> = Vec::new();
    for problem in entries {
        let (Some(directory), Some(other)) = (problem.place.inode, problem.other) else { continue };
        let Some(inode) = ctx.read_inode(directory) else { continue };
        let Ok(entries) = dir::list(&ctx.volume, &inode) else { continue };
        let has_others = ctx.inodes.get(other).is_some_and(|info| info.entries > 1);
        let is_meant = |name: &[u8]| problem.name.as_deref() == Some(&*String::from_utf8_lossy(name));
        let named = entries.into_iter().filter(|e| e.inode.get() == other && is_meant(&e.name));
        found.extend(named.map(|entry| (inode.number(), entry.name, entry.inode, has_others)));
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &found, |txn, (directory, name, ino, has_others)| {
        dir::remove(txn, *directory, name)?;
        // A file that has other names loses this one, and its count of links follows.
        if *has_others { Ok(()) } else { connect::keep(txn, *ino) }
    })
}

fn repair_one(
    ctx: &mut Context<'_>,
    collection: &Collection,
    files: &IndexFiles,
    task: Task,
    options: &RepairOptions,
) -> Result<()> {
    let name = format!("index {} of {}", files.name, collection.path);
    if options.reindex == Reindex::Never {
        return match task {
            Task::Calibrate => drop_calibration(ctx, collection, files, &name),
            Task::Build => drop_index(ctx, collection, files, format!("{name} is dropped")),
        };
    }
    if task == Task::Calibrate {
        let measured =
            at_work(ctx, options, |volume, build| build::calibrate_files(volume, collection, files, build));
        return match measured {
            Ok(_) => ctx.reporter.note(format!("{name}: its recall is measured anew")),
            Err(error) if is_fatal(ctx, &error) => Err(error),
            Err(_) => drop_calibration(ctx, collection, files, &name),
        };
    }
    let Some((spec, is_guess)) = spec(&ctx.volume, collection, files) else {
        let text = format!("{name} is dropped: nobody knows what it was");
        return drop_index(ctx, collection, files, text);
    };
    if is_guess {
        ctx.reporter.note(format!(
            "{name}: its description is lost, and it is built with the parameters of {spec} that are usual"
        ))?;
    }
    let built =
        at_work(ctx, options, |volume, build| build::replace(volume, collection, files, &spec, build));
    let error = match built {
        Ok(built) => {
            let text = format!("{name} is built anew: {spec}, {} rows", built.rows());
            return ctx.reporter.note(text);
        }
        Err(error) if is_fatal(ctx, &error) => return Err(error),
        Err(error) => error,
    };
    drop_index(
        ctx,
        collection,
        files,
        format!("{name} ({spec}) is dropped, because it cannot be built anew: {error}"),
    )?;
    if !matches!(error, FsError::NoSpace { .. }) {
        return Ok(());
    }
    // Where there was no room for both, there may be for one.
    let request = crate::index::IndexRequest { name: Some(files.name.clone()), spec };
    let built = at_work(ctx, options, |volume, build| build::build_in(volume, collection, &request, build));
    match built {
        Ok(built) => ctx.reporter.note(format!("{name} is built in its place: {} rows", built.rows())),
        Err(error) if is_fatal(ctx, &error) => Err(error),
        Err(_) => Ok(()),
    }
}

/// Whether the run ends with this error, rather than the index: rows that cannot be read cannot be indexed, but a device that cannot
/// be written is no matter of the index.
fn is_fatal(ctx: &Context<'_>, error: &FsError) -> bool {
    let is_write = match error {
        FsError::Device(error) => {
            !matches!(error, DeviceError::Io { op: IoOp::Read, .. }) && !error.is_no_space()
        }
        _ => false,
    };
    is_write || ctx.volume.poisoned || matches!(error, FsError::Interrupted | FsError::ReadOnly { .. })
}

/// The description of an index, or the kind of its first image alone; and whether it is that.
fn spec(volume: &Volume, collection: &Collection, files: &IndexFiles) -> Option<(IndexSpec, bool)> {
    if let Ok(spec) = files.read_spec(volume, collection) {
        return Some((spec, false));
    }
    let kind = files.parts.values().find_map(|&ino| {
        let view = volume.view(&inode::read(volume, ino).ok()?).ok()?;
        Image::open(&view).ok().map(|image| image.header().kind)
    })?;
    Some((kind.name().parse().ok()?, true))
}

fn drop_index(
    ctx: &mut Context<'_>,
    collection: &Collection,
    files: &IndexFiles,
    text: String,
) -> Result<()> {
    drop_files(ctx, collection, files)?;
    ctx.reporter.note(text)
}

fn drop_calibration(
    ctx: &mut Context<'_>,
    collection: &Collection,
    files: &IndexFiles,
    name: &str,
) -> Result<()> {
    let only = IndexFiles { parts: BTreeMap::new(), spec: None, ..files.clone() };
    drop_files(ctx, collection, &only)?;
    ctx.reporter.note(format!("{name}: its calibration is dropped"))
}

fn drop_files(ctx: &mut Context<'_>, collection: &Collection, files: &IndexFiles) -> Result<()> {
    let Some(directory) = collection.index_directory else { return Ok(()) };
    batch::run(&mut ctx.volume, &mut ctx.reporter, std::slice::from_ref(files), |txn, files| {
        txn.use_reserve();
        remove_files(txn, directory, files)
    })
}

/// How a build is asked to stop from another thread.
struct Stop<'a>(&'a AtomicBool);

impl Progress for Stop<'_> {
    fn step(&self, _: &'static str, _: u64, _: u64) {}

    fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Builds in a thread of its own, while this one asks the observer whether to go on.
fn at_work<T: Send>(
    ctx: &mut Context<'_>,
    options: &RepairOptions,
    work: impl FnOnce(&mut Volume, &BuildOptions<'_>) -> Result<T> + Send,
) -> Result<T> {
    let stop = AtomicBool::new(false);
    let progress = Stop(&stop);
    let build = BuildOptions {
        threads: options.threads,
        memory: options.check.memory(),
        progress: &progress,
        dry_run: false,
    };
    let Context { volume, reporter, .. } = ctx;
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || {
            // The other end is there until this has been said.
            let _ = sender.send(work(volume, &build));
        });
        wait(&receiver, reporter, &stop)
    })
}

fn wait<T>(
    receiver: &mpsc::Receiver<Result<T>>,
    reporter: &mut Reporter<'_>,
    stop: &AtomicBool,
) -> Result<T> {
    loop {
        match receiver.recv_timeout(LOOK_AGAIN) {
            Ok(done) => return done,
            Err(RecvTimeoutError::Timeout) => {
                if reporter.progress_again().is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(FsError::Interrupted),
        }
    }
}
