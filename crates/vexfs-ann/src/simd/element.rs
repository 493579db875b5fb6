//! Stored elements as lanes of f32.

use super::vector::Simd;

/// An element type of rows that widens to f32 exactly.
pub(crate) trait Element: Copy {
    /// Bytes of one element.
    const BYTES: usize;
    /// Eight elements.
    ///
    /// # Shape
    /// `block`: 8 · [`BYTES`](Self::BYTES) bytes or more; only those are used.
    fn widen<S: Simd>(simd: S, block: &[u8]) -> S::F32;
}

macro_rules! element {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $widen:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl Element for $name {
            const BYTES: usize = $bytes;
            #[inline(always)]
            fn widen<S: Simd>(simd: S, block: &[u8]) -> S::F32 {
                simd.$widen(block.first_chunk().expect("the caller gives eight elements"))
            }
        }
    };
}

element!(/** Stored binary32. */ F32, 4, widen_f32);
element!(/** Stored binary16. */ F16, 2, widen_f16);
element!(/** Stored bfloat16. */ BF16, 2, widen_bf16);
element!(/** Stored signed byte. */ I8, 1, widen_i8);
element!(/** Stored unsigned byte. */ U8, 1, widen_u8);

/// The last bytes of rows whose length is not a multiple of a kernel's step: what to keep of a 32-byte window.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    /// Where in the row the tail begins.
    at: usize,
    mask: [u8; 32],
}

impl Tail {
    /// The tail of rows of `row_bytes` bytes that kernels walk in steps of `step` bytes, at most 32; none if nothing
    /// is left over.
    pub(crate) fn new(row_bytes: usize, step: usize) -> Option<Self> {
        let at = row_bytes / step * step;
        let mask = std::array::from_fn(|i| if at + i < row_bytes { 0xff } else { 0 });
        (at < row_bytes).then_some(Self { at, mask })
    }

    /// The tail of the row at the start of `bytes`, followed by zeros.
    ///
    /// Reads what follows the row within `bytes`, if anything, and clears it: a full load and a mask cost less
    /// than a copy of odd length. Only the last rows of a view are copied.
    #[inline(always)]
    pub(crate) fn window(&self, bytes: &[u8]) -> [u8; 32] {
        let rest = &bytes[self.at..];
        let mut window = match rest.first_chunk::<32>() {
            Some(whole) => *whole,
            None => {
                let mut padded = [0; 32];
                padded[..rest.len()].copy_from_slice(rest);
                padded
            }
        };
        for (byte, mask) in window.iter_mut().zip(&self.mask) {
            *byte &= mask;
        }
        window
    }
}
