//! Importing: rows in memory become a durable collection, in one transaction.

use std::time::Instant;

use vexfs_cli::{Interrupted, WithHint, signals};
use vexfs_format::InodeNo;
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::{FsError, Volume};

use crate::result::Import;
use crate::statistics::Statistic;
use crate::workload::Workload;

/// Bytes of a slab of rows, as vexfs-import hands them over.
const SLAB_BYTES: usize = 4 << 20;

/// Rows of at most so many bytes are imported as often as the runs say, into an image of our own; others once.
const REPEATED_BYTES: usize = 16 << 20;

/// How often the rows are imported, and how often of that before it counts.
pub(crate) fn repetitions(
    workload: &Workload,
    is_scratch: bool,
    runs: usize,
    warm_ups: usize,
) -> (usize, usize) {
    if is_scratch && workload.rows.len() <= REPEATED_BYTES { (runs + warm_ups, warm_ups) } else { (1, 0) }
}

/// Imports the rows into collection `name`, and before that into others if it is done several times.
pub(crate) fn measure(
    volume: &mut Volume,
    workload: &Workload,
    name: &str,
    (times, warm_ups): (usize, usize),
) -> anyhow::Result<Import> {
    let (mut seconds, mut rates) = (Vec::new(), Vec::new());
    for run in 1..=times {
        let name = if run == times { name.to_owned() } else { format!("{name}-{run}") };
        let begun = Instant::now();
        import(volume, workload, &name)?;
        let taken = begun.elapsed().as_secs_f64();
        if run > warm_ups {
            seconds.push(taken);
            rates.push(workload.len() as f64 / taken);
        }
    }
    Ok(Import {
        bytes: workload.rows.len() as u64,
        seconds: Statistic::of(&seconds),
        rows_per_second: Statistic::of(&rates),
    })
}

fn import(volume: &mut Volume, workload: &Workload, name: &str) -> anyhow::Result<()> {
    let spec = workload.spec()?;
    let mut txn = volume.begin()?;
    let made = txn.create_collection(InodeNo::ROOT, name.as_bytes(), &spec);
    let ino = match made {
        Err(error @ FsError::Exists { .. }) => {
            return Err(error).hint("name a collection that does not exist: -c NAME");
        }
        other => other?,
    };
    let mut appender = Appender::open(&mut txn, name, ino)?;
    appender.reserve(&mut txn, workload.len())?;
    let slab = SLAB_BYTES / workload.row_bytes() * workload.row_bytes();
    for rows in workload.rows.chunks(slab.max(workload.row_bytes())) {
        if signals::interrupted() {
            return Err(Interrupted::new("nothing was imported").into());
        }
        appender.push(&mut txn, rows, RowIds::Auto)?;
    }
    appender.finish(&mut txn)?;
    txn.commit()?;
    Ok(())
}
