//! The plot: recall against queries per second, a curve for each index and mode.
//!
//! [`axes`] says where a recall and a rate lie, [`picture`] which shapes there are, and [`svg`] and [`png`] draw them.

mod axes;
mod picture;
mod png;
mod svg;

use std::fs;
use std::path::Path;

use anyhow::Context;
use vexfs_cli::Usage;

use crate::result::Bench;

/// How a plot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Svg,
    Png,
}

impl Format {
    /// That of the file `path`, by the end of its name.
    pub(crate) fn of(path: &Path) -> Result<Self, Usage> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(Usage::new("--plot: a file that ends in .svg or .png is expected")),
        }
    }
}

/// Draws `bench` into the file `path`.
pub(crate) fn write(bench: &Bench, path: &Path) -> anyhow::Result<()> {
    let shapes = picture::shapes(bench);
    let bytes = match Format::of(path)? {
        Format::Svg => svg::draw(&shapes).into_bytes(),
        Format::Png => png::draw(&shapes)?,
    };
    fs::write(path, bytes).with_context(|| path.display().to_string())
}
