//! Where is measured: on the device that is named, or on an image that is made for the run and removed afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use vexfs_cli::args::DeviceArgs;
use vexfs_cli::{DeviceSpec, clock};
use vexfs_device::FileDevice;
use vexfs_format::geometry::GeometryParams;
use vexfs_fs::mkfs::{self, MkfsOptions};

use crate::args::Args;

/// Bytes of an image besides what is stored in it: journal, inode tables, and room.
const IMAGE_BYTES: u64 = 256 << 20;
/// The image per byte of rows: the rows as often as they are imported, and indexes of the size of the rows.
const PER_BYTE: u64 = 2;
/// Block size of the image.
const BLOCK_BYTES: u64 = 4096;

/// The device, for as long as the run lasts.
pub(crate) struct Place {
    pub(crate) device: DeviceArgs,
    /// Its name for people.
    pub(crate) name: String,
    /// The directory of an image of our own; it goes when this does.
    scratch: Option<tempfile::TempDir>,
}

impl Place {
    /// The device that is named, or an image with room for `rows` bytes of rows imported `imports` times, and `indexes` indexes.
    pub(crate) fn of(args: &Args, rows: u64, imports: usize, indexes: usize) -> anyhow::Result<Self> {
        if args.device.device.is_some() || (args.directory.is_none() && args.device.named()?.is_some()) {
            let located = args.device.locate()?;
            let name = located.path.display().to_string();
            return Ok(Self { device: args.device.clone(), name, scratch: None });
        }
        let parent = directory(args);
        let scratch = tempfile::Builder::new().prefix("vexfs-bench-").tempdir_in(&parent);
        let scratch = scratch.with_context(|| parent.display().to_string())?;
        let path = scratch.path().join("image");
        let bytes =
            rows.saturating_mul(PER_BYTE * (1 + imports + indexes) as u64).saturating_add(IMAGE_BYTES);
        let bytes = bytes.next_multiple_of(BLOCK_BYTES);
        let device = Arc::new(FileDevice::create(&path, bytes)?);
        let blocks = bytes / BLOCK_BYTES;
        let options = MkfsOptions {
            geometry: GeometryParams { vector_zone: true, ..GeometryParams::new(blocks, BLOCK_BYTES as u32) },
            now_ns: clock::now_ns()?,
            ..MkfsOptions::new(bytes, *b"vexfs-bench-uuid")
        };
        mkfs::format(device, &options).with_context(|| path.display().to_string())?;
        let device = DeviceArgs { device: Some(DeviceSpec::parse(path.as_os_str())?), offset: None };
        Ok(Self { device, name: path.display().to_string(), scratch: Some(scratch) })
    }

    /// Whether the image is one of our own.
    pub(crate) fn is_scratch(&self) -> bool {
        self.scratch.is_some()
    }
}

/// Where files of our own are made.
pub(crate) fn directory(args: &Args) -> PathBuf {
    args.directory.clone().unwrap_or_else(std::env::temp_dir)
}
