//! Pages: a header, then levels and values, compressed; taken apart one by one.

use flate2::Crc;

use super::footer::Chunk;
use super::hybrid;
use super::schema::{Leaf, Physical};
use super::thrift::{Bad, Kind, Thrift};
use crate::read_at::ReadAt;

/// Values of a page: what bounds the memory for levels, of which a few bytes may stand for any number.
const MAX_VALUES: u64 = 1 << 24;
/// Bytes that are read for a header: few first, as many as statistics may take if these do not hold it.
const HEADER_BYTES: [u64; 2] = [512, 1 << 20];

/// Values, one behind the other, without those that are missing.
#[derive(Debug)]
pub(super) enum Values {
    /// As many bytes for each.
    Fixed(Vec<u8>),
    /// A part of the bytes for each.
    Parts(Vec<u8>, Vec<(u32, u32)>),
    /// Places in the dictionary.
    Coded(Vec<u32>),
}

/// A page of values, taken apart.
#[derive(Debug)]
pub(super) struct Page {
    /// The level of definition of each value, or of what stands for it where it is missing; empty if none can be missing.
    pub(super) defs: Vec<u8>,
    /// 0 for each that begins a row; empty if all do.
    pub(super) reps: Vec<u8>,
    /// How many there are, missing ones included.
    pub(super) count: usize,
    /// Those that are there.
    pub(super) values: Values,
}

/// Reads the pages of a column of one group.
#[derive(Debug)]
pub(super) struct Pages {
    chunk: Chunk,
    at: u64,
    /// The dictionary, once its page has been read.
    pub(super) dictionary: Option<Values>,
}

/// Why a page cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something is wrong with it.
    Bad(Bad),
    /// It cannot be got.
    System(std::io::Error),
}

impl From<Bad> for Fault {
    fn from(bad: Bad) -> Self {
        Fault::Bad(bad)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Fault::Bad("a page lies behind the end of the file"),
            _ => Fault::System(error),
        }
    }
}

/// What the header of a page says.
#[derive(Debug, Default)]
struct Header {
    kind: i64,
    length: u64,
    stored: u64,
    crc: Option<u32>,
    count: u64,
    encoding: i64,
    level_encodings: [i64; 2],
    /// Bytes of repetition and definition levels, which a second version has in front and not compressed.
    levels: [u64; 2],
    is_plain: bool,
}

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_2: i64 = 3;

const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const RLE: i64 = 3;
const RLE_DICTIONARY: i64 = 8;
const SPLIT: i64 = 9;

impl Pages {
    /// Begins with the first page of a column of one group.
    pub(super) fn new(chunk: Chunk) -> Self {
        Pages { chunk, at: chunk.start, dictionary: None }
    }

    /// The next page of values, `None` behind the last; neither it nor the dictionary takes more than `memory` bytes.
    pub(super) fn next(
        &mut self,
        file: &dyn ReadAt,
        leaf: &Leaf,
        memory: usize,
    ) -> Result<Option<Page>, Fault> {
        while self.at < self.chunk.end {
            let (header, length) = self.header(file)?;
            let start = self.at + length;
            let end = start.checked_add(header.stored).filter(|end| *end <= self.chunk.end);
            let Some(end) = end else { return Err("a page is longer than its column".into()) };
            if header.stored.max(header.length) > memory as u64 || header.length > u64::from(u32::MAX) {
                return Err(
                    "a page takes more memory than is allowed; write the file with smaller pages".into()
                );
            }
            if header.count > MAX_VALUES {
                return Err("a page has more than 16777216 values; write the file with smaller pages".into());
            }
            self.at = end;
            if !matches!(header.kind, DATA | DICTIONARY | DATA_2) {
                continue;
            }
            let mut bytes = vec![0; header.stored as usize];
            file.read_exact_at(&mut bytes, start)?;
            if let Some(expected) = header.crc {
                let mut crc = Crc::new();
                crc.update(&bytes);
                if crc.sum() != expected {
                    return Err("a page is damaged: its checksum does not agree".into());
                }
            }
            if header.kind == DICTIONARY {
                self.read_dictionary(&header, bytes, leaf)?;
                continue;
            }
            return Ok(Some(self.take_apart(&header, bytes, leaf)?));
        }
        Ok(None)
    }

