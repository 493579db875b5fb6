//! The writing side of an import: the rows of all files into one collection, in one transaction or in steps.

use anyhow::Context;
use vexfs_cli::{Interrupted, Progress, Report, Unit, WithHint, signals};
use vexfs_fs::collection::append::Appender;
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{FsError, Volume};

use crate::args::{Args, Mode};
use crate::identity::Naming;
use crate::resume::{self, Steps};
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
    /// Rows of the same files that earlier runs have stored.
    pub(crate) resumed: u64,
}

/// Imports the rows of all files: all of them or none, or step by step.
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
    let (steps, naming) = (target.steps, input.identities.naming());
    if steps == Steps::None {
        report.message(
            "the rows of these files are stored already; without --resume they are stored once more",
        );
        return Ok(Added { resumed: total.unwrap_or_default(), ..Added::default() });
    }
    let progress = report.progress("importing", Unit::Count("rows"), total);
    if steps.done() > 0 {
        report.message(format!("going on behind {} rows that are stored", steps.done()));
        progress.add(steps.done());
    }
    let memory = steps.memory(args.row_memory());
    let slabs = Slabs::start(input, memory, args.threads.count().get(), steps.left())?;
    let added = Added { resumed: steps.done(), ..Added::default() };
    let left = total.map(|total| total.saturating_sub(steps.done()));
    let mut import = Import { args, target, naming, progress, slabs, left, added };
    loop {
        match import.step(volume) {
            Ok(true) => {}
            Ok(false) => return Ok(import.added),
            Err(error) if import.target.steps.done() > 0 && resume::is_of_files(&error) => {
                let deleted = resume::abandon(args, volume)?;
                return Err(error).hint(format!(
                    "the {deleted} rows of the import that were stored are deleted; vexfs-tune --compact reclaims their space"
                ));
            }
            Err(error) => return Err(error),
        }
    }
}

/// An import under way.
struct Import<'a> {
    args: &'a Args,
    target: Target,
    naming: Naming,
    progress: Progress,
    slabs: Slabs,
    /// Rows that are to come, if that is known.
    left: Option<u64>,
    added: Added,
}

impl Import<'_> {
    /// Stores the rows of one step, durably. Returns whether there are more to come.
    fn step(&mut self, volume: &mut Volume) -> anyhow::Result<bool> {
        let (args, path, steps) = (self.args, self.args.collection.name(), self.target.steps);
        let mut txn = volume.begin()?;
        let ino = match &self.target.place {
            Place::Existing(ino) => *ino,
            Place::New { parent, name } => {
                txn.create_collection(*parent, name.as_bytes(), &self.target.spec)?
            }
        };
        let mut appender = match steps {
            Steps::Many { source, .. } => Appender::open_step(&mut txn, path, ino, source)?,
            Steps::One | Steps::None => Appender::open(&mut txn, path, ino)?,
        };
        if args.mode() == Mode::Upsert {
            appender = appender.replacing();
        }
        let most = match steps {
            Steps::Many { bytes, .. } => (bytes / appender.collection().desc.row_bytes()).max(1),
            Steps::One | Steps::None => u64::MAX,
        };
        if let Some(rows) = self.left {
            hint_if_full(appender.reserve(&mut txn, rows.min(most)), steps.left())?;
        }
        let rows = self.push(&mut txn, &mut appender, most)?;
        // A slab has a row at least, so that fewer rows than a step has are the last ones.
        let is_last = rows < most;
        if is_last {
            appender.ends_import();
        }
        let appended = hint_if_full(appender.finish(&mut txn), steps.left())
            .map_err(|error| self.naming.explain(error, &steps))?;
        if args.model.is_some() || args.normalize {
            txn.describe_vectors(path, ino, args.model.as_ref(), args.normalize)?;
        }
        if signals::interrupted() {
            return Err(Interrupted::new(steps.left()).into());
        }
        hint_if_full(txn.commit(), steps.left())?;
        self.target.place = Place::Existing(ino);
        self.target.steps.advance(rows);
        self.added.rows += rows;
        self.added.replaced += appended.replaced;
        self.left = self.left.map(|left| left.saturating_sub(rows));
        Ok(!is_last)
    }

    /// Pushes slabs until there are `most` rows, or no more. Returns how many rows they had.
    fn push(&mut self, txn: &mut Transaction<'_>, appender: &mut Appender, most: u64) -> anyhow::Result<u64> {
        let (done, left) = (self.target.steps.done(), self.target.steps.left());
        let mut rows = 0;
        while rows < most
            && let Some(slab) = self.slabs.next()?
        {
            self.naming.goes_on(&slab.file, done + rows, slab.first);
            let pushed = appender.push(txn, &slab.bytes, slab.identities.as_row_ids());
            let pushed = pushed.and_then(|()| match &slab.payload {
                Some(payload) => appender.push_payload(txn, payload),
                None => Ok(()),
            });
            hint_if_full(pushed, left)
                .with_context(|| format!("{}: rows from {} on", slab.file, slab.first))?;
            rows += slab.rows as u64;
            self.added.bytes += slab.bytes.len() as u64;
            self.progress.add(slab.rows as u64);
            self.slabs.give_back(slab);
        }
        Ok(rows)
    }
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
