//! A folder of images and input files that goes away with the test.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The folder.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// An empty folder.
    ///
    /// # Panics
    /// There is no room for temporary files.
    #[allow(clippy::new_without_default)] // it makes a folder
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path that a file called `name` has or would have.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with these bytes.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// An image of `len` zeroes that takes no room.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn image(&self, name: &str, len: u64) -> PathBuf {
        let path = self.path(name);
        File::create(&path).and_then(|file| file.set_len(len)).expect("an image");
        path
    }

    /// A `.npy` file of `values.len() / dim` rows of f32.
    ///
    /// # Panics
    /// It cannot be written, or the values do not make whole rows.
    pub fn npy(&self, name: &str, dim: usize, values: &[f32]) -> PathBuf {
        assert!(values.len().is_multiple_of(dim), "whole rows");
        let shape = format!("({}, {dim})", values.len() / dim);
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        // Magic, version, length and header make a multiple of 64 bytes, the last of which ends the line.
        header.push_str(&" ".repeat(64 - (10 + header.len() + 1) % 64));
        header.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.file(name, bytes)
    }

    /// A number that tells whether a file has changed: its length and all its bytes.
    ///
    /// # Panics
    /// The file cannot be read.
    pub fn hash(path: &Path) -> u64 {
        let mut file = File::open(path).expect("the file");
        let mut hasher = DefaultHasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut len = 0_u64;
        loop {
            let n = file.read(&mut buffer).expect("its bytes");
            if n == 0 {
                break;
            }
            len += n as u64;
            hasher.write(&buffer[..n]);
        }
        len.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_npy_header_ends_on_a_multiple_of_64_bytes() {
        let scratch = Scratch::new();
        for dim in 1..40 {
            let bytes = std::fs::read(scratch.npy("x.npy", dim, &vec![0.5; dim * 3])).expect("written");
            let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert_eq!(((10 + header) % 64, bytes[9 + header]), (0, b'\n'));
            assert_eq!(bytes.len(), 10 + header + dim * 12);
        }
    }

    #[test]
    fn a_hash_sees_a_byte_and_a_length() {
        let scratch = Scratch::new();
        let path = scratch.image("x", 3 << 20);
        let before = Scratch::hash(&path);
        scratch.image("x", (3 << 20) + 1);
        assert_ne!(Scratch::hash(&path), before);
        let mut bytes = vec![0; 3 << 20];
        bytes[2 << 20] = 1;
        scratch.file("x", bytes);
        assert_ne!(Scratch::hash(&path), before);
    }
}
