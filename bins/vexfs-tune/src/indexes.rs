//! `--index` and `--calibrate`: indexes made, changed and removed.

use std::time::Instant;

use serde::Serialize;
use vexfs_cli::index::{BuiltIndex, IndexProgress, explain};
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, Report, memory, signals};
use vexfs_fs::Volume;
use vexfs_fs::collection::Collection;
use vexfs_fs::index::{self, BuildOptions, Built, Expected, IndexRequest};

use crate::args::{Args, IndexAction, Which};

/// What was done with an index, or would be.
#[derive(Debug, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub(crate) enum Done {
    Add(BuiltIndex),
    Rebuild(BuiltIndex),
    Extend(BuiltIndex),
    /// There was nothing that it does not cover.
    Covered {
        name: String,
    },
    Drop {
        name: String,
    },
    Calibrate {
        name: String,
        seconds: f64,
    },
}

/// The work on the indexes of one collection.
pub(crate) struct Worker<'a> {
    pub(crate) args: &'a Args,
    pub(crate) volume: &'a mut Volume,
    pub(crate) report: &'a Report,
    pub(crate) done: Vec<Done>,
}

/// Refuses actions that cannot be done one after the other, before the first is begun.
pub(crate) fn check(args: &Args, volume: &Volume, actions: &[IndexAction]) -> anyhow::Result<()> {
    if actions.is_empty() {
        return Ok(());
    }
    let collection = Collection::open(volume, args.collection.name())?;
    let mut expected = Expected::of(volume, &collection)?;
    actions.iter().try_for_each(|action| {
        let possible = match action {
            IndexAction::Add(request) => expected.add(request).map(drop),
            IndexAction::Drop(name) => expected.remove(name),
            IndexAction::Rebuild(Which::Named(name)) | IndexAction::Extend(Which::Named(name)) => {
                expected.find(name)
            }
            IndexAction::Rebuild(Which::All) | IndexAction::Extend(Which::All) => Ok(()),
        };
        explain(possible, "nothing was changed")
    })
}

impl Worker<'_> {
    /// Does what the flags ask for, in order.
    pub(crate) fn work(&mut self, actions: &[IndexAction]) -> anyhow::Result<()> {
        for action in actions {
            match action {
                IndexAction::Add(request) => self.add(request)?,
                IndexAction::Drop(name) => self.drop(name)?,
                IndexAction::Rebuild(which) => {
                    self.named(which)?.iter().try_for_each(|name| self.rebuild(name))?;
                }
                IndexAction::Extend(which) => {
                    self.named(which)?.iter().try_for_each(|name| self.extend(name))?;
                }
            }
        }
        if self.args.calibrate {
            self.named(&Which::All)?.iter().try_for_each(|name| self.calibrate(name))?;
        }
        Ok(())
    }

    /// Builds the indexes of these names that a compaction has dropped.
    pub(crate) fn rebuild_all(&mut self, names: &[String]) -> anyhow::Result<()> {
        names.iter().try_for_each(|name| {
            let rest = "the rows are compacted; --compact goes on with the indexes that are not built";
            self.rebuild_leaving(name, rest)
        })
    }

    /// The names of the indexes that are meant.
    fn named(&self, which: &Which) -> anyhow::Result<Vec<String>> {
        let collection = Collection::open(self.volume, self.args.collection.name())?;
        match which {
            Which::Named(name) => {
                index::files::find(self.volume, &collection, name)?;
                Ok(vec![name.clone()])
            }
            Which::All => {
                let names: Vec<_> =
                    index::list(self.volume, &collection)?.into_iter().map(|files| files.name).collect();
                if names.is_empty() {
                    self.report.message(format!("{} has no index", self.args.collection.name()));
                }
                Ok(names)
            }
        }
    }

    fn add(&mut self, request: &IndexRequest) -> anyhow::Result<()> {
        let begun = Instant::now();
        let built = self.run("no index was added", |volume, path, options| {
            index::build(volume, path, request, options)
        })?;
        let built = self.tell("built", "build", &built, begun);
        self.done.push(Done::Add(built));
        Ok(())
    }

    fn rebuild(&mut self, name: &str) -> anyhow::Result<()> {
        self.rebuild_leaving(name, &as_it_was(name))
    }

    fn rebuild_leaving(&mut self, name: &str, untouched: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let built =
            self.run(untouched, |volume, path, options| index::rebuild(volume, path, name, options))?;
        let built = self.tell("rebuilt", "rebuild", &built, begun);
        self.done.push(Done::Rebuild(built));
        Ok(())
    }

    fn extend(&mut self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let built =
            self.run(&as_it_was(name), |volume, path, options| index::extend(volume, path, name, options))?;
        let done = match built {
            Some(built) => Done::Extend(self.tell("extended", "extend", &built, begun)),
            None => {
                self.report.message(format!("index {name} covers all vectors"));
                Done::Covered { name: name.to_owned() }
            }
        };
        self.done.push(done);
        Ok(())
    }

    fn drop(&mut self, name: &str) -> anyhow::Result<()> {
        if self.args.dry_run {
            self.report.message(format!("would drop index {name}"));
        } else {
            let blocks = self.run(&as_it_was(name), |volume, path, _| index::remove(volume, path, name))?;
            self.report.message(format!("dropped index {name}: {blocks} blocks are free again"));
        }
        self.done.push(Done::Drop { name: name.to_owned() });
        Ok(())
    }

    fn calibrate(&mut self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        if self.args.dry_run {
            self.report.message(format!("would calibrate index {name}"));
        } else {
            let measured = self.run(&as_it_was(name), |volume, path, options| {
                index::calibrate(volume, path, name, options)
            })?;
            let text = if measured { "is calibrated" } else { "has nothing to calibrate" };
            self.report.message(format!("index {name} {text}"));
        }
        self.done.push(Done::Calibrate { name: name.to_owned(), seconds: begun.elapsed().as_secs_f64() });
        Ok(())
    }

    /// Does one thing; `untouched` says what an interruption leaves.
    fn run<T>(
        &mut self,
        untouched: &str,
        work: impl FnOnce(&mut Volume, &str, &BuildOptions<'_>) -> vexfs_fs::Result<T>,
    ) -> anyhow::Result<T> {
        if signals::interrupted() {
            return Err(Interrupted::new(untouched).into());
        }
        let progress = IndexProgress::new(self.report);
        let options = BuildOptions {
            threads: self.args.threads.count().get(),
            memory: self.args.memory.unwrap_or_else(memory::for_builds),
            progress: &progress,
            dry_run: self.args.dry_run,
        };
        explain(work(self.volume, self.args.collection.name(), &options), untouched)
    }

    fn tell(&self, done: &str, would: &str, built: &Built, begun: Instant) -> BuiltIndex {
        let built = BuiltIndex::new(built, begun.elapsed());
        let parts = if built.parts == 1 { "1 part".to_owned() } else { format!("{} parts", built.parts) };
        self.report.message(if self.args.dry_run {
            format!(
                "would {would} index {} ({}) over {} rows, in {parts}",
                built.name, built.spec, built.rows
            )
        } else {
            format!(
                "{done} index {} ({}) over {} rows, in {parts}: {} in {}",
                built.name,
                built.spec,
                built.rows,
                format_size(built.bytes),
                built.time()
            )
        });
        built
    }
}

/// What is left of an index that was not changed after all.
fn as_it_was(name: &str) -> String {
    format!("index {name} is as it was")
}
