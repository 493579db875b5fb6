//! Opening the volume that the flags name, and saying what was noticed on the way.

use std::sync::Arc;

use anyhow::Context;
use vexfs_device::{FileDevice, OpenOptions as DeviceOptions, install_bus_error_handler};
use vexfs_fs::{OpenOptions, Volume};

use crate::args::DeviceArgs;
use crate::{Family, Report, clock};

/// Opens the volume for reading: nothing is written, an unclean journal is replayed in memory.
///
/// # Errors
/// Those of [`DeviceArgs::locate`], [`FileDevice::open`] and [`Volume::open`].
pub fn open_for_reading(args: &DeviceArgs, report: &Report) -> anyhow::Result<Volume> {
    open(args, report, DeviceOptions::read_only(), &OpenOptions::default())
}

/// Opens the volume for writing: an unclean journal is replayed onto the device first.
///
/// # Errors
/// As [`open_for_reading`], and [`Usage`](crate::Usage) for a SOURCE_DATE_EPOCH that is no time.
pub fn open_for_writing(args: &DeviceArgs, report: &Report) -> anyhow::Result<Volume> {
    let options = OpenOptions { write: true, now_ns: clock::now_ns()?, ..OpenOptions::default() };
    open(args, report, DeviceOptions::read_write(), &options)
}

fn open(
    args: &DeviceArgs,
    report: &Report,
    device: DeviceOptions,
    options: &OpenOptions,
) -> anyhow::Result<Volume> {
    let located = args.locate()?;
    install_bus_error_handler(Family::Ordinary.failed().into()).context("cannot handle bus errors")?;
    let device = FileDevice::open(&located.path, device.offset(located.offset))?;
    let volume = Volume::open(Arc::new(device), options)?;
    let name = located.path.display().to_string();
    for warning in volume.report().warnings(&name) {
        report.warning(warning);
    }
    match volume.report().replayed {
        0 => {}
        n if options.write => report.detail(format!("{name}: replayed {n} transactions of the journal")),
        n => report.detail(format!("{name}: was not closed; {n} transactions are read from the journal")),
    }
    Ok(volume)
}
