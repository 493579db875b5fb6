//! A volume: one filesystem on one device, opened for reading or for writing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vexfs_device::Device;
use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::geometry::Geometry;
use vexfs_format::journal::descriptor;
use vexfs_format::superblock::{self, Superblock};
use vexfs_format::{BlockNo, TxnSeq};

use crate::check::usage::Occupied;
use crate::error::{FsError, Result};
use crate::probe;
use crate::source::BlockSource;
use crate::txn::replay::{self, LogImage};

/// Metadata bytes kept in memory for reading again.
const CACHE_BYTES: usize = 16 << 20;

/// How a volume is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Whether transactions will be made. An unclean journal is then replayed onto the device; otherwise in memory.
    pub write: bool,
    /// Read the superblock from this block instead of the primary one.
    pub superblock: Option<BlockNo>,
    /// Bytes per block, where `superblock` is given and the primary cannot tell.
    pub block_size: Option<u32>,
    /// The time, nanoseconds since 1970-01-01 UTC, stamped on what is written.
    pub now_ns: u64,
}

/// What was noticed while opening; none of it prevents reading.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// The backup that was used instead of the primary superblock, and what is wrong with that.
    pub backup: Option<(BlockNo, String)>,
    /// Transactions that were replayed.
    pub replayed: u64,
    /// Why the journal could not be read; metadata is then what lies home.
    pub journal_damage: Option<String>,
}

impl OpenReport {
    /// Warnings for the person at the terminal.
    pub fn warnings(&self, device: &str) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((block, damage)) = &self.backup {
            lines.push(format!("{device}: {damage}; using the backup in block {block}; run fsck.vexfs"));
        }
        if let Some(damage) = &self.journal_damage {
            lines.push(format!("{device}: {damage}; the latest changes may be missing; run fsck.vexfs"));
        }
        lines
    }
}

/// Committed images that are not yet home.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// In the log only.
    Log(LogImage),
    /// Committed by this process.
    Bytes(Arc<[u8]>),
}

/// The journal as this process sees it.
#[derive(Clone, Debug)]
pub(crate) struct JournalState {
    pub(crate) pending: HashMap<BlockNo, Pending>,
    /// Index where the next transaction is written.
    pub(crate) head: u64,
    /// Index of the oldest log block still needed.
    pub(crate) tail: u64,
    /// Whether anything committed lies between tail and head.
    pub(crate) used: bool,
    pub(crate) next: TxnSeq,
}

impl JournalState {
    /// The state of a journal whose log was read.
    fn of_log(log: replay::Log) -> Self {
        Self {
            pending: log.images.into_iter().map(|(block, image)| (block, Pending::Log(image))).collect(),
            head: log.head,
            tail: log.tail,
            used: log.transactions > 0,
            next: log.next,
        }
    }
}

/// One filesystem.
#[derive(Debug)]
pub struct Volume {
    pub(crate) dev: Arc<dyn Device>,
    pub(crate) sb: Superblock,
    pub(crate) journal: JournalState,
    pub(crate) now_ns: u64,
    pub(crate) writable: bool,
    pub(crate) poisoned: bool,
    /// While a repair is under way: what was found to be in use, whatever the bitmaps say.
    pub(crate) occupied: Option<Occupied>,
    report: OpenReport,
    cache: Mutex<HashMap<BlockNo, Arc<[u8]>>>,
}

