//! What all parts of the dump share: the volume, the way out, and the damage met so far.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::output::printable;
use vexfs_cli::{Family, Located, Output, Report};
use vexfs_device::{FileDevice, OpenOptions as DeviceOptions, install_bus_error_handler};
use vexfs_format::BlockNo;
use vexfs_fs::{FsError, OpenOptions, Volume};

/// A dump under way.
///
/// Damage does not end it: [`damage`](Self::damage) is told, the rest is printed, and [`finish`](Self::finish) fails.
#[derive(Debug)]
pub(crate) struct Dump<'a> {
    pub(crate) volume: Volume,
    pub(crate) out: &'a mut Output,
    pub(crate) report: &'a Report,
    pub(crate) json: bool,
    found: Vec<String>,
}

/// A document with the damage that was met while it was put together.
#[derive(Serialize)]
struct Document<'a, T> {
    #[serde(flatten)]
    body: &'a T,
    damage: &'a [String],
}

impl<'a> Dump<'a> {
    /// Opens the filesystem for reading; `superblock` is the block of a backup to be used instead of the primary.
    ///
    /// # Errors
    /// Those of [`FileDevice::open`] and [`Volume::open`].
    pub(crate) fn open(
        located: &Located,
        superblock: Option<BlockNo>,
        out: &'a mut Output,
        report: &'a Report,
        json: bool,
    ) -> anyhow::Result<Self> {
        install_bus_error_handler(Family::Ordinary.failed().into()).context("cannot handle bus errors")?;
        let device = DeviceOptions::read_only().offset(located.offset);
        let device = Arc::new(FileDevice::open(&located.path, device)?);
        let volume = Volume::open(device, &OpenOptions { superblock, ..OpenOptions::default() })?;
        let mut dump = Self { volume, out, report, json, found: Vec::new() };
        for damage in dump.volume.report().warnings(&dump.device_name()) {
            dump.damage(damage);
        }
        Ok(dump)
    }

    /// The device as the user typed it.
    pub(crate) fn device_name(&self) -> String {
        self.volume.device().name().to_owned()
    }

    /// Says that something is damaged; the dump goes on.
    pub(crate) fn damage(&mut self, what: impl std::fmt::Display) {
        let what = what.to_string();
        self.report.warning(&what);
        self.found.push(what);
    }

    /// The value, or `None` after saying what is damaged. Only damage is survived: other errors come back.
    ///
    /// # Errors
    /// Everything but [`FsError::Corrupt`], [`FsError::BadStream`] and a device that fails in one place.
    pub(crate) fn intact<T>(&mut self, what: &str, result: Result<T, FsError>) -> anyhow::Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error @ (FsError::Corrupt(_)
                | FsError::BadStream { .. }
                | FsError::Incompatible(_)
                | FsError::Device(_)),
            ) => {
                self.damage(format!("{what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a document, with the damage met so far.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn document<T: Serialize>(&mut self, schema: Schema, body: &T) -> anyhow::Result<()> {
        Ok(write_document(self.out, schema, &Document { body, damage: &self.found })?)
    }

    /// Writes names and values, one to a line, the values under each other.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) -> anyhow::Result<()> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
        for (name, value) in fields {
            let name = format!("{name}:");
            self.out.line(format_args!("{name:width$}  {}", printable(value)))?;
        }
        Ok(())
    }

    /// Ends the dump.
    ///
    /// # Errors
    /// Damage was met.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.found.len() {
            0 => Ok(()),
            1 => bail!("{}: damage was found; all else is shown", self.device_name()),
            n => bail!("{}: damage was found in {n} places; all else is shown", self.device_name()),
        }
    }
}