    /// The header of the next page, and how long it is.
    fn header(&self, file: &dyn ReadAt) -> Result<(Header, u64), Fault> {
        let mut outcome = Err("a page is cut short".into());
        for most in HEADER_BYTES {
            let length = (self.chunk.end - self.at).min(most);
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, self.at)?;
            let mut thrift = Thrift::new(&bytes);
            outcome = header(&mut thrift).map_err(Fault::Bad);
            if outcome.is_ok() || length < most {
                return outcome.map(|header| (header, (bytes.len() - thrift.left()) as u64));
            }
        }
        outcome.map(|header| (header, 0))
    }

    fn read_dictionary(&mut self, header: &Header, bytes: Vec<u8>, leaf: &Leaf) -> Result<(), Bad> {
        if self.dictionary.is_some() {
            return Err("a column has two dictionaries");
        }
        if !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY) {
            return Err("a dictionary is written in a way that is not read");
        }
        let bytes = self.chunk.codec.decompress(bytes, header.length as usize)?;
        self.dictionary = Some(plain(bytes, 0, header.count as usize, leaf.physical)?);
        Ok(())
    }

    fn take_apart(&self, header: &Header, bytes: Vec<u8>, leaf: &Leaf) -> Result<Page, Bad> {
        let (count, length) = (header.count as usize, header.length as usize);
        let maxima = [leaf.max_rep, leaf.max_def];
        let (values, mut start, levels);
        if header.kind == DATA {
            values = self.chunk.codec.decompress(bytes, length)?;
            let mut rest = &values[..];
            let mut read = [Vec::new(), Vec::new()];
            for ((levels, max), encoding) in read.iter_mut().zip(maxima).zip(header.level_encodings) {
                if max == 0 {
                    continue;
                }
                if encoding != RLE {
                    return Err("levels are written in a way that is not read");
                }
                let (size, behind) = rest.split_first_chunk::<4>().ok_or(CUT)?;
                let (packed, behind) =
                    behind.split_at_checked(u32::from_le_bytes(*size) as usize).ok_or(CUT)?;
                *levels = hybrid::decode(packed, width(max), count, |level| level as u8)?;
                rest = behind;
            }
            start = values.len() - rest.len();
            levels = read;
        } else {
            let [reps, defs] = header.levels.map(|size| size as usize);
            let before = reps.checked_add(defs).filter(|size| *size <= bytes.len().min(length));
            let before = before.ok_or(CUT)?;
            let decode = |packed: &[u8], max| match max {
                0 => Ok(Vec::new()),
                max => hybrid::decode(packed, width(max), count, |level| level as u8),
            };
            levels = [decode(&bytes[..reps], maxima[0])?, decode(&bytes[reps..before], maxima[1])?];
            (values, start) = if header.is_plain {
                (bytes, before)
            } else {
                (self.chunk.codec.decompress(bytes[before..].to_vec(), length - before)?, 0)
            };
        }
        let [reps, defs] = levels;
        if reps.iter().any(|level| *level > leaf.max_rep) || defs.iter().any(|level| *level > leaf.max_def) {
            return Err("a level is higher than the schema allows");
        }
        let present = match leaf.max_def {
            0 => count,
            max => defs.iter().filter(|level| **level == max).count(),
        };
        let values = match header.encoding {
            PLAIN => plain(values, start, present, leaf.physical)?,
            PLAIN_DICTIONARY | RLE_DICTIONARY => {
                let known = match &self.dictionary {
                    None => return Err("a dictionary is missing"),
                    Some(Values::Fixed(bytes)) => bytes.len() / leaf.width(),
                    Some(Values::Parts(_, parts)) => parts.len(),
                    Some(Values::Coded(_)) => 0,
                };
                if present == 0 {
                    Values::Coded(Vec::new())
                } else {
                    let width = *values.get(start).ok_or(CUT)?;
                    start += 1;
                    if width > 32 {
                        return Err("places in a dictionary are too wide");
                    }
                    let places = hybrid::decode(&values[start..], width.into(), present, |place| place)?;
                    if places.iter().any(|place| *place as usize >= known) {
                        return Err("a value is not in its dictionary");
                    }
                    Values::Coded(places)
                }
            }
            RLE if leaf.physical == Physical::Bool => {
                let (size, behind) = values[start..].split_first_chunk::<4>().ok_or(CUT)?;
                let packed = behind.get(..u32::from_le_bytes(*size) as usize).ok_or(CUT)?;
                Values::Fixed(hybrid::decode(packed, 1, present, |bit| bit as u8)?)
            }
            SPLIT => Values::Fixed(join(&values[start..], present, leaf.physical)?),
            _ => {
                return Err(
                    "values are written in a delta encoding, which is not read; write them plain or with a dictionary",
                );
            }
        };
        Ok(Page { defs, reps, count, values })
    }
}

