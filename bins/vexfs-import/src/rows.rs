//! The writing side of an import: the rows of all files into one collection, in one transaction.

use anyhow::Context;
use vexfs_cli::{Interrupted, Report, Unit, WithHint, signals};
use vexfs_fs::collection::append::Appender;
use vexfs_fs::{FsError, Volume};

use crate::args::{Args, Mode};
use crate::slabs::Slabs;
use crate::target::{Place, Target};

/// What an import that ends early leaves.
pub(crate) const UNTOUCHED: &str = "nothing was changed";

/// What was added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Rows that replaced others.
    pub(crate) replaced: u64,
}

/// Imports the rows of all files in one transaction.
pub(crate) fn import(args: &Args, volume: &mut Volume, report: &Report) -> anyhow::Result<Added> {
    let (target, input) = Target::open(args, volume)?;
    for (file, source) in &input.sources {
        let unread = source.unread_columns();
        if !unread.is_empty() && args.payload.is_none() {
            let unread = unread.join(", ");
            report.warning(format!("{file}: payload is made of columns of single values, not of {unread}"));
        }
    }
    // What a stream promises is not to be believed so far that a sum of it overflows.
    let promised = input.sources.iter().map(|(_, source)| source.rows());
    let total = promised.reduce(|a, b| a?.checked_add(b?)).flatten();
    let (path, mut naming) = (args.collection.name(), input.identities.naming());
    let mut txn = volume.begin()?;
    let ino = match target.place {
        Place::Existing(ino) => ino,
        Place::New { parent, name } => txn.create_collection(parent, name.as_bytes(), &target.spec)?,
    };
    let mut appender = Appender::open(&mut txn, path, ino)?;
    if args.mode() == Mode::Upsert {
        appender = appender.replacing();
    }
    if let Some(rows) = total {
        hint_if_full(appender.reserve(&mut txn, rows), UNTOUCHED)?;
    }
    let progress = report.progress("importing", Unit::Count("rows"), total);
    let mut slabs = Slabs::start(input, args.row_memory(), args.threads.count().get(), UNTOUCHED)?;
    let mut added = Added::default();
    while let Some(slab) = slabs.next()? {
        naming.goes_on(&slab.file, added.rows, slab.first);
        let pushed = appender.push(&mut txn, &slab.bytes, slab.identities.as_row_ids());
        let pushed = pushed.and_then(|()| match &slab.payload {
            Some(payload) => appender.push_payload(&mut txn, payload),
            None => Ok(()),
        });
        hint_if_full(pushed, UNTOUCHED)
            .with_context(|| format!("{}: rows from {} on", slab.file, slab.first))?;
        added.rows += slab.rows as u64;
        added.bytes += slab.bytes.len() as u64;
        progress.add(slab.rows as u64);
        slabs.give_back(slab);
    }
    let appended = hint_if_full(appender.finish(&mut txn), UNTOUCHED).map_err(|e| naming.explain(e))?;
    added.replaced = appended.replaced;
    drop(progress);
    if signals::interrupted() {
        return Err(Interrupted::new(UNTOUCHED).into());
    }
    hint_if_full(txn.commit(), UNTOUCHED)?;
    Ok(added)
}

/// A full device is no fault of the input: says what can be done, after what is left (`nothing was changed`).
pub(crate) fn hint_if_full<T>(result: vexfs_fs::Result<T>, untouched: &str) -> anyhow::Result<T> {
    match result {
        Err(error @ FsError::NoSpace { .. }) => {
            Err(error).hint(format!("{untouched}; make room, or use a larger device"))
        }
        other => Ok(other?),
    }
}
