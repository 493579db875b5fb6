//! Queries from a pipe or a terminal, taken as they come.
//!
//! Who writes one query and waits for its answer gets it; who writes many gets them answered together. A thread reads, so that
//! the search never waits for more input than one query.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use anyhow::Context;
use vexfs_io::{IoError, RowSource};

/// Queries that are being read.
pub(crate) struct Stream {
    receiver: Receiver<Result<Vec<u8>, IoError>>,
    thread: Option<JoinHandle<()>>,
    dim: usize,
    rows: Option<u64>,
    most: usize,
    /// An error met behind queries that were handed over first.
    failed: Option<IoError>,
}

impl Stream {
    /// Begins to read; at most `most` queries are handed over at a time.
    pub(crate) fn start(mut source: Box<dyn RowSource>, most: usize) -> anyhow::Result<Self> {
        let (dim, rows) = (source.dim(), source.rows());
        let (sender, receiver) = sync_channel(most);
        let read = move || {
            loop {
                let mut bytes = Vec::new();
                let query = match source.read_rows(&mut bytes, 1) {
                    Ok(0) => return,
                    Ok(_) => Ok(bytes),
                    Err(error) => Err(error),
                };
                let is_last = query.is_err();
                if sender.send(query).is_err() || is_last {
                    return;
                }
            }
        };
        let thread = Builder::new().name("reader".to_owned()).spawn(read).context("cannot start a thread")?;
        Ok(Self { receiver, thread: Some(thread), dim, rows, most, failed: None })
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Waits for a query and takes what came with it; `None` after the last.
    ///
    /// # Panics
    /// If the reading thread did.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, IoError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Ok(first) = self.receiver.recv() else {
            if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                resume_unwind(panic);
            }
            return Ok(None);
        };
        let mut bytes = first?;
        for query in self.receiver.try_iter().take(self.most - 1) {
            match query {
                Ok(more) => bytes.extend_from_slice(&more),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(Some(bytes))
    }
}
