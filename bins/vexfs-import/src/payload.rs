//! Payload of the rows, read beside them.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::bail;
use vexfs_io::{IoError, PayloadReader};

/// Where the payload of the rows comes from.
pub(crate) struct Payloads {
    /// The file, for messages.
    name: String,
    reader: PayloadReader,
    /// Read, and not yet given to a row.
    ahead: VecDeque<String>,
}

impl Payloads {
    pub(crate) fn open(path: &Path) -> Result<Self, IoError> {
        Ok(Self { name: crate::shown(path), reader: PayloadReader::open(path)?, ahead: VecDeque::new() })
    }

    /// How many rows to read next, so that their payload takes about `bytes` of memory: at most `most`, and at least one, of which it
    /// then turns out whether there is a payload for it.
    pub(crate) fn rows_within(&mut self, most: usize, bytes: usize) -> Result<usize, IoError> {
        let mut size: usize = self.ahead.iter().map(String::len).sum();
        while self.ahead.len() < most && size < bytes {
            let Some(payload) = self.reader.next().transpose()? else { break };
            size += payload.len() + size_of::<String>();
            self.ahead.push_back(payload);
        }
        Ok(self.ahead.len().clamp(1, most))
    }

    /// The payload of the next `rows` rows.
    pub(crate) fn next(&mut self, rows: usize) -> anyhow::Result<Vec<String>> {
        if self.ahead.len() < rows {
            bail!("{}: has {} lines, and there are more rows than that", self.name, self.reader.delivered());
        }
        Ok(self.ahead.drain(..rows).collect())
    }

    /// Makes sure that there is no more payload than rows.
    pub(crate) fn finish(&mut self, rows: u64) -> anyhow::Result<()> {
        if !self.ahead.is_empty() || self.reader.next().transpose()?.is_some() {
            bail!("{}: has more lines than there are rows ({rows})", self.name);
        }
        Ok(())
    }
}
