//! What is asked for, and what the trailer of an image says about its lists.

use zerocopy::little_endian::{I32, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::index::image::{Header, PARAM_BYTES};
use crate::index::{Build, IndexError, IndexSpec, Kind};
use crate::quant::{pq, rabitq};

/// Most lists of one index.
const MAX_NLIST: u64 = 1 << 24;

/// Lists for each root of the number of rows. A search reads nlist centroids and nprobe · n / nlist rows: 4 √n lists make both small
/// when some 16 lists are probed, which is what recalls of 0.95 to 0.99 take.
const LISTS_PER_ROOT: f64 = 4.0;

/// Bits of a code of product quantisation, when nobody says how many: 16 entries fit a register.
const NBITS: u32 = 4;

/// How rows are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    /// A byte per element.
    Sq8,
    /// Four bits per element.
    Sq4,
    /// A bit per element.
    Rabitq,
    /// The numbers of codewords.
    Pq(pq::Shape),
}

impl Codes {
    /// Those of `ivf`, at their numbers in an image.
    const SCALAR: [Self; 3] = [Self::Sq8, Self::Sq4, Self::Rabitq];

    /// Whether each element is a step between the smallest and the largest of its row, so that rows are compared by products.
    pub(super) fn are_steps(self) -> bool {
        matches!(self, Self::Sq8 | Self::Sq4)
    }

    /// Groups of elements of rows of `dim`, if each has a code of four bits that is looked up in a table.
    pub(super) fn fours(self, dim: usize) -> Option<usize> {
        match self {
            Self::Rabitq => Some(rabitq::groups(dim)),
            Self::Pq(shape) if shape.nbits == 4 => Some(shape.pq_m),
            _ => None,
        }
    }
}

/// What the caller wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    /// Number of lists, if given.
    nlist: Option<u32>,
    /// How rows are coded.
    pub(super) codes: Codes,
    /// Whether rows are rotated as suits their codewords.
    pub(super) opq: bool,
}

impl Wanted {
    /// Takes the parameters of `spec`, for rows of `dim` elements.
    pub(super) fn of(spec: &IndexSpec, dim: usize) -> Result<Self, IndexError> {
        let mut options = spec.options();
        let is_pq = matches!(spec.kind, Kind::Pq | Kind::IvfPq);
        let nlist = if spec.kind == Kind::Pq { Some(1) } else { options.number("nlist", 1..=MAX_NLIST)? };
        let names = [("sq8", Codes::Sq8), ("sq4", Codes::Sq4), ("rabitq", Codes::Rabitq)];
        let (mut codes, mut opq) = (Codes::Sq8, false);
        if spec.kind == Kind::Ivf {
            codes = options.choice("codes", &names)?.unwrap_or(codes);
        }
        if is_pq {
            let bits = [("4", 4), ("8", 8)];
            let nbits = options.choice("nbits", &bits)?.unwrap_or(NBITS);
            // As many bits as elements for 4 bits, twice as many for 8: with rerank, enough for a recall of 0.99.
            let usual = if nbits == 4 { dim.div_ceil(2) } else { dim.div_ceil(4) };
            let pq_m = options.number("pq_m", 1..=dim as u64)?.unwrap_or(usual as u64) as usize;
            codes = Codes::Pq(pq::Shape { dim, pq_m, nbits });
            opq = options.choice("opq", &[("0", false), ("1", true)])?.unwrap_or(opq);
        }
        options.finish(match spec.kind {
            Kind::Pq => &["pq_m", "nbits", "opq"],
            Kind::IvfPq => &["nlist", "pq_m", "nbits", "opq"],
            _ => &["nlist", "codes"],
        })?;
        Ok(Self { nlist: nlist.map(|nlist| nlist as u32), codes, opq })
    }

    /// Number of lists for `rows` rows: never more than there are rows.
    pub(super) fn nlist(&self, rows: usize) -> usize {
        let usual = (LISTS_PER_ROOT * (rows as f64).sqrt()).round() as usize;
        self.nlist.map_or(usual, |nlist| nlist as usize).min(rows).min(MAX_NLIST as usize)
    }
}

