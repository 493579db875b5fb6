//! The bytes of an undo file: [`UndoHeader`], then batches of [`UndoRecord`]s with their payloads.
//!
//! Normative page: `docs/format/undo.md`. Structures are sealed just before they are written and verified just after they
//! are read; the checksum of a record takes in that of the header, so that a record of another file is not mistaken for one of
//! this.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Magic of an undo file.
pub(super) const HEADER_MAGIC: [u8; 8] = *b"VexUndo\n";
/// Magic of a record.
pub(super) const RECORD_MAGIC: [u8; 8] = *b"VexURec\n";
/// Version of the layout.
pub(super) const VERSION: u32 = 1;
/// Bytes of the device that are saved together, aligned to their size: the largest logical sector in use, so that a torn
/// sector never reaches beyond what was saved, and the smallest block of a VexFS.
pub(super) const GRANULE: u64 = 4096;
/// Most bytes of the device in one record: what a reader has to hold in memory.
pub(super) const RECORD_BYTES: u64 = 1 << 20;
/// Batches begin on a multiple of this: appending one never rewrites a block of the file below that an earlier one is in.
pub(super) const BATCH_ALIGN: u64 = 4096;

/// The start of an undo file: which device it belongs to.
///
/// 512 bytes at byte 0, followed by zeros up to the first batch at byte 4096. Written once, before the first record, and durable
/// before anything is written to the device. Since version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UndoHeader {
    /// "VexUndo" and a line feed.
    pub magic: [u8; 8],
    /// Version of the layout: 1.
    pub version: U32,
    /// Bytes that are saved together: 4096.
    pub granule: U32,
    /// Length of the device in bytes.
    pub device_len: U64,
    /// Length in bytes that the image file had before the tool made it longer; `device_len` if it did not. At most `device_len`.
    pub original_len: U64,
    /// UUID by which the device is known after the tool's work; zeros if that is not known.
    pub uuid: [u8; 16],
    /// UUID by which it was known before; zeros if it was not known.
    pub uuid_before: [u8; 16],
    /// Name of the tool, UTF-8, padded with zeros.
    pub tool: [u8; 32],
    /// Zero.
    pub reserved: [u8; 412],
    /// CRC32C of the 508 bytes before it.
    pub checksum: U32,
}

const _: () = assert!(size_of::<UndoHeader>() == 512);

impl UndoHeader {
    /// All fields zero but those that are always the same.
    pub(super) fn empty() -> Self {
        let mut header = Self::new_zeroed();
        header.magic = HEADER_MAGIC;
        header.version = U32::new(VERSION);
        header.granule = U32::new(GRANULE as u32);
        header
    }

    /// Whether a device with the UUID `uuid` may be the one.
    pub(super) fn is_known_as(&self, uuid: &[u8; 16]) -> bool {
        self.uuid == [0; 16] || [self.uuid, self.uuid_before].contains(uuid)
    }

    /// Fills in the checksum.
    pub(super) fn seal(&mut self) {
        self.checksum = U32::new(self.computed_checksum());
    }

    pub(super) fn computed_checksum(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[..offset_of!(Self, checksum)])
    }
}

/// The start of a record.
///
/// 56 bytes. A record that covers bytes of the device ([`UndoKind::covers`]) is followed by its payload: a CRC32C for each
/// granule, as the granule is once the batch is through, and then, in a record of kind [`UndoKind::Bytes`], the bytes of the
/// granules as they were. The next record follows without a gap. Since version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UndoRecord {
    /// "VexURec" and a line feed.
    pub magic: [u8; 8],
    /// Position in the sequence of all records, from 1 on.
    pub sequence: U64,
    /// First byte on the device, a multiple of the granule; 0 in records that cover none.
    pub offset: U64,
    /// Bytes on the device, 1 to 1 MiB: whole granules, but for the last one of the device. In a commit record, the number of
    /// records in its batch before it; 0 in other records that cover no bytes.
    pub len: U64,
    /// Everything up to the record with this number had reached the device durably when this one was written.
    pub durable: U64,
    /// [`UndoKind`] as a number.
    pub kind: U32,
    /// Zero.
    pub reserved: U32,
    /// CRC32C of the payload; that of nothing, 0, if there is none.
    pub payload_checksum: U32,
    /// CRC32C of the header's checksum (4 bytes) and the 52 bytes before this field.
    pub checksum: U32,
}

