//! [`AlignedBuf`]: owned bytes that start where vector instructions and casts to `f32` want them.

use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// Alignment in bytes of the first byte of every [`Mapping`](crate::Mapping): a cache line, and the widest vector register.
pub const MAPPING_ALIGN: usize = 64;

/// Bytes in memory whose first one lies on a multiple of [`MAPPING_ALIGN`].
#[derive(Debug)]
pub(crate) struct AlignedBuf {
    /// The bytes from `start` on; what lies before is padding. A vector's heap block does not move while nobody grows it.
    store: Vec<u8>,
    start: usize,
}

impl AlignedBuf {
    /// `len` zero bytes, or an error when there is no memory for them.
    pub(crate) fn zeroed(len: usize) -> Result<Self, TryReserveError> {
        let mut store: Vec<u8> = Vec::new();
        store.try_reserve_exact(len.saturating_add(MAPPING_ALIGN - 1))?;
        let start = padding(&store);
        store.resize(start + len, 0);
        Ok(Self { store, start })
    }

    /// Takes over `bytes`, and copies them only if they are not aligned.
    pub(crate) fn from_vec(bytes: Vec<u8>) -> Self {
        if padding(&bytes) == 0 {
            return Self { store: bytes, start: 0 };
        }
        let mut store = Vec::with_capacity(bytes.len() + MAPPING_ALIGN - 1);
        let start = padding(&store);
        store.resize(start, 0);
        store.extend_from_slice(&bytes);
        Self { store, start }
    }
}

/// Bytes from the start of `store` to the next aligned address.
fn padding(store: &[u8]) -> usize {
    let address = store.as_ptr().addr();
    address.next_multiple_of(MAPPING_ALIGN) - address
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.store[self.start..]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.store[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_keep_their_bytes() {
        for len in [0usize, 1, 63, 64, 65, 4096, 100_000] {
            let zeroed = AlignedBuf::zeroed(len).expect("memory");
            assert_eq!(zeroed.len(), len);
            assert!(zeroed.iter().all(|&byte| byte == 0));
            assert_eq!(zeroed.as_ptr().addr() % MAPPING_ALIGN, 0);

            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let taken = AlignedBuf::from_vec(bytes.clone());
            assert_eq!(*taken, *bytes);
            assert_eq!(taken.as_ptr().addr() % MAPPING_ALIGN, 0);
        }
    }

    #[test]
    fn too_much_memory_is_an_error() {
        assert!(AlignedBuf::zeroed(usize::MAX).is_err());
        assert!(AlignedBuf::zeroed(isize::MAX as usize - 100).is_err());
    }
}
