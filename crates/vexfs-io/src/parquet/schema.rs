//! What the columns of a file hold.

use super::thrift::{Bad, Kind, Thrift};
use crate::element::ElementType;

/// Groups within groups.
const MAX_DEPTH: usize = 32;
/// Columns of a file.
const MAX_LEAVES: usize = 1 << 16;

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    /// A bit each.
    Bool,
    /// So many bytes each.
    Fixed(usize),
    /// A length of four bytes and so many bytes.
    Bytes,
}

/// What values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// True or false.
    Bool,
    /// A number; stored wider where the format has no such type.
    Number(ElementType),
    /// UTF-8.
    Text,
    /// JSON.
    Json,
    /// Days since 1970-01-01.
    Date,
    /// Time since 1970-01-01 in so many parts of a second; in UTC or not.
    Timestamp(u32, bool),
    /// Nanoseconds of a day, and the Julian day.
    Int96,
    /// A whole number with so many digits behind the point.
    Decimal(u32),
    /// Sixteen bytes.
    Uuid,
    /// Something else.
    Other,
}

/// A column: a leaf of the tree of types.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The name at the top of the tree.
    pub(super) name: String,
    /// How its values are stored.
    pub(super) physical: Physical,
    /// What they mean.
    pub(super) meaning: Meaning,
    /// The definition level of a value that is there.
    pub(super) max_def: u8,
    /// Lists within lists.
    pub(super) max_rep: u8,
    /// Whether it is the only leaf below its top, and so few groups below that it is a value or a list of values.
    pub(super) is_plain: bool,
    /// Whether a decimal is stored as an integer; others have their highest byte first.
    pub(super) is_little_decimal: bool,
}

impl Leaf {
    /// The type of its components if it holds a list of numbers in each row.
    pub(super) fn vector(&self) -> Option<ElementType> {
        self.number().filter(|_| self.max_rep == 1)
    }

    /// The type if it holds a number, or a list of them, in each row.
    pub(super) fn number(&self) -> Option<ElementType> {
        match self.meaning {
            Meaning::Number(element) if self.is_plain => Some(element),
            _ => None,
        }
    }

    /// Bytes of a value of fixed length, as [`Values::Fixed`](super::page::Values) has them; 1 for others.
    pub(super) fn width(&self) -> usize {
        match self.physical {
            Physical::Fixed(width) => width,
            Physical::Bool | Physical::Bytes => 1,
        }
    }

    /// Whether it holds one value in each row, of a type that JSON has.
    pub(super) fn is_scalar(&self) -> bool {
        self.is_plain && self.max_rep == 0 && self.meaning != Meaning::Other
    }
}

/// An element of the list in which the tree is written, top first.
#[derive(Debug, Default)]
struct Element<'a> {
    name: &'a str,
    physical: Option<i64>,
    length: i64,
    repetition: Option<i64>,
    children: u64,
    converted: Option<i64>,
    scale: i64,
    logical: Option<Logical>,
}

/// The annotations that matter.
#[derive(Debug, Clone, Copy)]
enum Logical {
    Text,
    Json,
    Date,
    Timestamp(u32, bool),
    Decimal(i64),
    Integer(i64, bool),
    Uuid,
    Float16,
    Other,
}

/// Reads the tree and returns its leaves.
pub(super) fn read(thrift: &mut Thrift<'_>) -> Result<Vec<Leaf>, Bad> {
    let mut elements = Vec::new();
    thrift.structures(|thrift| {
        elements.push(element(thrift)?);
        Ok(())
    })?;
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut elements = elements.into_iter();
    let root = elements.next().ok_or("there is no schema")?;
    // Children that are missing below each group that is open, its levels, and the leaves there were before it.
    let mut open = vec![(root.children, 0_u8, 0_u8)];
    let (mut top, mut top_leaves) = (String::new(), 0);
    for element in elements {
        while open.last().is_some_and(|(missing, ..)| *missing == 0) {
            open.pop();
        }
        let depth = open.len();
        let Some((missing, def, rep)) = open.last_mut() else { return Err("the schema has two roots") };
        *missing -= 1;
        let (def, rep) = match element.repetition {
            Some(0) => (*def, *rep),
            Some(1) => (*def + 1, *rep),
            Some(2) => (*def + 1, *rep + 1),
            _ => return Err("a column is neither required nor optional nor repeated"),
        };
        if depth == 1 {
            top = element.name.to_owned();
            top_leaves = leaves.len();
        }
        if element.children > 0 {
            if depth > MAX_DEPTH {
                return Err("columns are nested too deep");
            }
            open.push((element.children, def, rep));
            continue;
        }
        if leaves.len() == MAX_LEAVES {
            return Err("there are more than 65536 columns");
        }
        for sibling in &mut leaves[top_leaves..] {
            sibling.is_plain = false;
        }
        let (physical, meaning) = types(&element)?;
        // A list is a group, a repeated group in it, and the element in that.
        let is_plain = leaves.len() == top_leaves && (depth == 1 || (depth <= 3 && rep == 1));
        let is_little_decimal = matches!(element.physical, Some(1 | 2));
        let (name, max_def, max_rep) = (top.clone(), def, rep);
        leaves.push(Leaf { name, physical, meaning, max_def, max_rep, is_plain, is_little_decimal });
    }
    if open.iter().any(|(missing, ..)| *missing > 0) {
        return Err("the schema lacks columns");
    }
    Ok(leaves)
}

