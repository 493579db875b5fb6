//! [`CrashStates`]: every image that a power failure may leave behind, given what was done to the device.
//!
//! The log is cut into **epochs** by its flushes. A crash inside an epoch finds everything before the epoch durable and,
//! of the epoch itself, any subset of its operations: that is what a device with a volatile cache promises. Operations of one
//! epoch that overlap keep their order (the page cache and the device's queue do), so reordering adds nothing to subsets. One
//! operation may be **torn**: some of its sectors arrive.

use std::collections::VecDeque;
use std::ops::Range;

use crate::random::Random;
use crate::{MemDevice, Op};

/// How many crash states to produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashOptions {
    /// An epoch with at most this many subsets of operations (2^n) yields all of them.
    pub subset_limit: u64,
    /// A longer epoch yields its prefixes and this many random subsets; an operation with more ways of tearing than this yields
    /// as many random ones.
    pub samples: usize,
    /// Seed of all random choices.
    pub seed: u64,
    /// What the device writes as a whole, in bytes.
    pub sector: u32,
}

impl Default for CrashOptions {
    /// 256 subsets (epochs of 8 operations in full), 64 samples, sectors of 512 bytes (the smallest in use).
    fn default() -> Self {
        Self { subset_limit: 256, samples: 64, seed: 1, sector: 512 }
    }
}

/// One image that a crash may leave behind.
#[derive(Debug)]
pub struct CrashState<'a> {
    /// The device as the next start finds it; a copy of its own.
    pub image: MemDevice,
    /// How many entries at the front of the log are durable for certain: the last flush reached and all before it.
    pub durable_ops: usize,
    /// The last [`Op::Mark`] with no change after it that could be missing. What was acknowledged there must be found.
    pub durable_mark: Option<&'a str>,
    /// What arrived, in words, for messages.
    pub description: String,
}

/// All crash states of a log, epoch by epoch. The same arguments yield the same states in the same order.
#[derive(Debug)]
pub struct CrashStates<'a> {
    log: &'a [Op],
    options: CrashOptions,
    random: Random,
    /// The device at the start of the epoch, and after the first `applied` operations of it.
    durable: MemDevice,
    advanced: MemDevice,
    applied: usize,
    /// Log index where the epoch begins, and the log indices of its changes; `None` after the last epoch.
    epoch: Option<(usize, Vec<usize>)>,
    /// What is still to be produced of this epoch.
    pending: VecDeque<Fate>,
}

/// What arrives of an epoch. Operations are counted inside it.
#[derive(Debug)]
enum Fate {
    /// Operation i if bit i is set.
    Subset(u64),
    /// The first ones.
    Prefix(usize),
    /// All before `op`, and of `op` the bytes of `part`.
    Torn { op: usize, part: Range<u64> },
    /// All before `op`, and random sectors of it.
    Scattered { op: usize, seed: u64 },
    /// Random operations, some of them torn.
    Sample { seed: u64 },
}

/// Operations with more sectors than this are torn in two, not scattered: every sector would cost a write.
const SCATTER_LIMIT: u64 = 4096;

impl<'a> CrashStates<'a> {
    /// The crash states of `log`, recorded on a device that held `base` when it began.
    ///
    /// # Panics
    /// If the log does not fit `base` (a test's mistake), or the sector is 0.
    pub fn new(base: &MemDevice, log: &'a [Op], options: CrashOptions) -> Self {
        assert!(options.sector > 0, "a sector has bytes");
        let rehearsal = base.fork();
        log.iter().for_each(|op| apply(op, &rehearsal));
        let mut states = Self {
            log,
            options,
            random: Random::new(options.seed),
            durable: base.fork(),
            advanced: base.fork(),
            applied: 0,
            epoch: None,
            pending: VecDeque::new(),
        };
        states.enter_epoch(0);
        states
    }

