//! What the passes share: the volume, what was gathered so far, and the way to report.

use std::ops::ControlFlow;
use std::sync::Arc;

use vexfs_device::{Device, DeviceError};
use vexfs_format::collection::CollectionDesc;
use vexfs_format::geometry::Geometry;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, GroupNo, InodeNo};

use super::inodes::InodeTable;
use super::problem::{Fix, Problem, Severity};
use super::repair::Ledger;
use super::usage::Usage;
use super::{CheckOptions, CheckReport, DataLevel, MAX_TOLD, Observer, Progress, pass0, pass1, paths};
use crate::error::{FsError, Result};
use crate::source::BlockSource;
use crate::volume::Volume;

/// Where a group's bitmaps and inode table are, and what its descriptor says.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupInfo {
    /// The descriptor; `None` when it is damaged.
    pub(super) desc: Option<GroupDesc>,
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
}

/// A collection whose descriptor is sound.
#[derive(Clone, Debug)]
pub(super) struct CollectionInfo {
    pub(super) ino: u64,
    pub(super) desc: Arc<CollectionDesc>,
    /// Inodes of the streams that the names of the format lead to, in the order of [`STREAMS`]; 0 for none.
    pub(super) streams: [u64; STREAMS.len()],
    /// Inode of the directory of index images; 0 for none.
    pub(super) index: u64,
}

/// Names of the streams that the format defines.
pub(super) const STREAMS: [&str; 9] = {
    use vexfs_format::collection::*;
    [
        STREAM_VECTORS,
        STREAM_ROW_SUMS,
        STREAM_IDS,
        STREAM_KEYS,
        STREAM_KEY_ENDS,
        STREAM_KEY_HASHES,
        STREAM_DELETED,
        STREAM_PAYLOAD,
        STREAM_PAYLOAD_ENDS,
    ]
};

/// Problems that one round repairs, of some 400 bytes each; the next round finds what is beyond them.
const MAX_ACCEPTED: usize = 1 << 17;

/// Tells the observer, and counts.
pub(super) struct Reporter<'a> {
    observer: &'a mut dyn Observer,
    device: String,
    /// Bytes per block; 0 while that is not known.
    pub(super) block_size: u64,
    pub(super) report: CheckReport,
    /// Where a repair is wanted: what was decided. A mere check has none.
    ledger: Option<&'a mut Ledger>,
    /// Problems that are to be repaired.
    accepted: Vec<Problem>,
    /// Whether something stays as it is that was found.
    has_left: bool,
    last: Progress,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(device: &str, observer: &'a mut dyn Observer, ledger: Option<&'a mut Ledger>) -> Self {
        let last = Progress { pass: 0, done: 0, total: 1 };
        Self {
            observer,
            device: device.to_owned(),
            block_size: 0,
            report: CheckReport::default(),
            ledger,
            accepted: Vec::new(),
            has_left: false,
            last,
        }
    }

    pub(super) fn problem(&mut self, mut problem: Problem) -> Result<()> {
        problem.device.clone_from(&self.device);
        if let Some(block) = problem.place.block {
            let start = block.saturating_mul(self.block_size);
            problem.place.byte = Some(start.saturating_add(problem.place.byte.unwrap_or(0)));
        }
        let mut is_told = true;
        if problem.kind.severity > Severity::Notice {
            let count = self.report.counts.entry(problem.code()).or_default();
            *count += 1;
            self.report.worst = self.report.worst.max(Some(problem.kind.severity));
            self.report.first_block = self.report.first_block.or(problem.place.block);
            is_told = *count <= MAX_TOLD || problem.kind.severity == Severity::Loss;
        }
        match &mut self.ledger {
            None if is_told => go_on(self.observer.problem(problem)),
            None => Ok(()),
            Some(ledger) => {
                let is_notice = problem.kind.severity == Severity::Notice;
                let has_room = self.accepted.len() < MAX_ACCEPTED;
                if ledger.consider(&problem, is_told, has_room, self.observer)? {
                    self.accepted.push(problem);
                } else {
                    self.has_left |= !is_notice;
                }
                Ok(())
            }
        }
    }

    /// Takes out the problems that are to be repaired and whose repair is one of `fixes`.
    pub(super) fn take_accepted(&mut self, fixes: &[Fix]) -> Vec<Problem> {
        let (taken, rest) =
            std::mem::take(&mut self.accepted).into_iter().partition(|p| fixes.contains(&p.kind.fix));
        self.accepted = rest;
        taken
    }

    /// Leaves the problems that were to be repaired as they are.
    pub(super) fn drop_accepted(&mut self) {
        self.accepted.clear();
    }

    /// Problems that are to be repaired.
    pub(super) fn accepted(&self) -> &[Problem] {
        &self.accepted
    }

    /// Whether something that this round found stays as it is.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Whether this is not the first round of a repair.
    pub(super) fn is_again(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.is_again())
    }

    /// The decisions, where a repair is wanted.
    pub(super) fn ledger(&mut self) -> Option<&mut Ledger> {
        self.ledger.as_deref_mut()
    }

    /// Tells the observer what a repair did, or why it could not.
    pub(super) fn note(&mut self, text: impl Into<String>) -> Result<()> {
        go_on(self.observer.note(text.into()))
    }

    pub(super) fn progress(&mut self, pass: u8, done: u64, total: u64) -> Result<()> {
        self.last = Progress { pass, done, total };
        go_on(self.observer.progress(self.last))
    }

    /// Asks the observer whether to go on, where work takes long within a step.
    pub(super) fn progress_again(&mut self) -> Result<()> {
        go_on(self.observer.progress(self.last))
    }
}

