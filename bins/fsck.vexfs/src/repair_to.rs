//! `--repair-to NEW`: a copy of the device, past what cannot be read.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, bail};
use vexfs_cli::{Interrupted, Report, Unit, WithHint, signals};
use vexfs_device::{Device, DeviceError, FileDevice, OpenOptions, Run};

/// Bytes that are read at a time.
const CHUNK: u64 = 1 << 20;
/// Bytes that are tried at a time in a chunk that cannot be read as a whole.
const PIECE: u64 = 64 << 10;
/// Bytes that are given up at a time. The system reads a device by pages, so that one bad sector makes this much unreadable;
/// and no block of a VexFS is smaller.
const UNIT: u64 = 4096;
/// Zeros of this many bytes, aligned, are left out of the copy: the block of nearly all filesystems that it may lie on.
const HOLE: usize = 4096;

/// A part of the device that cannot be read.
#[derive(Debug)]
pub(crate) struct LostRun {
    pub(crate) run: Run,
    /// The system's answer.
    pub(crate) reason: String,
}

/// Copies `device` to the image file `new`, and says what could not be read.
///
/// # Errors
/// `new` exists and is not empty; it cannot be written; the device is gone; interrupted. What was made of `new` is taken away.
pub(crate) fn copy(
    device: &FileDevice,
    new: &Path,
    report: &Report,
) -> anyhow::Result<(FileDevice, Vec<LostRun>)> {
    let name = new.display();
    let is_there = match fs::metadata(new) {
        Ok(found) if !found.is_file() => bail!("{name}: is no image file"),
        Ok(found) if found.len() > 0 => {
            return Err(anyhow::anyhow!("{name}: is not empty")).hint("name a new file");
        }
        Ok(_) => true,
        Err(_) => false,
    };
    let copy = if is_there {
        let sized = File::options().write(true).open(new).and_then(|file| file.set_len(device.len()));
        sized.with_context(|| format!("{name}: cannot be made as long as the device"))?;
        FileDevice::open(new, OpenOptions::read_write())?
    } else {
        FileDevice::create(new, device.len())?
    };
    match fill(device, &copy, report) {
        Ok(lost) => {
            for LostRun { run: Run { offset, len }, reason } in &lost {
                let device = device.name();
                report.warning(format!(
                    "{device}: {len} bytes at byte offset {offset} cannot be read ({reason}); they are zero in {name}"
                ));
            }
            Ok((copy, lost))
        }
        Err(error) => {
            let removed = copy.remove_created().map_err(anyhow::Error::from);
            let emptied = if is_there { File::create(new).map(drop).map_err(Into::into) } else { Ok(()) };
            if let Err(more) = removed.and(emptied) {
                report.warning(format!("{more:#}"));
            }
            Err(error)
        }
    }
}

fn fill(device: &FileDevice, copy: &FileDevice, report: &Report) -> anyhow::Result<Vec<LostRun>> {
    let progress = report.progress("copying", Unit::Bytes, Some(device.len()));
    let mut lost = Vec::new();
    let mut buffer = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < device.len() {
        if signals::interrupted() {
            return Err(Interrupted::new(format!("{} is as it was", device.name())).into());
        }
        let len = CHUNK.min(device.len() - at);
        let bytes = &mut buffer[..len as usize];
        read(device, at, bytes, &mut lost)?;
        write(copy, at, bytes)?;
        at += len;
        progress.set(at);
    }
    copy.flush()?;
    Ok(lost)
}

/// Reads `bytes` at `at`: at once, else in pieces, else in units; what cannot be read is zero, and added to `lost`.
fn read(device: &dyn Device, at: u64, bytes: &mut [u8], lost: &mut Vec<LostRun>) -> Result<(), DeviceError> {
    let Err(error) = device.read_at(at, bytes) else { return Ok(()) };
    if is_gone(&error) {
        return Err(error);
    }
    let len = bytes.len() as u64;
    let step = if len > PIECE { PIECE } else { UNIT };
    if len <= UNIT {
        bytes.fill(0);
        let reason = match error {
            DeviceError::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        add(lost, Run { offset: at, len }, reason);
        return Ok(());
    }
    for (bytes, n) in bytes.chunks_mut(step as usize).zip(0..) {
        read(device, at + n * step, bytes, lost)?;
    }
    Ok(())
}

/// Whether reading elsewhere will not work either.
fn is_gone(error: &DeviceError) -> bool {
    const ENXIO: i32 = 6;
    const ENODEV: i32 = 19;
    const ENOMEDIUM: i32 = 123;
    matches!(error.errno(), Some(ENXIO | ENODEV | ENOMEDIUM))
}

fn add(lost: &mut Vec<LostRun>, run: Run, reason: String) {
    match lost.last_mut() {
        Some(last) if last.run.offset + last.run.len == run.offset && last.reason == reason => {
            last.run.len += run.len;
        }
        _ => lost.push(LostRun { run, reason }),
    }
}

/// Writes what is not zero.
fn write(copy: &FileDevice, at: u64, bytes: &[u8]) -> Result<(), DeviceError> {
    let is_zero = |hole: &[u8]| hole.iter().all(|&byte| byte == 0);
    let holes: Vec<&[u8]> = bytes.chunks(HOLE).collect();
    let mut offset = at;
    for alike in holes.chunk_by(|a, b| is_zero(a) == is_zero(b)) {
        let len: usize = alike.iter().map(|hole| hole.len()).sum();
        if !is_zero(alike[0]) {
            let start = (offset - at) as usize;
            copy.write_at(offset, &bytes[start..start + len])?;
        }
        offset += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vexfs_device::{FaultDevice, MemDevice};

    #[test]
    fn bad_sectors_cost_their_page_only() {
        let image: Vec<u8> = (0..3 << 16).map(|n: u32| (n / 512 % 255) as u8 + 1).collect();
        let device = FaultDevice::new(MemDevice::from_bytes(image.clone()));
        // Two neighbours, one at the end of a piece.
        device.fail_reads(8191..8193, 5);
        device.fail_reads(65535..65536, 5);
        let mut bytes = vec![7; image.len()];
        let mut lost = Vec::new();
        read(&device, 0, &mut bytes, &mut lost).expect("it is there");
        let runs: Vec<_> = lost.iter().map(|lost| (lost.run.offset, lost.run.len)).collect();
        assert_eq!(runs, [(4096, 8192), (61440, 4096)]);
        for (at, (read, written)) in bytes.iter().zip(&image).enumerate() {
            let is_lost = runs.iter().any(|(offset, len)| (*offset..offset + len).contains(&(at as u64)));
            assert_eq!(*read, if is_lost { 0 } else { *written }, "byte {at}");
        }
    }

    #[test]
    fn a_device_that_is_gone_is_not_read_to_its_end() {
        let device = FaultDevice::new(MemDevice::new(1 << 20));
        device.fail_reads(4096..1 << 20, 19);
        let mut lost = Vec::new();
        assert!(read(&device, 0, &mut vec![0; 1 << 20], &mut lost).is_err());
        assert!(lost.is_empty());
    }
}
