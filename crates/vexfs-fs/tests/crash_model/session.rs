//! A volume and its model side by side.

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_fs::mkfs::{self, MkfsOptions};
use vexfs_fs::{OpenOptions, Result, Volume};

use super::action::Action;
use super::tree::{Node, RowsOf, Tree};

/// One thing a tool does with a device.
#[derive(Clone, Debug)]
pub enum Step {
    /// These changes in one transaction.
    Commit(Vec<Action>),
    /// These changes in a transaction that is dropped.
    Abandon(Vec<Action>),
    /// Close, which copies everything home, and open again.
    Reopen,
    /// Drop the volume without closing it, as a killed tool does, and open it again: the journal is replayed.
    Replay,
}

/// Makes a filesystem and takes steps, keeping the model of each state that was acknowledged.
pub struct Session<'a> {
    pub device: Arc<dyn Device>,
    pub volume: Option<Volume>,
    /// The model after each acknowledged commit; the first is that of the fresh filesystem.
    pub states: Vec<Tree>,
    /// Told the number of the state when it is acknowledged.
    acknowledged: Box<dyn Fn(usize) + 'a>,
    /// Whether the last error came from a commit.
    pub failed_in_commit: bool,
}

/// How the session opens volumes for writing.
pub fn open_options() -> OpenOptions {
    OpenOptions { write: true, now_ns: 1_700_000_000_000_000_000, ..Default::default() }
}

/// The tree of a fresh filesystem.
pub fn fresh(options: &MkfsOptions) -> Tree {
    let made = options.collection.iter();
    made.map(|c| (format!("/{}", c.name), Node::Rows(RowsOf::empty(c.spec.dim)))).collect()
}

impl<'a> Session<'a> {
    /// A session on `device` that has not begun.
    pub fn new(device: Arc<dyn Device>, acknowledged: impl Fn(usize) + 'a) -> Self {
        Self {
            device,
            volume: None,
            states: Vec::new(),
            acknowledged: Box::new(acknowledged),
            failed_in_commit: false,
        }
    }

    /// Formats the device and opens it.
    ///
    /// # Errors
    /// Those of the library.
    pub fn format(&mut self, options: &MkfsOptions) -> Result<()> {
        mkfs::format(self.device.clone(), options)?;
        self.acknowledge(fresh(options));
        self.open()
    }

    /// Opens the device for writing.
    ///
    /// # Errors
    /// Those of the library.
    pub fn open(&mut self) -> Result<()> {
        self.volume = None;
        self.volume = Some(Volume::open(self.device.clone(), &open_options())?);
        Ok(())
    }

    /// Takes one step.
    ///
    /// # Errors
    /// Those of the library.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        let volume = self.volume.as_mut().expect("the volume is open");
        match step {
            Step::Commit(actions) | Step::Abandon(actions) => {
                let mut tree = self.states.last().cloned().unwrap_or_default();
                let mut txn = volume.begin()?;
                for action in actions {
                    action.apply(&mut txn)?;
                    action.model(&mut tree);
                }
                if matches!(step, Step::Commit(_)) {
                    self.failed_in_commit = true;
                    txn.commit()?;
                    self.failed_in_commit = false;
                    self.acknowledge(tree);
                }
                Ok(())
            }
            Step::Reopen => {
                self.volume.take().expect("the volume is open").close()?;
                self.open()
            }
            Step::Replay => self.open(),
        }
    }

    /// Closes the volume.
    ///
    /// # Errors
    /// Those of the library.
    pub fn close(&mut self) -> Result<()> {
        self.volume.take().map_or(Ok(()), Volume::close)
    }

    /// The model after the commit that is running, or that would come next.
    pub fn after(&self, step: &Step) -> Tree {
        let mut tree = self.states.last().cloned().unwrap_or_default();
        if let Step::Commit(actions) = step {
            actions.iter().for_each(|action| action.model(&mut tree));
        }
        tree
    }

    fn acknowledge(&mut self, tree: Tree) {
        self.states.push(tree);
        (self.acknowledged)(self.states.len() - 1);
    }
}