pub(super) fn go_on(flow: ControlFlow<()>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(FsError::Interrupted),
    }
}

/// A check under way.
pub(super) struct Context<'a> {
    pub(super) volume: Volume,
    pub(super) geometry: Geometry,
    pub(super) data: DataLevel,
    /// Bytes of memory that work which can be cut into parts may take.
    pub(super) memory: u64,
    pub(super) reporter: Reporter<'a>,
    /// Gathered by pass 1: a group each.
    pub(super) groups: Vec<GroupInfo>,
    /// Gathered by pass 1, completed by pass 2.
    pub(super) inodes: InodeTable,
    /// Gathered by pass 1, completed by pass 2.
    pub(super) usage: Usage,
    /// Gathered by pass 1 in order of their inodes; their streams by pass 2.
    pub(super) collections: Vec<CollectionInfo>,
    /// Blocks with more than one owner; gathered by pass 1, completed by pass 2.
    pub(super) shared: pass1::Shared,
    /// Blocks that files map; counted by pass 1.
    pub(super) mapped: u64,
    pub(super) lookups: paths::Budget,
}

impl<'a> Context<'a> {
    /// Pass 0, and empty tables.
    pub(super) fn open(
        dev: Arc<dyn Device>,
        options: &CheckOptions,
        observer: &'a mut dyn Observer,
        ledger: Option<&'a mut Ledger>,
    ) -> Result<Self> {
        let mut reporter = Reporter::new(dev.name(), observer, ledger);
        let volume = pass0::run(dev, options, &mut reporter)?;
        let geometry = volume.geometry();
        Ok(Self {
            usage: Usage::new(&geometry),
            volume,
            geometry,
            data: options.data,
            memory: options.memory(),
            reporter,
            groups: Vec::new(),
            inodes: InodeTable::default(),
            collections: Vec::new(),
            shared: pass1::Shared::default(),
            mapped: 0,
            lookups: paths::Budget::default(),
        })
    }

    /// Tells the observer of a problem; the path of the object is looked for.
    pub(super) fn report(&mut self, mut problem: Problem) -> Result<()> {
        if let Some(ino) = problem.place.inode {
            problem.place.path = paths::find(self, ino);
        }
        self.reporter.problem(problem)
    }

    pub(super) fn progress(&mut self, pass: u8, done: u64, total: u64) -> Result<()> {
        self.reporter.progress(pass, done, total)
    }

    /// Asks the observer whether to go on, where work takes long within a step.
    pub(super) fn progress_again(&mut self) -> Result<()> {
        self.reporter.progress_again()
    }

    /// Reads a metadata block; the error is a reason in words.
    pub(super) fn read_block(&self, block: u64) -> Result<Arc<[u8]>, String> {
        self.volume.read_block(BlockNo(block)).map_err(|e| reason(&e))
    }

    /// Block and byte offset of the record of an inode, also where the descriptor of its group is damaged. Pass 1 has to have read
    /// the descriptors.
    pub(super) fn record_place(&self, ino: u64) -> Option<(u64, u64)> {
        let (group, index) = self.geometry.locate_inode(InodeNo(ino))?;
        let byte = index * u64::from(self.geometry.inode_size);
        let size = u64::from(self.geometry.block_size);
        Some((self.groups.get(group.get() as usize)?.inode_table + byte / size, byte % size))
    }

    /// The inode `ino`, if its record is sound.
    pub(super) fn read_inode(&self, ino: u64) -> Option<Inode> {
        let (block, offset) = self.record_place(ino)?;
        let bytes = self.volume.read_block(BlockNo(block)).ok()?;
        let record = bytes.get(offset as usize..)?;
        let (size, blocks) = (self.geometry.block_size, self.volume.blocks());
        Inode::decode(record, InodeNo(ino), size, blocks, self.volume.seed()).ok()
    }

    /// Groups that lie on the device, at least in part: a superblock may promise more.
    pub(super) fn group_count(&self) -> u64 {
        let per_group = self.geometry.blocks_per_group().saturating_mul(self.geometry.block_size.into());
        self.geometry.groups.min(self.volume.dev.len().div_ceil(per_group))
    }

    pub(super) fn group_ids(&self) -> impl Iterator<Item = GroupNo> + use<> {
        (0..self.group_count()).map(GroupNo)
    }

    pub(super) fn take_report(&mut self) -> CheckReport {
        std::mem::take(&mut self.reporter.report)
    }
}

/// Why something cannot be read, in words for a problem that says the place itself.
pub(super) fn reason(error: &FsError) -> String {
    match error {
        FsError::Device(DeviceError::Io { source, .. }) => source.to_string(),
        FsError::Device(DeviceError::OutOfRange { .. }) => "it lies behind the end of the device".to_owned(),
        FsError::Corrupt(corrupt) => corrupt.damage.to_string(),
        other => other.to_string(),
    }
}
