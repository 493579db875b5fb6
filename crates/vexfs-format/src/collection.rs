//! Collection descriptors: what a set of vectors is, beyond the streams that hold it.
//!
//! A collection is an inode of kind collection: its blocks are directory blocks that name its streams
//! ([`STREAM_VECTORS`] and the others), and its `descriptor` block holds this structure behind a block header. Rows are
//! numbered from 0; a row keeps its number until the collection is compacted.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::codes::{DType, Metric};
use crate::error::{FormatError, Structure};
use crate::features::{COLLECTION_RO_COMPAT_PAYLOAD, Features};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, TxnSeq};

/// Collection descriptor blocks.
pub const KIND: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXCO"), structure: Structure::CollectionDescriptor };
/// Largest dimension: a row of f32 then fills 256 KiB.
pub const DIM_MAX: u32 = 65_536;

/// Stream of rows, packed without padding: row r begins at byte `r * row_bytes`.
pub const STREAM_VECTORS: &str = "vectors";
/// Stream of row checksums: four bytes for each row, see [`row_checksum`].
pub const STREAM_ROW_SUMS: &str = "crc";
/// Stream of ids, eight bytes for each row; without it the id of a row is its number.
pub const STREAM_IDS: &str = "ids";
/// Stream of keys, one behind the other, UTF-8.
pub const STREAM_KEYS: &str = "keys";
/// Stream of the ends of keys: eight bytes for each row, the first byte behind its key in [`STREAM_KEYS`].
pub const STREAM_KEY_ENDS: &str = "keys.end";
/// Stream of key hashes: eight bytes for each row, SipHash-2-4 with the superblock's `hash_key`.
pub const STREAM_KEY_HASHES: &str = "keys.hash";
/// Stream of payload: a JSON object for each row or nothing, one behind the other, UTF-8.
pub const STREAM_PAYLOAD: &str = "payload";
/// Stream of the ends of payload: eight bytes for each row, the first byte behind its payload in [`STREAM_PAYLOAD`].
pub const STREAM_PAYLOAD_ENDS: &str = "payload.end";
/// Stream of deletions: bit r set means that row r is deleted; rows past its end are not. Absent without deletions.
pub const STREAM_DELETED: &str = "deleted";

/// Bytes of the field `model`.
const MODEL_FIELD: usize = 256;
/// Longest name of a model, in bytes: a zero follows it.
pub const MODEL_MAX: usize = MODEL_FIELD - 1;

/// Bytes of an id, of a key's end and of its hash.
const ID_BYTES: u64 = 8;

/// `flags`: rows have explicit ids ([`STREAM_IDS`]).
pub const FLAG_IDS: u16 = 1;
/// `flags`: rows have keys ([`STREAM_KEYS`] and its two companions).
pub const FLAG_KEYS: u16 = 2;
/// `flags`: rows were scaled to unit length when they were imported.
pub const FLAG_NORMALIZED: u16 = 4;
/// `flags`: an import in steps is not finished; the rows from `import_first` on are its rows.
pub const FLAG_IMPORTING: u16 = 8;

/// Salt kind of row checksums ("VXRW").
pub const ROW_KIND: u32 = u32::from_le_bytes(*b"VXRW");

on_disk! {
    /// The collection descriptor, behind the block header.
    pub struct CollectionDesc [464 bytes] {
        /// Features that may be ignored when unknown.
        feature_compat: U64,
        /// Features that forbid writing to the collection when unknown.
        feature_ro_compat: U64,
        /// Features that forbid everything when unknown.
        feature_incompat: U64,
        /// Rows in the streams, deleted ones included.
        rows: U64,
        /// Rows that are not deleted.
        live_rows: U64,
        /// Least id that was never given; ids are not reused.
        next_id: U64,
        /// Grows with each change of rows or deletions; indexes say which generation they cover.
        generation: U64,
        /// Time of creation, nanoseconds since 1970-01-01 UTC.
        created_ns: U64,
        /// Dimension d of the vectors.
        dim: U32,
        /// Element type, see [`DType`].
        dtype: u8,
        /// Metric, see [`Metric`].
        metric: u8,
        /// [`FLAG_IDS`], [`FLAG_KEYS`], [`FLAG_NORMALIZED`], [`FLAG_IMPORTING`].
        flags: U16,
        /// Fingerprint of the files of the last import in steps; 0 if there was none, or it was given up.
        import_source: U64,
        /// First row of that import while it is not finished.
        import_first: U64,
        /// The model that made the vectors, `NAME` or `NAME@HASH`: UTF-8, then zeros. All zeros if nobody has said it.
        model: [u8; MODEL_FIELD],
        /// Zero; kept as found.
        reserved: [u8; 120],
    }
}

