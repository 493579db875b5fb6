//! Names of devices: a path, `LABEL=…`, `UUID=…`, each with an optional `?offset=N`.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use uuid::Uuid;

use super::search;
use crate::Usage;
use crate::output::printable;
use crate::size::{SizeError, parse_size};

/// Which device is meant, not yet looked for.
///
/// A file that is really called `LABEL=x` is named `./LABEL=x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    source: Source,
    offset: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Path(PathBuf),
    Label(String),
    Uuid(Uuid),
}

/// Where a device is: what [`FileDevice::open`](vexfs_device::FileDevice::open) wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Block device or image file. With a spec that is a path, nothing says that it exists.
    pub path: PathBuf,
    /// Byte at which the filesystem begins.
    pub offset: u64,
}

/// Why a text names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no name.
    #[error("the name of the device is empty")]
    Empty,
    /// The offset is no number of bytes.
    #[error("the offset of the device: {0}")]
    Offset(#[from] SizeError),
    /// What follows `UUID=` is none.
    #[error("'{0}' is not a UUID, such as 0a1b2c3d-1234-5678-9abc-0123456789ab")]
    Uuid(String),
    /// The label is not UTF-8, as all labels are.
    #[error("the label is not UTF-8")]
    Label,
}

const OFFSET_KEY: &[u8] = b"?offset=";

impl DeviceSpec {
    /// Reads a specification.
    ///
    /// ```
    /// use vexfs_cli::DeviceSpec;
    /// let spec = DeviceSpec::parse("/srv/disk.img?offset=1M".as_ref())?;
    /// assert_eq!((spec.to_string().as_str(), spec.offset()), ("/srv/disk.img", 1 << 20));
    /// # Ok::<(), vexfs_cli::device::SpecError>(())
    /// ```
    ///
    /// # Errors
    /// [`SpecError`], saying what is wrong.
    pub fn parse(text: &OsStr) -> Result<Self, SpecError> {
        let bytes = text.as_bytes();
        let (name, offset) = match bytes.windows(OFFSET_KEY.len()).rposition(|window| window == OFFSET_KEY) {
            Some(at) => {
                let number = String::from_utf8_lossy(&bytes[at + OFFSET_KEY.len()..]);
                (&bytes[..at], Some(parse_size(&number)?))
            }
            None => (bytes, None),
        };
        let source = if let Some(label) = name.strip_prefix(b"LABEL=") {
            let label = std::str::from_utf8(label).map_err(|_| SpecError::Label)?;
            if label.is_empty() {
                return Err(SpecError::Empty);
            }
            Source::Label(label.to_owned())
        } else if let Some(uuid) = name.strip_prefix(b"UUID=") {
            let uuid = String::from_utf8_lossy(uuid);
            Source::Uuid(Uuid::parse_str(&uuid).map_err(|_| SpecError::Uuid(uuid.into_owned()))?)
        } else if name.is_empty() {
            return Err(SpecError::Empty);
        } else {
            Source::Path(PathBuf::from(OsString::from(OsStr::from_bytes(name))))
        };
        Ok(Self { source, offset })
    }

    /// Byte of the device at which the filesystem begins; 0 when the specification does not say.
    pub fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }

    /// The specification with an offset that was given elsewhere.
    ///
    /// # Errors
    /// [`Usage`] if it has one.
    pub fn with_offset(self, offset: u64) -> Result<Self, Usage> {
        match self.offset {
            None => Ok(Self { offset: Some(offset), ..self }),
            Some(_) => Err(Usage::new(format!("the offset of {self} is given twice"))),
        }
    }

    /// Finds the device. A path is taken as it is; a label or UUID is looked for on this machine's block devices.
    ///
    /// # Errors
    /// A label or UUID that no VexFS has, or more than one; the message lists the VexFS filesystems that were found.
    pub fn locate(&self) -> anyhow::Result<Located> {
        let path = match &self.source {
            Source::Path(path) => path.clone(),
            Source::Label(label) => search::by(self, self.offset(), |candidate| candidate.label == *label)?,
            Source::Uuid(uuid) => search::by(self, self.offset(), |candidate| candidate.uuid == *uuid)?,
        };
        Ok(Located { path, offset: self.offset() })
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Path(path) => f.write_str(&printable(&path.to_string_lossy())),
            Source::Label(label) => write!(f, "LABEL={}", printable(label)),
            Source::Uuid(uuid) => write!(f, "UUID={uuid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DeviceSpec, SpecError> {
        DeviceSpec::parse(OsStr::new(text))
    }

    #[test]
    fn each_form_is_understood() {
        let spec = |source, offset| Ok(DeviceSpec { source, offset });
        let uuid = Uuid::from_u128(0x0a1b_2c3d_1234_5678_9abc_0123_4567_89ab);
        assert_eq!(parse("/dev/sda1"), spec(Source::Path("/dev/sda1".into()), None));
        assert_eq!(parse("./LABEL=x"), spec(Source::Path("./LABEL=x".into()), None));
        assert_eq!(parse("a?b?offset=4k"), spec(Source::Path("a?b".into()), Some(4096)));
        assert_eq!(parse("LABEL=My Data"), spec(Source::Label("My Data".into()), None));
        assert_eq!(parse("UUID=0A1B2C3D-1234-5678-9abc-0123456789ab"), spec(Source::Uuid(uuid), None));
        let odd = OsStr::from_bytes(b"/srv/\xff");
        assert_eq!(DeviceSpec::parse(odd), spec(Source::Path(odd.into()), None));
    }

    #[test]
    fn what_names_no_device_is_said_to() {
        assert_eq!(parse(""), Err(SpecError::Empty));
        assert_eq!(parse("?offset=1"), Err(SpecError::Empty));
        assert_eq!(parse("LABEL="), Err(SpecError::Empty));
        assert_eq!(parse("UUID=17"), Err(SpecError::Uuid("17".into())));
        assert!(matches!(parse("img?offset=many"), Err(SpecError::Offset(_))));
        assert_eq!(DeviceSpec::parse(OsStr::from_bytes(b"LABEL=\xff")), Err(SpecError::Label));
    }

    #[test]
    fn a_path_is_not_looked_for() {
        let spec = parse("/no/such/image?offset=512").expect("parsed");
        assert_eq!(spec.locate().expect("a path"), Located { path: "/no/such/image".into(), offset: 512 });
    }
}