impl Volume {
    /// Opens the filesystem on `dev`.
    ///
    /// For reading, an unclean journal is replayed in memory, and a damaged primary superblock is replaced by a backup.
    /// For writing, the journal is replayed onto the device first; a damaged primary is an error unless the journal holds
    /// a whole one.
    ///
    /// # Errors
    /// [`FsError::NotVexfs`], [`FsError::Incompatible`], [`FsError::DeviceTooShort`], [`FsError::PrimaryDamaged`],
    /// [`FsError::JournalDamaged`], device errors.
    pub fn open(dev: Arc<dyn Device>, options: &OpenOptions) -> Result<Self> {
        let (sb, mut report) = probe::find_superblock(&*dev, options)?;
        let scanned = replay::scan(&*dev, &sb);
        // The superblock in the log is the one in force.
        if !scanned.as_ref().is_ok_and(|log| log.images.contains_key(&BlockNo(0))) {
            probe::check_length(&*dev, &sb)?;
        }
        let log = match scanned {
            Ok(log) => log,
            Err(FsError::Corrupt(damage)) if options.write => {
                return Err(FsError::JournalDamaged {
                    device: dev.name().to_owned(),
                    damage: Box::new(damage),
                });
            }
            Err(FsError::Corrupt(damage)) => {
                report.journal_damage = Some(damage.to_string());
                replay::Log { head: 1, tail: 1, next: TxnSeq(1), ..Default::default() }
            }
            Err(e) => return Err(e),
        };
        report.replayed = log.transactions;
        let journal = JournalState::of_log(log);
        let mut volume = Self {
            dev,
            sb,
            journal,
            now_ns: options.now_ns,
            writable: false,
            poisoned: false,
            occupied: None,
            report,
            cache: Mutex::default(),
        };
        if let Some(sb) = volume.superblock_in_log()? {
            probe::check_length(&*volume.dev, &sb)?;
            volume.sb = sb;
            if options.superblock.is_none() {
                volume.report.backup = None;
            }
        }
        if options.write {
            volume.make_writable()?;
        }
        Ok(volume)
    }

    /// A volume that mkfs is about to fill: `sb` is not yet on the device, the journal is empty.
    pub(crate) fn for_format(dev: Arc<dyn Device>, sb: Superblock, now_ns: u64) -> Self {
        let journal =
            JournalState { pending: HashMap::new(), head: 1, tail: 1, used: false, next: TxnSeq(1) };
        let report = OpenReport::default();
        Self {
            dev,
            sb,
            journal,
            now_ns,
            writable: true,
            poisoned: false,
            occupied: None,
            report,
            cache: Mutex::default(),
        }
    }

    /// A volume for a check, which has looked at superblock and log itself and goes on whatever it found there.
    pub(crate) fn for_check(dev: Arc<dyn Device>, sb: Superblock, log: replay::Log) -> Self {
        let report = OpenReport { replayed: log.transactions, ..OpenReport::default() };
        let journal = JournalState::of_log(log);
        Self {
            dev,
            sb,
            journal,
            now_ns: 0,
            writable: false,
            poisoned: false,
            occupied: None,
            report,
            cache: Mutex::default(),
        }
    }

    /// Lets a volume whose superblock and log a check has found to be sound be written; what is in the log goes home.
    ///
    /// # Errors
    /// [`FsError::ReadOnly`], [`FsError::Incompatible`], [`FsError::DeviceTooShort`]; device errors.
    pub(crate) fn begin_repair(&mut self, now_ns: u64) -> Result<()> {
        probe::check_length(&*self.dev, &self.sb)?;
        self.now_ns = now_ns;
        self.make_writable()
    }

    /// The superblock in the log, where it holds one: it is the one in force.
    ///
    /// # Errors
    /// Damage of the image, and measures by which the log could not have been read: those of the superblock outside it stay as
    /// they are while it holds anything.
    pub(crate) fn superblock_in_log(&self) -> Result<Option<Superblock>> {
        if !self.journal.pending.contains_key(&BlockNo(0)) {
            return Ok(None);
        }
        let block = self.read_block(BlockNo(0))?;
        let sb = Superblock::decode(&block[superblock::OFFSET..], Some(BlockNo(0)))?;
        let measures = |sb: &Superblock| {
            let (block_size, seed) = (u64::from(sb.block_size.get()), u64::from(sb.checksum_seed.get()));
            let (start, blocks) = (sb.journal_start.get(), sb.journal_blocks.get());
            [
                ("block_size", block_size),
                ("checksum_seed", seed),
                ("journal_start", start),
                ("journal_blocks", blocks),
            ]
        };
        let differing =
            measures(&sb).into_iter().zip(measures(&self.sb)).find(|(found, expected)| found != expected);
        if let Some(((name, found), _)) = differing {
            let damage =
                Damage::Field { name, found, expected: "that of the superblock outside the journal" };
            return Err(Corrupt::new(Structure::Superblock, At::Block(0), damage).into());
        }
        Ok(Some(sb))
    }

