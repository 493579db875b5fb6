//! The footer: which columns there are, and where their pages lie.

use super::codec::Codec;
use super::schema::{self, Leaf};
use super::thrift::{Bad, Kind, Thrift};
use crate::read_at::ReadAt;

/// First and last bytes of a file.
const MAGIC: &[u8; 4] = b"PAR1";
/// The largest footer that is read, in bytes: that of some hundred thousand column chunks.
const MAX_FOOTER: u64 = 64 << 20;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Footer {
    /// The columns.
    pub(super) leaves: Vec<Leaf>,
    /// The groups of rows, in order.
    pub(super) groups: Vec<Group>,
    /// Rows of all groups.
    pub(super) rows: u64,
}

/// Some rows, column by column.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// How many rows.
    pub(super) rows: u64,
    /// A chunk for each column.
    pub(super) chunks: Vec<Chunk>,
}

/// Where the pages of a column are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// Offset of the first page.
    pub(super) start: u64,
    /// Behind the last page.
    pub(super) end: u64,
    /// How they are compressed.
    pub(super) codec: Codec,
}

impl Footer {
    /// Reads the footer of a file of `length` bytes.
    pub(super) fn read(file: &dyn ReadAt, length: u64) -> std::io::Result<Result<Footer, Bad>> {
        if length < 12 {
            return Ok(Err("is shorter than any Parquet file"));
        }
        let mut tail = [0; 8];
        file.read_exact_at(&mut tail, length - 8)?;
        let ([size, magic], _) = tail.as_chunks::<4>() else { return Ok(Err("has no end")) };
        if magic != MAGIC {
            return Ok(Err("does not end as Parquet files do: it is cut short, or encrypted"));
        }
        let size = u64::from(u32::from_le_bytes(*size));
        if size > length - 12 || size > MAX_FOOTER {
            return Ok(Err("its footer is said to be larger than the file, or than 64 MiB"));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, length - 8 - size)?;
        Ok(Footer::parse(&bytes, length))
    }

    fn parse(bytes: &[u8], length: u64) -> Result<Footer, Bad> {
        let mut footer = Footer::default();
        let mut promised = 0;
        Thrift::new(bytes).structure(|thrift, number, kind| {
            match (number, kind) {
                (2, Kind::List) => footer.leaves = schema::read(thrift)?,
                (3, Kind::Integer) => promised = thrift.count()?,
                (4, Kind::List) => thrift.structures(|thrift| {
                    footer.groups.push(group(thrift, length)?);
                    Ok(())
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        for group in &footer.groups {
            if group.chunks.len() != footer.leaves.len() {
                return Err("a group of rows has not as many columns as the schema");
            }
            footer.rows = footer.rows.checked_add(group.rows).ok_or("there are too many rows")?;
        }
        if footer.rows != promised {
            return Err("the groups have not as many rows as the file");
        }
        Ok(footer)
    }
}

fn group(thrift: &mut Thrift<'_>, length: u64) -> Result<Group, Bad> {
    let mut group = Group::default();
    thrift.structure(|thrift, number, kind| {
        match (number, kind) {
            (1, Kind::List) => thrift.structures(|thrift| {
                group.chunks.push(chunk(thrift, length)?);
                Ok(())
            })?,
            (3, Kind::Integer) => group.rows = thrift.count()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(group)
}

fn chunk(thrift: &mut Thrift<'_>, length: u64) -> Result<Chunk, Bad> {
    let (mut codec, mut size, mut data, mut dictionary) = (None, None, None, None);
    thrift.structure(|thrift, number, kind| {
        match (number, kind) {
            (1, Kind::Binary) => return Err("its columns lie in other files"),
            (8, _) => return Err("its columns are encrypted"),
            (3, Kind::Struct) => thrift.structure(|thrift, number, kind| {
                match (number, kind) {
                    (4, Kind::Integer) => codec = Some(Codec::of(thrift.integer()?)?),
                    (7, Kind::Integer) => size = Some(thrift.count()?),
                    (9, Kind::Integer) => data = Some(thrift.count()?),
                    (11, Kind::Integer) => dictionary = Some(thrift.count()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let (Some(codec), Some(size), Some(data)) = (codec, size, data) else {
        return Err("it is not said where a column lies");
    };
    // Some writers say that the dictionary lies at 0, where there is none.
    let start = dictionary.filter(|dictionary| *dictionary > 0).map_or(data, |place| place.min(data));
    match start.checked_add(size).filter(|end| *end <= length) {
        Some(end) => Ok(Chunk { start, end, codec }),
        None => Err("a column lies behind the end of the file"),
    }
}
