//! The record of a node: what a search needs of it, side by side.
//!
//! A head of [`HEAD_BYTES`], the codes of the row, and room for as many links as the layer allows. A search reads head and codes
//! of each neighbour it meets, and the links of those few it goes on from.

use zerocopy::little_endian::{F32, F64, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::params::Params;
use crate::index::IndexError;
use crate::index::image::Section;

/// Bytes of a [`Head`].
pub(super) const HEAD_BYTES: usize = 32;

/// The beginning of a record. The row stands for x̂ᵢ = scale · uᵢ + low with the codes u; of cosine, |x̂| is 1 or 0.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    /// |x̂|² of l2; 0 otherwise.
    pub(super) square: F64,
    /// Distance between two steps.
    pub(super) scale: F32,
    /// Value of code 0.
    pub(super) low: F32,
    /// Σ uᵢ.
    pub(super) sum: U32,
    /// On layer 0 the row, counted from the image's first; on others the node on the layer below.
    pub(super) below: U32,
    /// Number of links.
    pub(super) count: U16,
    /// 0.
    pub(super) reserved: [u8; 6],
}

const _: () = assert!(size_of::<Head>() == HEAD_BYTES);

/// Where the parts of a layer's records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of codes.
    pub(super) codes: usize,
    /// Links there is room for.
    pub(super) width: usize,
}

impl Shape {
    /// Of the records on `layer`.
    pub(super) fn new(params: &Params, dim: usize, layer: usize) -> Self {
        Self { codes: params.codes.bytes(dim), width: params.width(layer) }
    }

    /// Bytes from one record to the next: a multiple of 32, as is the place of the codes.
    pub(super) fn stride(self) -> usize {
        (HEAD_BYTES + self.codes + 4 * self.width).next_multiple_of(32)
    }
}

/// The records of one layer, where they lie.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    section: Section<'a>,
    shape: Shape,
    stride: u64,
    nodes: u32,
}

impl<'a> Layer<'a> {
    /// Views `section` as records of `shape`.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] unless they are whole records, at least one and fewer than 2³¹.
    pub(super) fn new(section: Section<'a>, shape: Shape) -> Result<Self, IndexError> {
        let stride = shape.stride() as u64;
        let nodes = section.len() / stride;
        let section = section.expect_len(Some(nodes * stride))?;
        match u32::try_from(nodes) {
            Ok(nodes @ 1..=super::MAX_NODES) => Ok(Self { section, shape, stride, nodes }),
            _ => Err(IndexError::damaged(section.offset(), format!("a layer of {nodes} nodes"))),
        }
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Where the record of `node` begins in the image.
    pub(super) fn offset(&self, node: u32) -> u64 {
        self.section.offset() + u64::from(node) * self.stride
    }

    /// Head and codes of `node`.
    ///
    /// # Errors
    /// As [`Section::bytes`].
    #[inline(always)]
    pub(super) fn row(&self, node: u32) -> Result<(&'a Head, &'a [u8]), IndexError> {
        let at = u64::from(node) * self.stride;
        let bytes = self.section.bytes(at..at + (HEAD_BYTES + self.shape.codes) as u64)?;
        let (head, codes) = Head::ref_from_prefix(bytes).map_err(|_| self.short())?;
        Ok((head, codes))
    }

    /// The links of `node`, which may lead anywhere.
    ///
    /// # Errors
    /// As [`Section::bytes`]; [`IndexError::Damaged`] for more links than there is room for.
    #[inline(always)]
    pub(super) fn links(&self, node: u32) -> Result<&'a [U32], IndexError> {
        let at = u64::from(node) * self.stride;
        let bytes = self.section.bytes(at..at + self.stride)?;
        let (head, rest) = Head::ref_from_prefix(bytes).map_err(|_| self.short())?;
        let count = usize::from(head.count.get());
        if count > self.shape.width {
            return Err(IndexError::damaged(
                self.offset(node),
                format!("{count} links of {}", self.shape.width),
            ));
        }
        let links = rest.get(self.shape.codes..self.shape.codes + 4 * count).unwrap_or_default();
        <[U32]>::ref_from_bytes(links).map_err(|_| self.short())
    }

    /// Begins to read the records of `nodes` from the device, if they may well be there only.
    #[inline(always)]
    pub(super) fn expect(&self, nodes: &[u32]) {
        let range = |node: &u32| u64::from(*node) * self.stride..(u64::from(*node) + 1) * self.stride;
        // The last stands for all.
        self.section.expect(nodes.iter().rev().map(range));
    }

    /// Calls `ask` with the place of each cache line of head and codes of `node`.
    #[inline(always)]
    pub(super) fn lines(&self, node: u32, ask: impl FnMut(*const u8)) {
        let start = self.section.address(u64::from(node) * self.stride);
        (0..HEAD_BYTES + self.shape.codes).step_by(64).map(|at| start.wrapping_add(at)).for_each(ask);
    }

    /// Calls `ask` with the place of each cache line of the links of `node`.
    #[inline(always)]
    pub(super) fn link_lines(&self, node: u32, ask: impl FnMut(*const u8)) {
        let first = HEAD_BYTES + self.shape.codes;
        let start = self.section.address(u64::from(node) * self.stride);
        (first..self.stride as usize).step_by(64).map(|at| start.wrapping_add(at)).for_each(ask);
    }

    #[cold]
    fn short(&self) -> IndexError {
        IndexError::damaged(self.section.offset(), "a short record")
    }
}