/// The parameters in a trailer.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Record {
    nlist: U32,
    exponent: I32,
    giants: U32,
    pq_m: U32,
    nbits: U32,
    codes: U32,
    opq: U32,
    groups: U32,
    reserved: [u8; PARAM_BYTES - 32],
}

/// What an image was built with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Params {
    /// Number of lists.
    pub(super) nlist: usize,
    /// Groups of lists; 0 if all are one.
    pub(super) groups: usize,
    /// Elements are multiplied by 2 to this power before anything else; 0 of cosine.
    pub(super) exponent: i32,
    /// Rows that are in no list.
    pub(super) giants: usize,
    /// How rows are coded.
    pub(super) codes: Codes,
    /// Whether rows are rotated as suits their codewords.
    pub(super) opq: bool,
}

impl Params {
    /// As bytes of a trailer.
    pub(super) fn bytes(&self) -> [u8; PARAM_BYTES] {
        let (pq_m, nbits) = match self.codes {
            Codes::Pq(shape) => (shape.pq_m as u32, shape.nbits),
            _ => (0, 0),
        };
        let codes = Codes::SCALAR.iter().position(|codes| *codes == self.codes).unwrap_or(0);
        let record = Record {
            nlist: U32::new(self.nlist as u32),
            exponent: I32::new(self.exponent),
            giants: U32::new(self.giants as u32),
            pq_m: U32::new(pq_m),
            nbits: U32::new(nbits),
            codes: U32::new(codes as u32),
            opq: U32::new(u32::from(self.opq)),
            groups: U32::new(self.groups as u32),
            reserved: [0; PARAM_BYTES - 32],
        };
        zerocopy::transmute!(record)
    }

    /// From a trailer, checked.
    pub(super) fn of(header: &Header) -> Result<Self, IndexError> {
        let record: Record = zerocopy::transmute!(header.params);
        let (nlist, giants) = (u64::from(record.nlist.get()), u64::from(record.giants.get()));
        let listed = header.indexed.checked_sub(giants);
        if listed.is_none_or(|listed| listed > 0 && nlist == 0)
            || nlist > header.indexed.min(MAX_NLIST)
            || !super::space::EXPONENTS.contains(&record.exponent.get())
        {
            return Err(IndexError::damaged(0, format!("{nlist} lists of {} rows", header.indexed)));
        }
        let groups = record.groups.get();
        if u64::from(groups) > nlist {
            return Err(IndexError::damaged(0, format!("{groups} groups of {nlist} lists")));
        }
        let codes = match header.kind {
            Kind::Pq | Kind::IvfPq => {
                let (pq_m, nbits) = (record.pq_m.get() as usize, record.nbits.get());
                let opq = record.opq.get();
                if !(1..=header.dim).contains(&pq_m) || (nbits != 4 && nbits != 8) || opq > 1 {
                    return Err(IndexError::damaged(0, format!("pq_m {pq_m}, nbits {nbits} and opq {opq}")));
                }
                Codes::Pq(pq::Shape { dim: header.dim, pq_m, nbits })
            }
            _ => {
                let codes = record.codes.get();
                let known = Codes::SCALAR.get(codes as usize).copied();
                known.ok_or_else(|| IndexError::damaged(0, format!("codes {codes}")))?
            }
        };
        Ok(Self {
            nlist: nlist as usize,
            groups: groups as usize,
            exponent: record.exponent.get(),
            giants: giants as usize,
            codes,
            opq: matches!(codes, Codes::Pq(_)) && record.opq.get() == 1,
        })
    }
}

/// Makes sure that lists can be made of the rows: of numbers.
pub(super) fn check_rows(spec: &IndexSpec, build: &Build<'_>) -> Result<(), IndexError> {
    let (dtype, metric) = (build.rows.dtype(), build.metric);
    if dtype == crate::DType::B1 || !metric.accepts(dtype) {
        return Err(IndexError::Mismatch(format!("{} cannot index {dtype} rows by {metric}", spec.kind)));
    }
    Ok(())
}
