//! What the tools that build indexes share: progress, interruption, and what they say of the result.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use vexfs_fs::FsError;
use vexfs_fs::index::{Built, Progress as Told};

use crate::report::{Progress, Unit};
use crate::{Interrupted, Report, Usage, WithHint, signals};

/// An index that was built, for JSON.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltIndex {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Kind and parameters, as they are asked for.
    pub spec: String,
    /// Rows that were built into it, deleted ones included.
    pub rows: u64,
    /// Parts that were written.
    pub parts: usize,
    /// Bytes of their images.
    pub bytes: u64,
    /// Time of the build and its calibration, until it was durable.
    pub seconds: f64,
    /// Of this, the calibration.
    pub calibration_seconds: f64,
}

impl BuiltIndex {
    /// What there is to say of an index that took `time`.
    pub fn new(built: &Built, time: Duration) -> Self {
        Self {
            name: built.name.clone(),
            kind: built.spec.kind.name(),
            spec: built.spec.to_string(),
            rows: built.rows(),
            parts: built.parts.len(),
            bytes: built.bytes(),
            seconds: time.as_secs_f64(),
            calibration_seconds: built.calibrating.as_secs_f64(),
        }
    }

    /// How long it took, for people.
    pub fn time(&self) -> String {
        if self.calibration_seconds > 0.0 {
            format!("{:.2} s, {:.2} s of it calibration", self.seconds, self.calibration_seconds)
        } else {
            format!("{:.2} s", self.seconds)
        }
    }
}

/// Shows the stages of a build, and stops it when a signal came.
#[derive(Debug)]
pub struct IndexProgress<'a> {
    report: &'a Report,
    stage: Mutex<Option<(&'static str, Progress)>>,
}

impl<'a> IndexProgress<'a> {
    /// The progress of one build.
    pub fn new(report: &'a Report) -> Self {
        Self { report, stage: Mutex::default() }
    }
}

impl Told for IndexProgress<'_> {
    fn step(&self, stage: &'static str, done: u64, total: u64) {
        let mut shown = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(name, _)| *name != stage) {
            // The screen is for one at a time.
            *shown = None;
            let total = Some(total).filter(|&total| total > 0);
            *shown = Some((stage, self.report.progress(stage, Unit::Count("steps"), total)));
        }
        if let Some((_, progress)) = &*shown {
            progress.set(done);
        }
    }

    fn is_interrupted(&self) -> bool {
        signals::interrupted()
    }
}

/// The error of a build in the words of a tool; `untouched` says what is left, such as `nothing was changed`.
///
/// # Errors
/// [`Interrupted`], [`Usage`] for an index that cannot be, and all others as they are.
pub fn explain<T>(result: vexfs_fs::Result<T>, untouched: &str) -> anyhow::Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(FsError::Interrupted) => Err(Interrupted::new(untouched).into()),
        Err(FsError::BadIndex(problem)) => Err(Usage::new(problem).into()),
        Err(error @ FsError::NoSpace { .. }) => {
            Err(error).hint(format!("{untouched}; make room, or use a larger device"))
        }
        Err(error) => Err(error.into()),
    }
}
