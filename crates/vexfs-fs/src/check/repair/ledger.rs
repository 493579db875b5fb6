//! Which problems are repaired: the one place where that is decided, and where it is remembered.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use super::super::Observer;
use super::super::context::go_on;
use super::super::problem::{Code, Fix, Preen, Problem, Severity};
use super::Mode;
use crate::error::{FsError, Result};

/// How often the repair of one problem is tried.
const MAX_TRIES: u8 = 3;
/// Problems that are remembered; 24 bytes each. More than these are reported and left.
const MAX_ENTRIES: usize = 4 << 20;

/// The decisions of a repair, over all its rounds.
#[derive(Debug)]
pub(in crate::check) struct Ledger {
    mode: Mode,
    entries: HashMap<u64, Entry>,
    round: u32,
    /// Nothing is repaired any more; what is found is left.
    is_frozen: bool,
    /// A structure was repaired: what bitmaps and counters disagree in follows from that.
    is_changed: bool,
    /// The problem that ended a preening run.
    stopped: Option<Code>,
    /// Problems beyond those that are remembered.
    beyond: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    code: Code,
    tries: u8,
    is_declined: bool,
    /// The round that found it and did not repair it; 0 for none.
    found: u32,
}

impl Ledger {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            entries: HashMap::new(),
            round: 0,
            is_frozen: false,
            is_changed: false,
            stopped: None,
            beyond: 0,
        }
    }

    pub(super) fn begin_round(&mut self) -> u32 {
        self.round += 1;
        self.beyond = 0;
        self.round
    }

    /// From here on nothing is repaired.
    pub(super) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    /// Whether this is not the first round.
    pub(in crate::check) fn is_again(&self) -> bool {
        self.round > 1
    }

    pub(super) fn stopped(&self) -> Option<Code> {
        self.stopped
    }

    /// Takes a problem into account; returns whether it is to be repaired, for which there has to be room. A problem that an earlier
    /// round has met is neither told nor asked about again.
    pub(in crate::check) fn consider(
        &mut self,
        problem: &Problem,
        is_told: bool,
        has_room: bool,
        observer: &mut dyn Observer,
    ) -> Result<bool> {
        let key = key(problem);
        let is_notice = problem.kind.severity == Severity::Notice;
        let is_consequence = self.is_changed && problem.kind.fix == Fix::Bitmaps && !self.is_frozen;
        let before = self.entries.get(&key).copied();
        if before.is_none() && is_told && !is_consequence {
            go_on(observer.problem(problem.clone()))?;
        }
        if before.is_none() && self.entries.len() >= MAX_ENTRIES {
            self.beyond += u64::from(!is_notice);
            return Ok(false);
        }
        let fresh = Entry { code: problem.code(), tries: 0, is_declined: false, found: 0 };
        let mut entry = before.unwrap_or(fresh);
        if is_notice {
            entry.is_declined = true;
            self.entries.insert(key, entry);
            return Ok(false);
        }
        entry.found = self.round;
        self.entries.insert(key, entry);
        let is_settled = problem.kind.fix == Fix::Nothing || entry.is_declined || entry.tries >= MAX_TRIES;
        if is_settled || self.is_frozen || !has_room {
            return Ok(false);
        }
        let is_accepted = is_consequence || entry.tries > 0 || self.decide(problem, observer)?;
        if is_accepted {
            entry.tries += 1;
        } else {
            entry.is_declined = true;
        }
        self.entries.insert(key, entry);
        Ok(is_accepted)
    }

    fn decide(&mut self, problem: &Problem, observer: &mut dyn Observer) -> Result<bool> {
        match (self.mode, problem.kind.preen) {
            (Mode::Yes, _) | (Mode::Preen, Preen::Fix) => Ok(true),
            (Mode::Preen, Preen::Stop) => {
                self.stopped = Some(problem.code());
                Err(FsError::Interrupted)
            }
            (Mode::Ask, _) => observer.decide(problem).ok_or(FsError::Interrupted),
        }
    }

    /// Whether the repair of a problem was tried.
    pub(super) fn is_tried(&self, problem: &Problem) -> bool {
        self.entries.get(&key(problem)).is_some_and(|entry| entry.tries > 0 || entry.is_declined)
    }

    /// Notes that the repair of these problems was made; a later round that finds one of them again knows better.
    pub(super) fn settle(&mut self, problems: &[Problem]) {
        for problem in problems {
            self.is_changed |= problem.kind.fix != Fix::Bitmaps;
            if let Some(entry) = self.entries.get_mut(&key(problem)) {
                entry.found = 0;
            }
        }
    }

    /// How many problems of each kind are left after the last round.
    pub(super) fn left(&self) -> BTreeMap<Code, u64> {
        self.count(|entry| entry.found == self.round)
    }

    /// How many problems of each kind were repaired.
    pub(super) fn repaired(&self) -> BTreeMap<Code, u64> {
        self.count(|entry| entry.found != self.round && entry.tries > 0)
    }

    fn count(&self, is_meant: impl Fn(&Entry) -> bool) -> BTreeMap<Code, u64> {
        let mut counts = BTreeMap::new();
        for entry in self.entries.values().filter(|entry| is_meant(entry)) {
            *counts.entry(entry.code).or_default() += 1;
        }
        counts
    }

    /// Whether more problems were found than are remembered.
    pub(super) fn is_full(&self) -> bool {
        self.beyond > 0
    }
}

/// What makes a problem the same one in every round: its kind and its place, not what was found there.
fn key(problem: &Problem) -> u64 {
    let mut hasher = DefaultHasher::new();
    let place = &problem.place;
    (problem.kind.code, place.block, place.blocks, place.inode, place.group, place.row).hash(&mut hasher);
    (&problem.name, problem.other).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::super::table;
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_repaired_by_the_next_round() {
        let mut ledger = Ledger::new(Mode::Yes);
        let problem = Problem::new(table::LINKS).inode(12);
        let mut told: Vec<Problem> = Vec::new();
        ledger.begin_round();
        assert!(!ledger.consider(&problem, true, false, &mut told).expect("no device"));
        assert_eq!(ledger.left().len(), 1);
        ledger.begin_round();
        assert!(ledger.consider(&problem, true, true, &mut told).expect("no device"));
        ledger.settle(&[problem]);
        assert_eq!((told.len(), ledger.left().len(), ledger.repaired().len()), (1, 0, 1));
    }
}