    /// Plans the epoch that begins at log index `start`.
    fn enter_epoch(&mut self, start: usize) {
        let log = self.log;
        let changes: Vec<usize> = (start..log.len())
            .take_while(|index| log[*index] != Op::Flush)
            .filter(|index| log[*index].range().is_some_and(|(_, len)| len > 0))
            .collect();
        let subsets = u32::try_from(changes.len()).ok().and_then(|n| 1u64.checked_shl(n));
        let subsets = subsets.filter(|count| *count <= self.options.subset_limit);
        let is_sampled = subsets.is_none();
        match subsets {
            Some(count) => self.pending.extend((0..count).map(Fate::Subset)),
            None => self.pending.push_back(Fate::Prefix(0)),
        }
        for op in 0..changes.len() {
            self.plan_torn(op, &log[changes[op]]);
            if is_sampled {
                self.pending.push_back(Fate::Prefix(op + 1));
            }
        }
        if is_sampled {
            let samples = (0..self.options.samples).map(|_| Fate::Sample { seed: self.random.next() });
            self.pending.extend(samples);
        }
        self.applied = 0;
        self.advanced = self.durable.fork();
        self.epoch = Some((start, changes));
    }

    /// Plans the ways in which one operation arrives in part: cut in two at a sector, or with random sectors missing.
    fn plan_torn(&mut self, op: usize, change: &Op) {
        let Some((offset, len)) = change.range() else { return };
        let end = offset + len;
        let sector = u64::from(self.options.sector);
        // Cuts lie on the device's sectors, wherever the operation begins.
        let first_cut = (offset / sector + 1) * sector;
        let cuts = if first_cut < end { (end - 1 - first_cut) / sector + 1 } else { 0 };
        let both = |cut: u64| {
            let at = first_cut + cut * sector;
            [Fate::Torn { op, part: offset..at }, Fate::Torn { op, part: at..end }]
        };
        let samples = self.options.samples as u64;
        if cuts.saturating_mul(2) <= samples {
            self.pending.extend((0..cuts).flat_map(both));
            return;
        }
        for sample in 0..samples {
            let fate = if sample % 2 == 1 && cuts < SCATTER_LIMIT {
                Fate::Scattered { op, seed: self.random.next() }
            } else {
                let [head, tail] = both(self.random.below(cuts));
                if sample % 4 == 0 { head } else { tail }
            };
            self.pending.push_back(fate);
        }
    }

    fn build(&mut self, fate: &Fate, changes: &[usize]) -> (MemDevice, String) {
        let log = self.log;
        let change = |op: usize| &log[changes[op]];
        let total = changes.len();
        match fate {
            Fate::Subset(bits) => {
                let image = self.durable.fork();
                let arrived = (0..total).filter(|op| bits >> op & 1 == 1);
                arrived.clone().for_each(|op| apply(change(op), &image));
                let arrived: Vec<_> = arrived.map(|op| changes[op]).collect();
                (image, format!("log entries {arrived:?} of {total} arrived"))
            }
            Fate::Prefix(count) => {
                self.advance(*count, changes);
                (self.advanced.fork(), format!("the first {count} of {total} changes arrived"))
            }
            Fate::Torn { op, part } => {
                self.advance(*op, changes);
                let image = self.advanced.fork();
                apply_part(change(*op), &image, part.start, part.end);
                let text =
                    format!("torn: of log entry {} bytes {part:?} arrived, and all before it", changes[*op]);
                (image, text)
            }
            Fate::Scattered { op, seed } => {
                self.advance(*op, changes);
                let image = self.advanced.fork();
                self.scatter(change(*op), &image, &mut Random::new(*seed));
                let text = format!("torn: random sectors of log entry {}, and all before it", changes[*op]);
                (image, text)
            }
            Fate::Sample { seed } => {
                let image = self.durable.fork();
                let text = self.sample(&image, changes, &mut Random::new(*seed));
                (image, text)
            }
        }
    }

    /// Applies random changes of the epoch, in their order; a few of them torn.
    fn sample(&self, image: &MemDevice, changes: &[usize], random: &mut Random) -> String {
        let scatter_limit = SCATTER_LIMIT * u64::from(self.options.sector);
        // From nearly nothing to nearly everything.
        let share = 1 + random.below(15);
        let (mut arrived, mut torn) = (Vec::new(), Vec::new());
        for &index in changes {
            if random.below(16) >= share {
                continue;
            }
            let change = &self.log[index];
            let is_small = change.range().is_some_and(|(_, len)| len < scatter_limit);
            if is_small && random.below(16) == 0 {
                self.scatter(change, image, random);
                torn.push(index);
            } else {
                apply(change, image);
                arrived.push(index);
            }
        }
        format!("log entries {arrived:?} of {} arrived, {torn:?} in part", changes.len())
    }

