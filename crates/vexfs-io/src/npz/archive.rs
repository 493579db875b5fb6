//! Writing a zip archive of stored files, each of which begins with bytes that are known only at its end.
//!
//! Lengths and offsets stand in the fields of the first zip format where these hold them, so that every reader finds them, and in
//! those of zip64 otherwise (APPNOTE.TXT of PKWARE, 4.3 and 4.5.3). A file has room for its length in zip64 in any case, as those of
//! `numpy.savez` have.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::Crc;

/// Version of the format that a reader of zip64 knows: 4.5.
const VERSION: u16 = 45;
/// The version, and that the attributes are those of Unix.
const MADE_BY: u16 = 3 << 8 | VERSION;
/// A regular file that its owner writes and all read.
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// The first of January 1980, where the calendar of zip begins: the same rows make the same bytes at any time.
const DATE: u16 = 1 << 5 | 1;
/// Kind of the extra field with the numbers of zip64.
const ZIP64: u16 = 1;

/// An archive that is written from the start of `sink` on. It is one only after [`finish`](Self::finish).
pub(super) struct Archive<W> {
    sink: W,
    /// Offset of the next byte.
    at: u64,
    /// The files that are complete.
    members: Vec<Member>,
    /// The first number that goes to a field of zip64.
    limit: u64,
}

/// A file of the archive.
struct Member {
    name: &'static str,
    /// Offset of its header.
    header: u64,
    length: u64,
    crc: u32,
}

/// A file that is being written.
pub(super) struct Begun {
    name: &'static str,
    header: u64,
    /// Length of what it begins with.
    prefix: usize,
    /// Length and checksum of what follows that.
    length: u64,
    crc: Crc,
}

impl<W: Write + Seek> Archive<W> {
    /// Starts an archive.
    pub(super) fn new(sink: W) -> Self {
        Archive { sink, at: 0, members: Vec::new(), limit: u32::MAX.into() }
    }

    /// Begins the file `name` with room for `prefix` bytes, which [`end`](Self::end) brings.
    pub(super) fn begin(&mut self, name: &'static str, prefix: usize) -> io::Result<Begun> {
        let header = self.at;
        self.put(&self.header(&Member { name, header, length: 0, crc: 0 }))?;
        self.put(&vec![0; prefix])?;
        Ok(Begun { name, header, prefix, length: 0, crc: Crc::new() })
    }

    /// Appends to the file that was begun last.
    pub(super) fn append(&mut self, to: &mut Begun, bytes: &[u8]) -> io::Result<()> {
        to.crc.update(bytes);
        to.length += bytes.len() as u64;
        self.put(bytes)
    }

    /// Completes a file, which begins with `prefix`.
    ///
    /// # Panics
    /// If that has another length than the room for it.
    pub(super) fn end(&mut self, begun: Begun, prefix: &[u8]) -> io::Result<()> {
        assert_eq!(prefix.len(), begun.prefix, "the room for the first bytes");
        let mut crc = Crc::new();
        crc.update(prefix);
        crc.combine(&begun.crc);
        let length = prefix.len() as u64 + begun.length;
        let member = Member { name: begun.name, header: begun.header, length, crc: crc.sum() };
        self.sink.seek(SeekFrom::Start(member.header))?;
        self.sink.write_all(&self.header(&member))?;
        self.sink.write_all(prefix)?;
        self.sink.seek(SeekFrom::Start(self.at))?;
        self.members.push(member);
        Ok(())
    }

    /// Writes the directory of the files, flushes, and returns the sink.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let start = self.at;
        for member in std::mem::take(&mut self.members) {
            self.put(&self.entry(&member))?;
            self.members.push(member);
        }
        self.put(&self.trailer(start))?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// What stands before a file; its length does not depend on that of the file.
    fn header(&self, member: &Member) -> Vec<u8> {
        let mut header = b"PK\x03\x04".to_vec();
        self.describe(&mut header, member, &mut Vec::new());
        header.extend(20_u16.to_le_bytes());
        header.extend(member.name.as_bytes());
        for word in [ZIP64, 16] {
            header.extend(word.to_le_bytes());
        }
        for length in [member.length; 2] {
            header.extend(length.to_le_bytes());
        }
        header
    }

