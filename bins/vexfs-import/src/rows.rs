//! Rows from files into a collection: one thread reads and checks slabs, the other writes them.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context, bail};
use vexfs_cli::{Interrupted, Report, Unit, Usage, WithHint, signals};
use vexfs_fs::collection::append::Appender;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{FsError, Volume};
use vexfs_io::RowSource;

use crate::args::Args;
use crate::identity::Identities;
use crate::normalize::normalize;
use crate::target::{self, Target};

/// Bytes of a slab: large enough that the cost of a hand-over does not show, small enough to stay in the last cache.
const SLAB_BYTES: u64 = 4 << 20;
/// Slabs under way: one being read, one waiting, one being written.
const SLABS: u64 = 3;

/// What was added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// A slab of packed rows.
struct Slab {
    bytes: Vec<u8>,
    rows: usize,
}

/// Imports the rows of all files in one transaction.
pub(crate) fn import(args: &Args, volume: &mut Volume, report: &Report) -> anyhow::Result<Added> {
    let (target, sources) = Target::open(args, volume)?;
    let total: Option<u64> = sources.iter().map(|(_, source)| source.rows()).sum();
    let mut identities = Identities::open(args)?;
    let path = args.collection.name().to_owned();
    let existing = match resolve(volume, &path, LastLink::Follow) {
        Ok(inode) => Some(inode.number()),
        Err(FsError::NotFound { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    let place = target::parent_of_new(volume, &path, existing.is_none())?;
    let mut txn = volume.begin()?;
    let ino = match (existing, place) {
        (Some(ino), _) => ino,
        (None, Some((parent, name))) => txn.create_collection(parent, name.as_bytes(), &target.spec)?,
        (None, None) => bail!("{path}: cannot be created"),
    };
    let mut appender = Appender::open(&mut txn, &path, ino)?;
    if let Some(rows) = total {
        appender.reserve(&mut txn, rows).hint(FULL_HINT)?;
    }
    let progress = report.progress("importing", Unit::Count("rows"), total);
    let slab_bytes = SLAB_BYTES.min(args.memory / SLABS).max(1) as usize;
    let mut added = Added::default();
    for (file, source) in sources {
        let mut writer =
            Writer { args, txn: &mut txn, appender: &mut appender, identities: &mut identities, file };
        let mut in_file = 0;
        for_each_slab(source, slab_bytes, |slab| {
            if signals::interrupted() {
                return Err(Interrupted::new("nothing was changed").into());
            }
            writer.write(slab, in_file)?;
            in_file += slab.rows as u64;
            added.rows += slab.rows as u64;
            added.bytes += slab.bytes.len() as u64;
            progress.add(slab.rows as u64);
            Ok(())
        })?;
    }
    identities.finish(added.rows)?;
    appender.finish(&mut txn).map_err(|e| identities.explain(e))?;
    drop(progress);
    if signals::interrupted() {
        return Err(Interrupted::new("nothing was changed").into());
    }
    txn.commit()?;
    Ok(added)
}

const FULL_HINT: &str = "nothing was changed; make room, or use a larger device";

/// The writing side of an import.
struct Writer<'a, 'v> {
    args: &'a Args,
    txn: &'a mut Transaction<'v>,
    appender: &'a mut Appender,
    identities: &'a mut Identities,
    file: &'a Path,
}

impl Writer<'_, '_> {
    /// Writes a slab whose first row is row `first` of its file.
    fn write(&mut self, slab: &mut Slab, first: u64) -> anyhow::Result<()> {
        if self.args.normalize {
            let desc = &self.appender.collection().desc;
            normalize(&mut slab.bytes, desc.dtype(), desc.dim.get() as usize).map_err(|row| {
                let row = first + row as u64;
                Usage::new(format!("{}: row {row} has length 0 and cannot be scaled", self.file.display()))
            })?;
        }
        let ids = self.identities.next(slab.rows)?;
        let pushed = self.appender.push(self.txn, &slab.bytes, ids.as_row_ids());
        pushed.with_context(|| format!("{}: rows from {first} on", self.file.display())).hint(FULL_HINT)
    }
}

/// Hands the rows of `source` to `work`, slab by slab, while the next slab is being read.
fn for_each_slab(
    mut source: Box<dyn RowSource>,
    slab_bytes: usize,
    mut work: impl FnMut(&mut Slab) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (full_sender, full): (SyncSender<_>, Receiver<Result<Slab, vexfs_io::IoError>>) = sync_channel(1);
    let (empty_sender, empty) = sync_channel::<Vec<u8>>(SLABS as usize);
    for _ in 0..SLABS {
        // The channel has room for all slabs, and its receiver is below.
        let _ = empty_sender.send(Vec::new());
    }
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let max_rows = source.rows_within(slab_bytes);
            while let Ok(mut bytes) = empty.recv() {
                let read = source.read_rows(&mut bytes, max_rows).map(|rows| Slab { bytes, rows });
                let last = !matches!(read, Ok(Slab { rows: 1.., .. }));
                if full_sender.send(read).is_err() || last {
                    break;
                }
            }
        });
        // When `work` fails, both channels close on return, and the reader stops at its next step.
        let (full, empty_sender) = (full, empty_sender);
        while let Ok(slab) = full.recv() {
            let mut slab = slab?;
            if slab.rows == 0 {
                break;
            }
            work(&mut slab)?;
            let _ = empty_sender.send(slab.bytes);
        }
        Ok(())
    })
}