    fn make_writable(&mut self) -> Result<()> {
        let device = self.dev.name().to_owned();
        if self.dev.is_read_only() {
            return Err(FsError::ReadOnly { device });
        }
        if let Some((_, damage)) = &self.report.backup {
            return Err(FsError::PrimaryDamaged { device, damage: damage.clone() });
        }
        self.sb.features().check_writable()?;
        self.writable = true;
        if self.journal.used {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// The device.
    pub fn device(&self) -> &Arc<dyn Device> {
        &self.dev
    }

    /// What was noticed while opening.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Where everything lies.
    pub fn geometry(&self) -> Geometry {
        self.sb.geometry()
    }

    /// The time that is stamped on what is written.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Byte offset of a block on the device.
    pub fn offset(&self, block: BlockNo) -> u64 {
        block.get() * u64::from(self.sb.block_size.get())
    }

    /// Whether the journal holds transactions that are not yet home.
    pub fn is_unclean(&self) -> bool {
        self.journal.used
    }

    /// The transaction that comes next.
    pub fn next_txn(&self) -> TxnSeq {
        self.journal.next
    }

    /// Copies everything home and leaves an empty journal; to be called before a written volume is dropped.
    ///
    /// # Durability
    /// Everything committed was durable before; after a crash at any point here the journal is replayed.
    ///
    /// # Errors
    /// Device errors.
    pub fn close(mut self) -> Result<()> {
        if self.writable && !self.poisoned && self.journal.used {
            self.checkpoint()?;
        }
        Ok(())
    }

    pub(crate) fn cache_clear(&self) {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn cache_put(&self, block: BlockNo, bytes: Arc<[u8]>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_BYTES / self.sb.block_size.get() as usize {
            cache.clear();
        }
        cache.insert(block, bytes);
    }

    fn read_image(&self, home: BlockNo, image: &LogImage) -> Result<Arc<[u8]>> {
        let bytes = self.read_device(image.at)?;
        let computed = descriptor::image_checksum(self.sb.seed(), home, image.txn, &bytes);
        if computed != image.checksum {
            let damage = Damage::Checksum { stored: image.checksum, computed };
            return Err(Corrupt::new(Structure::JournalData, At::Block(image.at.get()), damage).into());
        }
        Ok(bytes)
    }

    /// The bytes of a block as they lie on the device, past journal and cache.
    pub(crate) fn read_device(&self, block: BlockNo) -> Result<Arc<[u8]>> {
        let mut bytes = vec![0; self.block_size()];
        self.dev.read_at(self.offset(block), &mut bytes)?;
        Ok(bytes.into())
    }
}

impl BlockSource for Volume {
    fn read_block(&self, block: BlockNo) -> Result<Arc<[u8]>> {
        if block.get() >= self.sb.blocks.get() {
            let damage =
                Damage::Field { name: "block", found: block.get(), expected: "a block of the device" };
            return Err(Corrupt::new(Structure::Data, At::Block(block.get()), damage).into());
        }
        match self.journal.pending.get(&block) {
            Some(Pending::Bytes(bytes)) => return Ok(bytes.clone()),
            Some(Pending::Log(image)) => return self.read_image(block, image),
            None => {}
        }
        if let Some(bytes) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&block) {
            return Ok(bytes.clone());
        }
        let bytes = self.read_device(block)?;
        self.cache_put(block, bytes.clone());
        Ok(bytes)
    }

    fn superblock(&self) -> &Superblock {
        &self.sb
    }
}