impl CollectionDesc {
    /// An empty collection. The caller guarantees `1 ..= DIM_MAX` dimensions and a metric that fits the dtype.
    pub fn new(dim: u32, dtype: DType, metric: Metric, created_ns: u64) -> Self {
        let mut desc = Self::new_zeroed();
        desc.dim = U32::new(dim);
        desc.dtype = dtype.code();
        desc.metric = metric.code();
        desc.created_ns = U64::new(created_ns);
        desc
    }

    /// Accepts the descriptor block of collection `owner`.
    ///
    /// # Errors
    /// Those of [`BlockHeader::decode`], then incompatible features, then each field.
    pub fn decode(block: &[u8], place: BlockNo, owner: InodeNo, seed: Seed) -> Result<Self, FormatError> {
        BlockHeader::decode(block, KIND, place, owner, seed)?;
        let desc =
            Self::read_from_prefix(&block[BlockHeader::SIZE..]).map(|(d, _)| d).unwrap_or(Self::new_zeroed());
        desc.features().check_readable()?;
        let bad = |name, found, expected| FormatError::from(bad_field(KIND, place, name, found, expected));
        let dim = desc.dim.get();
        if !(1..=DIM_MAX).contains(&dim) {
            return Err(bad("dim", dim.into(), "from 1 to 65536"));
        }
        let Some(dtype) = DType::from_code(desc.dtype) else {
            return Err(bad("dtype", desc.dtype.into(), "an element type that is defined"));
        };
        let Some(metric) = Metric::from_code(desc.metric) else {
            return Err(bad("metric", desc.metric.into(), "a metric that is defined"));
        };
        if !metric_fits(metric, dtype) {
            return Err(bad("metric", desc.metric.into(), "hamming for b1, and only for b1"));
        }
        if desc.flags.get() & !(FLAG_IDS | FLAG_KEYS | FLAG_NORMALIZED | FLAG_IMPORTING) != 0 {
            return Err(bad("flags", desc.flags.get().into(), "made of known bits"));
        }
        let rows = desc.rows.get();
        if rows.checked_mul(dtype.row_bytes(dim).max(ID_BYTES)).is_none_or(|bytes| bytes > i64::MAX as u64) {
            return Err(bad("rows", rows, "fewer than 2^63 bytes of rows, and of ids"));
        }
        if desc.live_rows.get() > rows {
            return Err(bad("live_rows", desc.live_rows.get(), "at most rows"));
        }
        if !desc.is_import_possible() {
            return Err(bad(
                "import_first",
                desc.import_first.get(),
                "at most rows, of files with a fingerprint",
            ));
        }
        if !desc.is_model_text() {
            return Err(bad("model", u64::from(desc.model[0]), "UTF-8 of at most 255 bytes, then zeros"));
        }
        Ok(desc)
    }

    /// Whether what is said of an import that is not finished can be.
    fn is_import_possible(&self) -> bool {
        let is_known = self.import_source.get() != 0 && self.import_first.get() <= self.rows.get();
        is_known || !self.has(FLAG_IMPORTING)
    }

    fn is_model_text(&self) -> bool {
        let (name, rest) = self.model.split_at(self.model_len());
        std::str::from_utf8(name).is_ok() && !rest.is_empty() && rest.iter().all(|byte| *byte == 0)
    }

    /// Forgets an import and a model that [`Self::decode`] would refuse: what was changed otherwise may have made them so.
    pub fn forget_impossible(&mut self) {
        if !self.is_import_possible() {
            self.end_import(0);
        }
        if !self.is_model_text() {
            self.model = [0; MODEL_FIELD];
        }
    }

    /// Says that no import is under way, and which files the last one in steps had; 0 for none.
    pub fn end_import(&mut self, source: u64) {
        self.flags = U16::new(self.flags.get() & !FLAG_IMPORTING);
        (self.import_source, self.import_first) = (U64::new(source), U64::new(0));
    }

    /// A sealed descriptor block.
    pub fn encode(
        &self,
        place: BlockNo,
        owner: InodeNo,
        txn: TxnSeq,
        block_size: usize,
        seed: Seed,
    ) -> Vec<u8> {
        let mut block = vec![0; block_size];
        block[BlockHeader::SIZE..BlockHeader::SIZE + Self::SIZE].copy_from_slice(self.as_bytes());
        BlockHeader::new(KIND, place, owner, txn).seal_into(&mut block, seed);
        block
    }

    /// The three feature sets.
    pub fn features(&self) -> Features {
        Features {
            compat: self.feature_compat.get(),
            ro_compat: self.feature_ro_compat.get(),
            incompat: self.feature_incompat.get(),
        }
    }

    /// Element type. [`Self::decode`] guarantees that it is defined.
    pub fn dtype(&self) -> DType {
        DType::from_code(self.dtype).unwrap_or(DType::F32)
    }

