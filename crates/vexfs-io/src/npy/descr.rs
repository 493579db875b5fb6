//! The element type strings of numpy: which hold vector components, and by what name the others are refused.

use super::literal::Descr;
use crate::element::ElementType;
use crate::error::{Problem, excerpt};

/// How elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) element: ElementType,
    pub(super) big_endian: bool,
}

/// Interprets a `descr`. With `bf16`, the two-byte void type that numpy writes for bfloat16 is taken as that.
///
/// `=`, `|` and a missing order character mean the order of the machine that writes, which is taken to be little-endian.
pub(super) fn interpret(descr: &Descr<'_>, bf16: bool) -> Result<Storage, Problem> {
    let text = match descr {
        Descr::Simple(text) => text,
        Descr::Structured(text) => {
            return Err(refusal(text, "structured", "save one field as an array of its own"));
        }
    };
    let (order, kind) = match text {
        [order @ (b'<' | b'>' | b'=' | b'|'), kind @ ..] => (*order, kind),
        kind => (b'|', *kind),
    };
    let element = match kind {
        b"f2" => ElementType::F16,
        b"f4" => ElementType::F32,
        b"f8" => ElementType::F64,
        b"i1" => ElementType::I8,
        b"i2" => ElementType::I16,
        b"i4" => ElementType::I32,
        b"i8" => ElementType::I64,
        b"u1" => ElementType::U8,
        b"u2" => ElementType::U16,
        b"u4" => ElementType::U32,
        b"u8" => ElementType::U64,
        b"b1" | b"?" => ElementType::Bool,
        b"V2" if bf16 => ElementType::BF16,
        _ => {
            let (name, advice) = unsupported(kind);
            return Err(refusal(text, name, advice));
        }
    };
    Ok(Storage { element, big_endian: order == b'>' })
}

/// How characters are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextStorage {
    /// So many bytes of UTF-8.
    Bytes(u64),
    /// So many characters of four bytes each.
    Characters {
        /// How many.
        count: u64,
        /// Whether the bytes of a character come most significant first.
        big_endian: bool,
    },
}

/// Interprets the `descr` of an array of strings.
pub(super) fn interpret_text(descr: &Descr<'_>) -> Result<TextStorage, Problem> {
    const ADVICE: &str = "save the strings with astype(str)";
    let (Descr::Simple(text) | Descr::Structured(text)) = descr;
    let (order, kind) = match text {
        [order @ (b'<' | b'>' | b'=' | b'|'), kind @ ..] => (*order, kind),
        kind => (b'|', *kind),
    };
    let count = kind.get(1..).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    match (kind.first(), count) {
        (Some(b'S'), Some(count)) => Ok(TextStorage::Bytes(count)),
        (Some(b'U'), Some(count)) => Ok(TextStorage::Characters { count, big_endian: order == b'>' }),
        _ => Err(Problem::TextType {
            descr: format!("`{}`", excerpt(&String::from_utf8_lossy(text))),
            advice: ADVICE,
        }),
    }
}

fn refusal(descr: &[u8], name: &'static str, advice: &'static str) -> Problem {
    Problem::ElementType { descr: format!("`{}`", excerpt(&String::from_utf8_lossy(descr))), name, advice }
}

/// The name of a type that holds no components, and what to do about it.
fn unsupported(kind: &[u8]) -> (&'static str, &'static str) {
    const CAST: &str = "convert it with astype('float32')";
    match kind {
        b"V2" => ("two-byte void", "if it is bfloat16, ask for bf16"),
        b"V1" => ("one-byte void", "if it is an 8-bit float, convert it with astype('float32')"),
        [b'V', ..] => ("void", CAST),
        [b'O', ..] => ("object", "save numbers rather than Python objects: numpy.array(…, dtype='float32')"),
        [b'S' | b'a', ..] => ("bytes", CAST),
        [b'U', ..] => ("str", CAST),
        b"c8" => ("complex64", "save its real and imaginary parts"),
        b"c16" => ("complex128", "save its real and imaginary parts"),
        [b'c', ..] => ("complex", "save its real and imaginary parts"),
        [b'M', ..] => ("datetime64", CAST),
        [b'm', ..] => ("timedelta64", CAST),
        b"f12" | b"f16" => ("longdouble", CAST),
        _ => ("unknown", CAST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_types_are_known_in_both_byte_orders() {
        for (kind, element) in [
            ("f2", ElementType::F16),
            ("f4", ElementType::F32),
            ("f8", ElementType::F64),
            ("i1", ElementType::I8),
            ("i2", ElementType::I16),
            ("i4", ElementType::I32),
            ("i8", ElementType::I64),
            ("u1", ElementType::U8),
            ("u2", ElementType::U16),
            ("u4", ElementType::U32),
            ("u8", ElementType::U64),
            ("b1", ElementType::Bool),
            ("?", ElementType::Bool),
        ] {
            for (order, big_endian) in [("<", false), (">", true), ("=", false), ("|", false), ("", false)] {
                let descr = format!("{order}{kind}");
                let storage = interpret(&Descr::Simple(descr.as_bytes()), false).unwrap();
                assert_eq!(storage, Storage { element, big_endian }, "{descr}");
            }
        }
        let bf16 = interpret(&Descr::Simple(b"<V2"), true).unwrap();
        assert_eq!(bf16, Storage { element: ElementType::BF16, big_endian: false });
    }

    #[test]
    fn other_types_are_refused_by_name() {
        for (descr, name) in [
            ("|O", "object"),
            ("<U12", "str"),
            ("|S4", "bytes"),
            ("<c8", "complex64"),
            ("<c16", "complex128"),
            ("<M8[ns]", "datetime64"),
            ("<m8[s]", "timedelta64"),
            ("<f16", "longdouble"),
            ("|V12", "void"),
            ("<V2", "bfloat16, ask for bf16"),
            ("<V1", "8-bit float"),
            ("", "unknown"),
            ("<", "unknown"),
            ("<f3", "unknown"),
            ("<<f4", "unknown"),
        ] {
            let problem = interpret(&Descr::Simple(descr.as_bytes()), false).unwrap_err().to_string();
            assert!(problem.contains(name) && problem.contains(descr), "{descr}: {problem}");
        }
        let problem = interpret(&Descr::Structured(b"[('a', '<f4')]"), false).unwrap_err().to_string();
        assert!(problem.contains("structured") && problem.contains("('a', '<f4')"), "{problem}");
        assert!(interpret(&Descr::Simple(b"<V1"), true).is_err(), "bf16 has two bytes");
    }
}