    /// What the directory says of a file.
    fn entry(&self, member: &Member) -> Vec<u8> {
        let mut entry = b"PK\x01\x02".to_vec();
        entry.extend(MADE_BY.to_le_bytes());
        let mut long = Vec::new();
        self.describe(&mut entry, member, &mut long);
        let offset = self.short(member.header, &mut long);
        if !long.is_empty() {
            // At most three numbers.
            let length = long.len() as u16;
            long.splice(0..0, [ZIP64, length].into_iter().flat_map(u16::to_le_bytes));
        }
        entry.extend((long.len() as u16).to_le_bytes());
        // No comment, on the first disk, no attributes of the archive.
        entry.extend([0; 6]);
        entry.extend(ATTRIBUTES.to_le_bytes());
        entry.extend(offset.to_le_bytes());
        entry.extend(member.name.as_bytes());
        entry.extend(long);
        entry
    }

    /// The fields that a header and an entry of the directory have in common; what they do not hold goes to `long`.
    fn describe(&self, out: &mut Vec<u8>, member: &Member, long: &mut Vec<u8>) {
        // No flags, stored, at midnight.
        for word in [VERSION, 0, 0, 0, DATE] {
            out.extend(word.to_le_bytes());
        }
        let length = [self.short(member.length, long), self.short(member.length, long)];
        for word in [member.crc, length[0], length[1]] {
            out.extend(word.to_le_bytes());
        }
        out.extend((member.name.len() as u16).to_le_bytes());
    }

    /// The end of the archive, whose directory reaches from `start` to here.
    fn trailer(&self, start: u64) -> Vec<u8> {
        let (files, length) = (self.members.len() as u64, self.at - start);
        let mut long = Vec::new();
        let fields = [self.short(length, &mut long), self.short(start, &mut long)];
        let mut trailer = Vec::new();
        if !long.is_empty() {
            trailer.extend(b"PK\x06\x06");
            trailer.extend(44_u64.to_le_bytes());
            for word in [MADE_BY, VERSION] {
                trailer.extend(word.to_le_bytes());
            }
            // The only disk is the first one.
            trailer.extend([0; 8]);
            for number in [files, files, length, start] {
                trailer.extend(number.to_le_bytes());
            }
            trailer.extend(b"PK\x06\x07");
            trailer.extend(0_u32.to_le_bytes());
            trailer.extend(self.at.to_le_bytes());
            trailer.extend(1_u32.to_le_bytes());
        }
        trailer.extend(b"PK\x05\x06");
        for word in [0, 0, files as u16, files as u16] {
            trailer.extend(word.to_le_bytes());
        }
        for field in fields {
            trailer.extend(field.to_le_bytes());
        }
        // No comment.
        trailer.extend([0; 2]);
        trailer
    }

    /// A number for a field of four bytes; one that is too large goes to `long`.
    fn short(&self, number: u64, long: &mut Vec<u8>) -> u32 {
        match u32::try_from(number) {
            Ok(short) if number < self.limit => short,
            _ => {
                long.extend(number.to_le_bytes());
                u32::MAX
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::*;

    fn archive(limit: u64) -> Vec<u8> {
        let mut archive = Archive { limit, ..Archive::new(Cursor::new(Vec::new())) };
        let mut begun = archive.begin("a.npy", 3).unwrap();
        archive.append(&mut begun, b"cde").unwrap();
        archive.append(&mut begun, &[7; 1000]).unwrap();
        archive.end(begun, b"xyz").unwrap();
        let begun = archive.begin("empty", 0).unwrap();
        archive.end(begun, b"").unwrap();
        let mut begun = archive.begin("b.npy", 1).unwrap();
        archive.append(&mut begun, b"2").unwrap();
        archive.end(begun, b"1").unwrap();
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn files_are_found_with_their_first_bytes_and_checksums() {
        // Every number in its first field, the offset of the directory and of the last file in zip64, lengths too, all of them.
        for limit in [u64::from(u32::MAX), 1050, 500, 0] {
            let bytes = archive(limit);
            let mut zip = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
            let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
            assert_eq!(names, ["a.npy", "empty", "b.npy"], "{limit}");
            for (name, expected) in [
                ("a.npy", [&b"xyzcde"[..], &[7; 1000]].concat()),
                ("empty", vec![]),
                ("b.npy", b"12".to_vec()),
            ] {
                let mut content = Vec::new();
                // The reader compares the checksum.
                zip.by_name(name).unwrap().read_to_end(&mut content).unwrap();
                assert!(content == expected, "{limit}: {name}");
            }
            let has_zip64 = bytes.windows(4).any(|bytes| bytes == b"PK\x06\x07");
            assert_eq!(has_zip64, limit != u64::from(u32::MAX), "{limit}");
        }
        assert_eq!(archive(0), archive(0), "nothing depends on the time");
    }
}