    /// Metric. [`Self::decode`] guarantees that it is defined.
    pub fn metric(&self) -> Metric {
        Metric::from_code(self.metric).unwrap_or(Metric::L2)
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        self.dtype().row_bytes(self.dim.get())
    }

    /// The model that made the vectors, if somebody has said it.
    pub fn model(&self) -> Option<&str> {
        let name = std::str::from_utf8(&self.model[..self.model_len()]).unwrap_or_default();
        (!name.is_empty()).then_some(name)
    }

    /// Says which model made the vectors; what is longer than [`MODEL_MAX`] is not stored.
    pub fn set_model(&mut self, name: &str) {
        self.model = [0; MODEL_FIELD];
        if let Some(field) = self.model[..MODEL_MAX].get_mut(..name.len()) {
            field.copy_from_slice(name.as_bytes());
        }
    }

    fn model_len(&self) -> usize {
        self.model.iter().position(|byte| *byte == 0).unwrap_or(MODEL_FIELD)
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags.get() & flag != 0
    }

    /// Whether rows have a payload ([`STREAM_PAYLOAD`] and [`STREAM_PAYLOAD_ENDS`]).
    pub fn has_payload(&self) -> bool {
        self.feature_ro_compat.get() & COLLECTION_RO_COMPAT_PAYLOAD != 0
    }

    /// Says that rows have a payload, or that none has.
    pub fn set_payload(&mut self, has: bool) {
        let others = self.feature_ro_compat.get() & !COLLECTION_RO_COMPAT_PAYLOAD;
        self.feature_ro_compat = U64::new(others | if has { COLLECTION_RO_COMPAT_PAYLOAD } else { 0 });
    }

    /// Sets a flag.
    pub fn set(&mut self, flag: u16) {
        self.flags = U16::new(self.flags.get() | flag);
    }
}

/// Whether a metric is defined for an element type: hamming for bits, the others for numbers.
pub const fn metric_fits(metric: Metric, dtype: DType) -> bool {
    matches!(metric, Metric::Hamming) == matches!(dtype, DType::B1)
}

/// Checksum of one row as [`STREAM_ROW_SUMS`] holds it.
///
/// It is salted with the collection's inode alone, so that a row keeps its checksum when rows move.
pub fn row_checksum(seed: Seed, collection: InodeNo, row: &[u8]) -> u32 {
    seed.sum(ROW_KIND, collection.get(), 0, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(desc: &CollectionDesc) -> Result<CollectionDesc, FormatError> {
        let block = desc.encode(BlockNo(70), InodeNo(11), TxnSeq(1), 4096, Seed(1));
        CollectionDesc::decode(&block, BlockNo(70), InodeNo(11), Seed(1))
    }

    #[test]
    fn descriptors_come_back_as_they_went() {
        let desc = CollectionDesc::new(768, DType::F32, Metric::Cosine, 5);
        assert_eq!(round(&desc), Ok(desc));
        assert_eq!(desc.row_bytes(), 3072);
        let mut named = desc;
        for (name, stored) in [("m@1", Some("m@1")), ("ü", Some("ü")), ("", None), (&"x".repeat(256), None)]
        {
            named.set_model(name);
            assert_eq!((round(&named), named.model()), (Ok(named), stored));
        }
        named.set_model(&"x".repeat(MODEL_MAX));
        assert_eq!((round(&named), named.model().map(str::len)), (Ok(named), Some(MODEL_MAX)));
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        let good = CollectionDesc::new(768, DType::F32, Metric::L2, 5);
        let changes: [fn(&mut CollectionDesc); 14] = [
            |d| d.dim = U32::new(0),
            |d| d.dim = U32::new(DIM_MAX + 1),
            |d| d.dtype = 0,
            |d| d.metric = 9,
            |d| d.metric = Metric::Hamming.code(),
            |d| d.flags = U16::new(1 << 9),
            |d| d.rows = U64::new(u64::MAX / 4),
            |d| (d.dim, d.dtype, d.rows) = (U32::new(1), DType::U8.code(), U64::new(1 << 60)),
            |d| d.live_rows = U64::new(1),
            |d| (d.flags, d.import_source, d.import_first) = (U16::new(8), U64::new(1), U64::new(1)),
            |d| d.flags = U16::new(8),
            |d| d.model[0] = 0xff,
            |d| d.model[1] = b'x',
            |d| d.model = [b'x'; MODEL_FIELD],
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut desc = good;
            change(&mut desc);
            assert!(round(&desc).is_err(), "change {n}");
            desc.forget_impossible();
            assert_eq!(round(&desc).is_ok(), n >= 9, "change {n}");
        }
    }
}