const CUT: Bad = "a page is cut short";

fn header(thrift: &mut Thrift<'_>) -> Result<Header, Bad> {
    let mut header = Header { kind: -1, ..Header::default() };
    thrift.structure(|thrift, number, kind| {
        match (number, kind) {
            (1, Kind::Integer) => header.kind = thrift.integer()?,
            (2, Kind::Integer) => header.length = thrift.count()?,
            (3, Kind::Integer) => header.stored = thrift.count()?,
            (4, Kind::Integer) => header.crc = Some(thrift.integer()? as u32),
            (5 | 7 | 8, Kind::Struct) => {
                let is_second = number == 8;
                thrift.structure(|thrift, number, kind| {
                    match (number, kind, is_second) {
                        (1, Kind::Integer, _) => header.count = thrift.count()?,
                        (2, Kind::Integer, false) | (4, Kind::Integer, true) => {
                            header.encoding = thrift.integer()?;
                        }
                        (3, Kind::Integer, false) => header.level_encodings[1] = thrift.integer()?,
                        (4, Kind::Integer, false) => header.level_encodings[0] = thrift.integer()?,
                        (5, Kind::Integer, true) => header.levels[1] = thrift.count()?,
                        (6, Kind::Integer, true) => header.levels[0] = thrift.count()?,
                        (7, Kind::Bool(is_compressed), true) => header.is_plain = !is_compressed,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(header)
}

/// Bits of a level.
fn width(max: u8) -> u32 {
    u8::BITS - max.leading_zeros()
}

/// `count` values that are stored one behind the other from `start` on.
fn plain(mut bytes: Vec<u8>, start: usize, count: usize, physical: Physical) -> Result<Values, Bad> {
    match physical {
        Physical::Bool => {
            let bits = bytes.get(start..).filter(|bits| bits.len() >= count.div_ceil(8)).ok_or(CUT)?;
            Ok(Values::Fixed((0..count).map(|at| bits[at / 8] >> (at % 8) & 1).collect()))
        }
        Physical::Fixed(width) => {
            let length = count.checked_mul(width).filter(|length| *length <= bytes.len() - start);
            bytes.drain(..start);
            bytes.truncate(length.ok_or(CUT)?);
            Ok(Values::Fixed(bytes))
        }
        Physical::Bytes => {
            // Each has at least its length.
            if count > (bytes.len() - start) / 4 {
                return Err(CUT);
            }
            let (mut parts, mut at) = (Vec::with_capacity(count), start);
            for _ in 0..count {
                let length = bytes[at..].first_chunk::<4>().ok_or(CUT)?;
                let (first, length) = (at + 4, u32::from_le_bytes(*length) as usize);
                at = first.checked_add(length).filter(|end| *end <= bytes.len()).ok_or(CUT)?;
                parts.push((first as u32, length as u32));
            }
            Ok(Values::Parts(bytes, parts))
        }
    }
}

/// `count` values of which first all first bytes are stored, then all second ones, and so on.
fn join(bytes: &[u8], count: usize, physical: Physical) -> Result<Vec<u8>, Bad> {
    let Physical::Fixed(width) = physical else { return Err("values are split that have no fixed length") };
    let length = count.checked_mul(width).filter(|length| *length <= bytes.len()).ok_or(CUT)?;
    let mut joined = vec![0; length];
    for (byte, split) in bytes[..length].chunks_exact(count.max(1)).enumerate() {
        split.iter().zip(joined.iter_mut().skip(byte).step_by(width)).for_each(|(from, to)| *to = *from);
    }
    Ok(joined)
}