const _: () = assert!(size_of::<UndoRecord>() == 56);

impl UndoRecord {
    /// Size in bytes.
    pub(super) const SIZE: u64 = size_of::<Self>() as u64;

    /// A record that covers nothing and is not sealed.
    pub(super) fn of(kind: UndoKind) -> Self {
        let mut record = Self::new_zeroed();
        record.magic = RECORD_MAGIC;
        record.kind = U32::new(kind as u32);
        record
    }

    /// Fills in the checksum; `seed` is that of the header.
    pub(super) fn seal(&mut self, seed: u32) {
        self.checksum = U32::new(self.computed_checksum(seed));
    }

    pub(super) fn computed_checksum(&self, seed: u32) -> u32 {
        let start = crc32c::crc32c(&seed.to_le_bytes());
        crc32c::crc32c_append(start, &self.as_bytes()[..offset_of!(Self, checksum)])
    }

    /// Granules that the record covers; `len` has been checked or is about to be.
    pub(super) fn granules(&self) -> u64 {
        self.len.get().div_ceil(GRANULE)
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum UndoKind {
    /// The granules held these bytes; they follow.
    Bytes = 1,
    /// The granules held zeros.
    Zeroes = 2,
    /// The granules could not be read, before or after: nothing can be put back, and their checksums say nothing.
    Unreadable = 3,
    /// The granules are overwritten once more; an earlier record has what they held.
    Again = 4,
    /// The batch is complete: from here on its overwrites may reach the device.
    Commit = 16,
    /// The tool has ended its work, and all of it has reached the device. A batch of its own.
    Finished = 17,
    /// The before-images are about to be put back. A batch of its own.
    Replaying = 18,
    /// They have been put back, durably. A batch of its own.
    Replayed = 19,
}

impl UndoKind {
    pub(super) fn from_number(number: u32) -> Option<Self> {
        [
            Self::Bytes,
            Self::Zeroes,
            Self::Unreadable,
            Self::Again,
            Self::Commit,
            Self::Finished,
            Self::Replaying,
            Self::Replayed,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }

    /// Whether records of this kind cover bytes of the device.
    pub fn covers(self) -> bool {
        matches!(self, Self::Bytes | Self::Zeroes | Self::Unreadable | Self::Again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and offset of each field of a structure, as the page has them.
    fn page(structure: &str) -> Vec<(String, usize)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/undo.md");
        let text = std::fs::read_to_string(path).expect("the page of undo files");
        let lines = text.lines().skip_while(|line| !line.starts_with(&format!("Layout of `{structure}`")));
        let rows = lines.skip(4).take_while(|line| line.starts_with('|'));
        rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[3].to_owned(), cells[1].parse().expect("an offset"))
        })
        .collect()
    }

    macro_rules! places {
        ($structure:ident: $($field:ident)*) => {
            vec![$((stringify!($field).to_owned(), offset_of!($structure, $field))),*]
        };
    }

    #[test]
    fn every_field_has_the_place_that_the_page_gives_it() {
        let header = places!(UndoHeader: magic version granule device_len original_len uuid uuid_before tool
            reserved checksum);
        assert_eq!(header, page("UndoHeader"));
        let record =
            places!(UndoRecord: magic sequence offset len durable kind reserved payload_checksum checksum);
        assert_eq!(record, page("UndoRecord"));
    }

    #[test]
    fn kinds_are_the_numbers_of_the_page() {
        let known: Vec<u32> = (0..64).filter(|&n| UndoKind::from_number(n).is_some()).collect();
        assert_eq!(known, [1, 2, 3, 4, 16, 17, 18, 19]);
        assert!((1..=4).all(|n| UndoKind::from_number(n).is_some_and(UndoKind::covers)));
        assert!(!UndoKind::Commit.covers() && !UndoKind::Finished.covers());
    }

    #[test]
    fn a_checksum_takes_in_every_byte_and_the_header() {
        let mut record = UndoRecord::of(UndoKind::Zeroes);
        record.seal(7);
        assert_ne!(record.computed_checksum(8), record.checksum.get());
        for at in 0..52 {
            let mut other = record;
            other.as_mut_bytes()[at] ^= 1;
            assert_ne!(other.computed_checksum(7), record.checksum.get(), "byte {at}");
        }
    }
}
