//! The work of `vexfs-tune`: each step is durable when the next begins.

use serde::Serialize;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::{Output, Report, Usage, signals, volume};

use crate::args::Args;
use crate::compact::{self, Compacted};
use crate::defrag::{self, Defrag};
use crate::delete::{self, Deleted};
use crate::grow::{self, Grown};
use crate::identity::{self, Identity};
use crate::indexes::{Done, Worker};
use crate::list::Listing;
use crate::{indexes, simd, undo};

const SCHEMA: Schema = Schema::new("vexfs-tune", 1);

/// What was done.
#[derive(Serialize)]
struct Outcome {
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    grown: Option<Grown>,
    #[serde(flatten)]
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<Deleted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compacted: Option<Compacted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defrag: Option<Defrag>,
    indexes: Vec<Done>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filesystem: Option<Listing>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    if args.simd {
        return simd::show(args.output.json, out);
    }
    if let Some(file) = &args.undo {
        return undo::run(args, file, out);
    }
    let actions = args.index_actions()?;
    let to = args.grow()?;
    if !args.changes() && !args.list {
        return Err(Usage::new("there is nothing to do: name what is to be changed, or -l").into());
    }
    let device = args.device()?;
    let report = Report::new("vexfs-tune", &args.output);
    if let Some(to) = to {
        grow::make_room(args, &device, to, &report)?;
    }
    let is_writing = args.changes() && !args.dry_run;
    let mut volume = if is_writing {
        signals::catch()?;
        volume::open_for_writing(&device, &report)?
    } else {
        volume::open_for_reading(&device, &report)?
    };
    indexes::check(args, &volume, &actions)?;
    let grown = to.map(|to| grow::grow(args, &mut volume, &report, to)).transpose()?;
    let identity = identity::change(args, &mut volume, &report)?;
    let deleted = args.delete_ids.as_deref();
    let deleted = deleted.map(|file| delete::delete(args, &mut volume, &report, file)).transpose()?;
    let compacted = args.compact.then(|| compact::compact(args, &mut volume, &report)).transpose()?;
    let (compacted, unbuilt) = compacted.map_or((None, Vec::new()), |(done, names)| (Some(done), names));
    let defrag = args.defrag.then(|| defrag::run(args, &mut volume, &report)).transpose()?;
    let mut worker = Worker { args, volume: &mut volume, report: &report, done: Vec::new() };
    let worked = worker.rebuild_all(&unbuilt).and_then(|()| worker.work(&actions));
    let indexes = worker.done;
    let filesystem = match (&worked, args.list) {
        (Ok(()), true) => Some(Listing::of(&volume)?),
        _ => None,
    };
    let closed = volume.close();
    worked?;
    closed?;
    if args.output.json {
        let dry_run = args.dry_run;
        let outcome = Outcome { dry_run, grown, identity, deleted, compacted, defrag, indexes, filesystem };
        write_document(out, SCHEMA, &outcome)?;
    } else if let Some(filesystem) = filesystem {
        filesystem.write_text(out)?;
    }
    Ok(())
}