    /// Brings `advanced` to the first `count` operations of the epoch; fates that use it come in order.
    fn advance(&mut self, count: usize, changes: &[usize]) {
        while self.applied < count {
            apply(&self.log[changes[self.applied]], &self.advanced);
            self.applied += 1;
        }
    }

    fn scatter(&self, change: &Op, image: &MemDevice, random: &mut Random) {
        let Some((offset, len)) = change.range() else { return };
        let sector = u64::from(self.options.sector);
        let mut start = offset;
        while start < offset + len {
            let end = ((start / sector + 1) * sector).min(offset + len);
            if random.below(2) == 0 {
                apply_part(change, image, start, end);
            }
            start = end;
        }
    }

    /// The last mark before anything of the epoch could be missing.
    fn durable_mark(&self, start: usize, changes: &[usize]) -> Option<&'a str> {
        let log = self.log;
        let end = match changes.first() {
            Some(first) => *first,
            // Nothing to lose up to the next flush, or the end.
            None => (start..log.len()).find(|index| log[*index] == Op::Flush).unwrap_or(log.len()),
        };
        log[..end].iter().rev().find_map(|op| match op {
            Op::Mark(label) => Some(label.as_str()),
            _ => None,
        })
    }
}

impl<'a> Iterator for CrashStates<'a> {
    type Item = CrashState<'a>;

    fn next(&mut self) -> Option<CrashState<'a>> {
        loop {
            let (start, changes) = self.epoch.take()?;
            if let Some(fate) = self.pending.pop_front() {
                let (image, arrived) = self.build(&fate, &changes);
                let durable_mark = self.durable_mark(start, &changes);
                self.epoch = Some((start, changes));
                return Some(CrashState {
                    image,
                    durable_ops: start,
                    durable_mark,
                    description: format!("after {start} durable log entries, {arrived}"),
                });
            }
            let log = self.log;
            let flush = (start..log.len()).find(|index| log[*index] == Op::Flush)?;
            changes.iter().for_each(|index| apply(&log[*index], &self.durable));
            self.enter_epoch(flush + 1);
        }
    }
}

fn apply(op: &Op, device: &MemDevice) {
    let (start, len) = op.range().unwrap_or((0, 0));
    apply_part(op, device, start, start + len);
}