fn element<'a>(thrift: &mut Thrift<'a>) -> Result<Element<'a>, Bad> {
    let mut element = Element::default();
    thrift.structure(|thrift, number, kind| {
        match (number, kind) {
            (1, Kind::Integer) => element.physical = Some(thrift.integer()?),
            (2, Kind::Integer) => element.length = thrift.integer()?,
            (3, Kind::Integer) => element.repetition = Some(thrift.integer()?),
            (4, Kind::Binary) => element.name = thrift.text()?,
            (5, Kind::Integer) => element.children = thrift.count()?,
            (6, Kind::Integer) => element.converted = Some(thrift.integer()?),
            (7, Kind::Integer) => element.scale = thrift.integer()?,
            (10, Kind::Struct) => thrift.structure(|thrift, number, kind| {
                element.logical = Some(logical(thrift, number, kind)?);
                Ok(true)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(element)
}

/// Reads one member of the union of annotations.
fn logical(thrift: &mut Thrift<'_>, number: i16, kind: Kind) -> Result<Logical, Bad> {
    if kind != Kind::Struct {
        return Err("a type is not understood");
    }
    let (mut first, mut is_set, mut unit) = (0, false, 0);
    thrift.structure(|thrift, field, kind| {
        match (field, kind) {
            (1, Kind::Integer) => first = thrift.integer()?,
            (1, Kind::Byte) => first = thrift.signed_byte()?,
            (1 | 2, Kind::Bool(set)) => is_set = set,
            (2, Kind::Struct) => thrift.structure(|_, number, _| {
                unit = number;
                Ok(false)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(match (number, unit) {
        (1 | 4, _) => Logical::Text,
        (5, _) => Logical::Decimal(first),
        (6, _) => Logical::Date,
        (8, 1) => Logical::Timestamp(1_000, is_set),
        (8, 2) => Logical::Timestamp(1_000_000, is_set),
        (8, 3) => Logical::Timestamp(1_000_000_000, is_set),
        (10, _) => Logical::Integer(first, is_set),
        (12, _) => Logical::Json,
        (14, _) => Logical::Uuid,
        (15, _) => Logical::Float16,
        _ => Logical::Other,
    })
}

/// The annotations of older files.
fn converted(code: i64, scale: i64) -> Logical {
    match code {
        0 | 4 => Logical::Text,
        5 => Logical::Decimal(scale),
        6 => Logical::Date,
        9 => Logical::Timestamp(1_000, true),
        10 => Logical::Timestamp(1_000_000, true),
        11..=14 => Logical::Integer(8 << (code - 11), false),
        15..=18 => Logical::Integer(8 << (code - 15), true),
        19 => Logical::Json,
        _ => Logical::Other,
    }
}

fn types(element: &Element<'_>) -> Result<(Physical, Meaning), Bad> {
    use ElementType::{F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    let logical = element.logical.or(element.converted.map(|code| converted(code, element.scale)));
    let integer = |plain| match logical {
        None => Meaning::Number(plain),
        Some(Logical::Integer(bits, is_signed)) => match (bits, is_signed, plain) {
            (8, true, I32) => Meaning::Number(I8),
            (8, false, I32) => Meaning::Number(U8),
            (16, true, I32) => Meaning::Number(I16),
            (16, false, I32) => Meaning::Number(U16),
            (32, false, I32) => Meaning::Number(U32),
            (64, false, I64) => Meaning::Number(U64),
            (32, true, I32) | (64, true, I64) => Meaning::Number(plain),
            _ => Meaning::Other,
        },
        Some(Logical::Date) if plain == I32 => Meaning::Date,
        Some(Logical::Timestamp(parts, is_utc)) if plain == I64 => Meaning::Timestamp(parts, is_utc),
        Some(Logical::Decimal(scale)) => decimal(scale),
        Some(_) => Meaning::Other,
    };
    Ok(match element.physical {
        Some(0) => (Physical::Bool, Meaning::Bool),
        Some(1) => (Physical::Fixed(4), integer(I32)),
        Some(2) => (Physical::Fixed(8), integer(I64)),
        Some(3) => (Physical::Fixed(12), Meaning::Int96),
        Some(4) => (Physical::Fixed(4), Meaning::Number(F32)),
        Some(5) => (Physical::Fixed(8), Meaning::Number(F64)),
        Some(6) => {
            let meaning = match logical {
                Some(Logical::Text) => Meaning::Text,
                Some(Logical::Json) => Meaning::Json,
                Some(Logical::Decimal(scale)) => decimal(scale),
                _ => Meaning::Other,
            };
            (Physical::Bytes, meaning)
        }
        Some(7) => {
            let length = usize::try_from(element.length).map_err(|_| "a column has values of no length")?;
            let meaning = match (logical, length) {
                (_, 0) => return Err("a column has values of no length"),
                (Some(Logical::Float16), 2) => Meaning::Number(F16),
                (Some(Logical::Uuid), 16) => Meaning::Uuid,
                (Some(Logical::Decimal(scale)), 1..=16) => decimal(scale),
                _ => Meaning::Other,
            };
            (Physical::Fixed(length), meaning)
        }
        _ => return Err("a column has no type that is known"),
    })
}

fn decimal(scale: i64) -> Meaning {
    // 38 digits are the most of 16 bytes.
    u32::try_from(scale).ok().filter(|scale| *scale <= 38).map_or(Meaning::Other, Meaning::Decimal)
}
