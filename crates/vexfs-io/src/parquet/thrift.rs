//! The compact protocol of Thrift, in which Parquet writes its own structures.
//!
//! Only what is asked for is looked at, and nothing is built: a file cannot make this take memory, and not go deeper than
//! [`MAX_DEPTH`].

/// What is wrong with some bytes.
pub(super) type Bad = &'static str;

/// Structures within structures.
const MAX_DEPTH: u32 = 32;

const CUT: Bad = "a structure is cut short";

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bool, whose value is in its type.
    Bool(bool),
    /// One byte.
    Byte,
    /// An integer of 16, 32 or 64 bits.
    Integer,
    /// Eight bytes.
    Double,
    /// Bytes with their number.
    Binary,
    /// A list or a set.
    List,
    /// Pairs.
    Map,
    /// Fields.
    Struct,
    /// Sixteen bytes.
    Uuid,
}

impl Kind {
    fn of(code: u8) -> Result<Kind, Bad> {
        Ok(match code {
            1 => Kind::Bool(true),
            2 => Kind::Bool(false),
            3 => Kind::Byte,
            4..=6 => Kind::Integer,
            7 => Kind::Double,
            8 => Kind::Binary,
            9 | 10 => Kind::List,
            11 => Kind::Map,
            12 => Kind::Struct,
            13 => Kind::Uuid,
            _ => return Err("a structure has a field of no known type"),
        })
    }
}

/// A position in some bytes.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    depth: u32,
}

impl<'a> Thrift<'a> {
    /// Begins to read.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Thrift { bytes, depth: 0 }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Reads a structure: `field` gets the number and type of each field, and says whether it has read it.
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i16, Kind) -> Result<bool, Bad>,
    ) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("structures are nested too deep");
        }
        let mut number = 0_i16;
        loop {
            let header = self.byte()?;
            if header == 0 {
                self.depth -= 1;
                return Ok(());
            }
            number = match header >> 4 {
                0 => i16::try_from(self.integer()?).map_err(|_| "a field has an impossible number")?,
                step => number.wrapping_add(i16::from(step)),
            };
            let kind = Kind::of(header & 15)?;
            if !field(self, number, kind)? {
                self.skip(kind)?;
            }
        }
    }

    /// The number of elements of a list, and their type. Each has at least one byte.
    pub(super) fn list(&mut self) -> Result<(usize, Kind), Bad> {
        let header = self.byte()?;
        let count = match header >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| CUT)?,
            count => usize::from(count),
        };
        if count > self.left() {
            return Err("a list has more elements than there are bytes");
        }
        Ok((count, Kind::of(header & 15)?))
    }

    /// Reads a list of structures by `element`.
    pub(super) fn structures(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Bad>,
    ) -> Result<(), Bad> {
        let (count, kind) = self.list()?;
        if count > 0 && kind != Kind::Struct {
            return Err("a list has elements of the wrong type");
        }
        (0..count).try_for_each(|_| element(self))
    }

    /// An integer.
    pub(super) fn integer(&mut self) -> Result<i64, Bad> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A byte as a number.
    pub(super) fn signed_byte(&mut self) -> Result<i64, Bad> {
        self.byte().map(|byte| i64::from(byte as i8))
    }

    /// An integer that counts something.
    pub(super) fn count(&mut self) -> Result<u64, Bad> {
        u64::try_from(self.integer()?).map_err(|_| "a size is negative")
    }

    /// A string.
    pub(super) fn text(&mut self) -> Result<&'a str, Bad> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a name is not UTF-8")
    }

    fn skip(&mut self, kind: Kind) -> Result<(), Bad> {
        match kind {
            Kind::Bool(_) => Ok(()),
            Kind::Byte => self.take(1).map(drop),
            Kind::Integer => self.varint().map(drop),
            Kind::Double => self.take(8).map(drop),
            Kind::Uuid => self.take(16).map(drop),
            Kind::Binary => {
                let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
                self.take(length).map(drop)
            }
            Kind::Struct => self.structure(|_, _, _| Ok(false)),
            Kind::List => {
                let (count, kind) = self.list()?;
                self.skip_elements(count, &[kind])
            }
            Kind::Map => {
                let count = usize::try_from(self.varint()?).map_err(|_| CUT)?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                if count > self.left() {
                    return Err(CUT);
                }
                self.skip_elements(count, &[Kind::of(kinds >> 4)?, Kind::of(kinds & 15)?])
            }
        }
    }

    fn skip_elements(&mut self, count: usize, kinds: &[Kind]) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("structures are nested too deep");
        }
        for kind in (0..count).flat_map(|_| kinds) {
            // Here a bool has a byte of its own.
            self.skip(if matches!(kind, Kind::Bool(_)) { Kind::Byte } else { *kind })?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Bad> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    fn byte(&mut self) -> Result<u8, Bad> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(CUT)?;
        self.bytes = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_the_rest_is_passed_over() {
        // 1: i32 -3; 2: true; 5: list of two strings; 6: map; 20: struct { 1: binary }; stop
        let bytes =
            [0x15, 5, 0x11, 0x39, 0x28, 1, b'a', 1, b'b', 0x1b, 1, 0x53, 4, 9, 0x0c, 40, 0x18, 1, b'x', 0, 0];
        let mut seen = Vec::new();
        let mut thrift = Thrift::new(&bytes);
        let read = thrift.structure(|thrift, number, kind| {
            seen.push((number, kind));
            match number {
                1 => thrift.integer().map(|value| value == -3),
                _ => Ok(false),
            }
        });
        assert_eq!((read, thrift.left()), (Ok(()), 0));
        let numbers: Vec<i16> = seen.iter().map(|(number, _)| *number).collect();
        assert_eq!((numbers, seen[1].1), (vec![1, 2, 5, 6, 20], Kind::Bool(true)));
        for length in 0..bytes.len() {
            assert!(Thrift::new(&bytes[..length]).structure(|_, _, _| Ok(false)).is_err(), "{length}");
        }
        for nested in [0x1c, 0x19] {
            assert!(Thrift::new(&[nested; 100_000]).structure(|_, _, _| Ok(false)).is_err());
        }
    }
}