fn apply_part(op: &Op, device: &MemDevice, start: u64, end: u64) {
    let applied = op.apply_part(device, start, end);
    assert!(applied.is_ok(), "the log fits the base image: {applied:?}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Device, RecordDevice};

    const SECTOR: usize = 512;

    /// A small workload with an overlap, a zeroing, a discard, marks, and an epoch without changes.
    fn workload() -> (MemDevice, Vec<Op>) {
        let base = MemDevice::from_bytes(vec![0x11; 8 * SECTOR]);
        let device = RecordDevice::new(base.fork());
        let write = |sector: usize, count: usize, byte: u8| {
            device.write_at((sector * SECTOR) as u64, &vec![byte; count * SECTOR]).expect("write");
        };
        write(0, 2, 0xA0);
        write(1, 1, 0xA1);
        device.mark("not durable");
        device.flush().expect("flush");
        device.mark("first");
        write(2, 3, 0xB0);
        device.zero((4 * SECTOR) as u64, (2 * SECTOR) as u64).expect("zero");
        device.discard((6 * SECTOR) as u64, SECTOR as u64).expect("discard");
        device.flush().expect("flush");
        device.mark("second");
        device.flush().expect("flush");
        write(7, 1, 0xC0);
        (base, device.take_log())
    }

    /// Every image by definition: durable prefix, any subset of the epoch, or all before one operation and a cut of it.
    fn brute_force(base: &MemDevice, log: &[Op]) -> BTreeSet<(usize, Vec<u8>)> {
        let mut images = BTreeSet::new();
        let mut starts = vec![0];
        starts.extend((0..log.len()).filter(|index| log[*index] == Op::Flush).map(|index| index + 1));
        for start in starts {
            let durable = base.fork();
            log[..start].iter().for_each(|op| op.apply(&durable).expect("apply"));
            let epoch: Vec<&Op> = log[start..].iter().take_while(|op| **op != Op::Flush).collect();
            for bits in 0u32..1 << epoch.len() {
                let image = durable.fork();
                for (_, op) in epoch.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1) {
                    op.apply(&image).expect("apply");
                }
                images.insert((start, image.snapshot()));
            }
            for (i, op) in epoch.iter().enumerate() {
                let before = durable.fork();
                epoch[..i].iter().for_each(|op| op.apply(&before).expect("apply"));
                let after = before.fork();
                op.apply(&after).expect("apply");
                let (before, after) = (before.snapshot(), after.snapshot());
                let sectors = op
                    .range()
                    .map_or(0..0, |(offset, len)| offset as usize / SECTOR..(offset + len) as usize / SECTOR);
                for cut in sectors.clone().skip(1) {
                    for (arrived, rest) in [(&after, &before), (&before, &after)] {
                        // Outside the operation both are the same.
                        let image = [&arrived[..cut * SECTOR], &rest[cut * SECTOR..]].concat();
                        images.insert((start, image));
                    }
                }
            }
        }
        images
    }

    #[test]
    fn the_states_of_a_small_log_are_those_of_the_definition() {
        let (base, log) = workload();
        let expected = brute_force(&base, &log);
        let states = CrashStates::new(&base, &log, CrashOptions::default());
        let found: BTreeSet<_> = states.map(|state| (state.durable_ops, state.image.snapshot())).collect();
        assert!(found == expected, "{} states found, {} expected", found.len(), expected.len());
    }

    #[test]
    fn a_mark_counts_only_when_nothing_before_it_can_be_missing() {
        let (base, log) = workload();
        for state in CrashStates::new(&base, &log, CrashOptions::default()) {
            let expected = match state.durable_ops {
                0 => None,
                4 => Some("first"),
                _ => Some("second"),
            };
            assert_eq!(state.durable_mark, expected, "{}", state.description);
        }
    }

    #[test]
    fn long_epochs_yield_prefixes_and_the_same_samples_again() {
        let base = MemDevice::new(40 * 4096);
        let device = RecordDevice::new(base.fork());
        for i in 0..40u64 {
            device.write_at(i * 4096, &[i as u8 + 1; 4096]).expect("write");
        }
        let log = device.take_log();
        let options = CrashOptions { samples: 10, ..CrashOptions::default() };
        let images = || -> Vec<_> {
            CrashStates::new(&base, &log, options)
                .map(|state| (state.description, state.image.snapshot()))
                .collect()
        };
        let found = images();
        assert_eq!(found.len(), 41 + 40 * 10 + 10);
        assert!(found == images(), "the seed decides");
        for count in 0..=40 {
            let prefix = base.fork();
            log[..count].iter().for_each(|op| op.apply(&prefix).expect("apply"));
            let prefix = prefix.snapshot();
            assert!(found.iter().any(|(_, image)| *image == prefix), "prefix {count}");
        }
        // Every sector is old or written by the operation that covers it.
        for (description, image) in &found {
            for (sector, bytes) in image.chunks(SECTOR).enumerate() {
                let written = (sector / 8) as u8 + 1;
                let is_whole = bytes.iter().all(|byte| *byte == bytes[0]);
                assert!(is_whole && (bytes[0] == 0 || bytes[0] == written), "{description}: sector {sector}");
            }
        }
        let distinct: BTreeSet<_> = found.iter().map(|(_, image)| image).collect();
        assert!(distinct.len() > 300, "samples differ: {}", distinct.len());
    }

    #[test]
    fn an_empty_log_leaves_the_base() {
        let base = MemDevice::from_bytes(vec![3; 1000]);
        let states: Vec<_> = CrashStates::new(&base, &[], CrashOptions::default()).collect();
        assert_eq!(states.len(), 1);
        assert_eq!(states[0].image.snapshot(), [3; 1000]);
        assert_eq!((states[0].durable_ops, states[0].durable_mark), (0, None));
    }

    #[test]
    #[should_panic(expected = "the log fits the base image")]
    fn a_log_of_a_longer_device_is_refused() {
        let log = [Op::Write { offset: 0, data: vec![1; 1024] }];
        let _ = CrashStates::new(&MemDevice::new(512), &log, CrashOptions::default());
    }
}
