//! Crash states beyond those of [`vexfs_device::CrashStates`]: one operation torn while any of the others is missing.
//!
//! With a device cache both may happen at once, and some mistakes show only then: a log block that is half overwritten while
//! the journal superblock that released it has not arrived.

use vexfs_device::{MemDevice, Op};

use super::Random;

/// Longest epoch, in operations, that is looked at.
const MAX_OPS: usize = 4;
const SECTOR: u64 = 512;

/// A state: the image, the last mark that is durable, and what arrived, in words.
pub type Torn = (MemDevice, Option<String>, String);

/// For each short epoch, each of its operations and each subset of the others: `samples` cuts of that operation.
pub fn torn_subsets(base: &MemDevice, log: &[Op], samples: usize) -> Vec<Torn> {
    let mut random = Random::new(0x7042);
    let durable = base.fork();
    let (mut states, mut mark) = (Vec::new(), None);
    for epoch in log.split_inclusive(|op| *op == Op::Flush) {
        let first_change = epoch.iter().position(|op| op.range().is_some()).unwrap_or(epoch.len());
        if let Some(Op::Mark(label)) = epoch[..first_change].iter().rfind(|op| matches!(op, Op::Mark(_))) {
            mark = Some(label.clone());
        }
        let changes: Vec<&Op> = epoch.iter().filter(|op| op.range().is_some()).collect();
        if (2..=MAX_OPS).contains(&changes.len()) {
            for torn in 0..changes.len() {
                for subset in (0..1_u32 << changes.len()).filter(|bits| bits >> torn & 1 == 1) {
                    for _ in 0..samples {
                        let Some(part) = cut(changes[torn], &mut random) else { continue };
                        let image = durable.fork();
                        for (n, op) in changes.iter().enumerate().filter(|(n, _)| subset >> n & 1 == 1) {
                            let op = if n == torn { &part } else { *op };
                            op.apply(&image).expect("the log fits");
                        }
                        let text =
                            format!("torn: {subset:#b} of {} changes arrived, {torn} in part", changes.len());
                        states.push((image, mark.clone(), text));
                    }
                }
            }
        }
        epoch.iter().for_each(|op| op.apply(&durable).expect("the log fits"));
        if let Some(Op::Mark(label)) = epoch.iter().rfind(|op| matches!(op, Op::Mark(_))) {
            mark = Some(label.clone());
        }
    }
    states
}

/// The sectors of an operation before or behind a random one; `None` for one that is not longer than a sector.
pub fn cut(op: &Op, random: &mut Random) -> Option<Op> {
    let (offset, len) = op.range()?;
    let cuts = len.div_ceil(SECTOR) - 1;
    if cuts == 0 {
        return None;
    }
    let at = (1 + random.below(cuts)) * SECTOR;
    let (from, to) = if random.below(2) == 0 { (0, at) } else { (at, len) };
    Some(match op {
        Op::Write { data, .. } => {
            Op::Write { offset: offset + from, data: data[from as usize..to as usize].to_vec() }
        }
        Op::Zero { .. } => Op::Zero { offset: offset + from, len: to - from },
        other => other.clone(),
    })
}
