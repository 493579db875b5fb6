//! Other names of the same length: what a name says is hidden, and that two are the same is not.
//!
//! Letters and digits of ASCII become other letters and digits, characters of 2, 3 and 4 bytes others of as many; everything else,
//! such as `.`, `-` and `/`, stays. For names of one length and pattern it is a permutation (a Feistel network over their
//! characters), so names that differ still do, and a path that is hidden part by part leads where it led.

use vexfs_format::dir_block::name_hash;

/// Rounds of the network; four make a pseudo-random permutation of a pseudo-random function (Luby, Rackoff 1988).
const ROUNDS: u8 = 4;

/// Replaces names, always in the same way.
#[derive(Clone, Debug)]
pub(super) struct Scrambler {
    key: [u8; 16],
}

impl Scrambler {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// Another name for `name`, as long as it in bytes.
    pub(super) fn name(&self, name: &[u8]) -> Vec<u8> {
        let mut symbols: Vec<Symbol> = match std::str::from_utf8(name) {
            Ok(text) => text.chars().map(Symbol::of).collect(),
            Err(_) => name.iter().map(|&byte| Symbol::of_byte(byte)).collect(),
        };
        let half = symbols.len() / 2;
        for round in 0..ROUNDS {
            let (left, right) = symbols.split_at_mut(half);
            let (changed, from) = if round % 2 == 0 { (right, left) } else { (left, right) };
            let mut random = self.random(round, from);
            for symbol in changed {
                symbol.index = (symbol.index + random.next(symbol.class.size())) % symbol.class.size();
            }
        }
        text(&symbols)
    }

    /// A path, or the target of a link, whose parts are replaced one by one.
    pub(super) fn path(&self, path: &[u8]) -> Vec<u8> {
        path.split(|&byte| byte == b'/').map(|part| self.name(part)).collect::<Vec<_>>().join(&b'/')
    }

    /// Numbers that follow from one half of a name.
    fn random(&self, round: u8, from: &[Symbol]) -> Numbers {
        let mut bytes = text(from);
        bytes.push(round);
        Numbers(name_hash(&self.key, &bytes))
    }
}

fn text(symbols: &[Symbol]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        match symbol.class {
            Class::HighByte => bytes.push(0x80 | symbol.index as u8),
            _ => bytes.extend_from_slice(symbol.character().encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// What characters are exchanged for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Alphanumeric,
    TwoBytes,
    ThreeBytes,
    FourBytes,
    /// A byte from 0x80 on, of a name that is not UTF-8.
    HighByte,
    /// One that stays.
    Fixed(char),
}

const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// First characters of 2, 3 and 4 bytes, and what no character is.
const TWO: u32 = 0x80;
const THREE: u32 = 0x800;
const FOUR: u32 = 0x1_0000;
const SURROGATES: std::ops::Range<u32> = 0xD800..0xE000;

impl Class {
    fn size(self) -> u32 {
        match self {
            Self::Alphanumeric => ALPHANUMERIC.len() as u32,
            Self::TwoBytes => THREE - TWO,
            Self::ThreeBytes => FOUR - THREE - SURROGATES.len() as u32,
            Self::FourBytes => 0x11_0000 - FOUR,
            Self::HighByte => 0x80,
            Self::Fixed(_) => 1,
        }
    }
}

/// A character, as its class and its index in that.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    class: Class,
    index: u32,
}

impl Symbol {
    fn of(character: char) -> Self {
        let code = u32::from(character);
        let position = ALPHANUMERIC.iter().position(|&byte| u32::from(byte) == code);
        let (class, index) = match (position, character.len_utf8()) {
            (Some(position), _) => (Class::Alphanumeric, position as u32),
            (None, 2) => (Class::TwoBytes, code - TWO),
            (None, 3) if code < SURROGATES.start => (Class::ThreeBytes, code - THREE),
            (None, 3) => (Class::ThreeBytes, code - THREE - SURROGATES.len() as u32),
            (None, 4) => (Class::FourBytes, code - FOUR),
            (None, _) => (Class::Fixed(character), 0),
        };
        Self { class, index }
    }

    fn of_byte(byte: u8) -> Self {
        match byte.is_ascii() {
            true => Self::of(char::from(byte)),
            false => Self { class: Class::HighByte, index: u32::from(byte & 0x7F) },
        }
    }

    fn character(self) -> char {
        let code = match self.class {
            Class::Fixed(character) => return character,
            Class::Alphanumeric => ALPHANUMERIC[self.index as usize].into(),
            Class::TwoBytes | Class::HighByte => TWO + self.index,
            Class::ThreeBytes if THREE + self.index < SURROGATES.start => THREE + self.index,
            Class::ThreeBytes => THREE + self.index + SURROGATES.len() as u32,
            Class::FourBytes => FOUR + self.index,
        };
        // Each class leaves out what is no character.
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    /// A number below `bound`.
    fn next(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn other(name: &str) -> String {
        String::from_utf8(Scrambler::new(*b"0123456789abcdef").name(name.as_bytes())).expect("UTF-8")
    }

    #[test]
    fn names_become_others_of_the_same_length() {
        for name in ["report-2026.txt", "Übergrößenträger", "日本語のなまえ", "🦀🦀", "x"] {
            let found = other(name);
            assert_eq!((found.len(), found.chars().count()), (name.len(), name.chars().count()));
            assert_ne!(found, name);
            assert_eq!(found, other(name), "always the same");
        }
        assert!(other("report-2026.txt").contains('-') && other("report-2026.txt").contains('.'));
        assert_eq!(other("."), ".");
        assert_eq!(other(""), "");
        let found = Scrambler::new([1; 16]).name(b"a\xff/");
        assert!(found.len() == 3 && found[1] >= 0x80 && found[2] == b'/', "{found:?}");
    }

    #[test]
    fn names_that_differ_still_do() {
        let all: HashSet<String> = (0..10_000).map(|n| other(&format!("{n:04}"))).collect();
        assert_eq!(all.len(), 10_000);
        let short: HashSet<String> = ('a'..='z').map(|c| other(&c.to_string())).collect();
        assert_eq!(short.len(), 26);
        let edge: HashSet<String> =
            ['\u{800}', '\u{D7FF}', '\u{E000}', '\u{FFFF}'].map(|c| other(&c.to_string())).into();
        assert!(edge.len() == 4 && edge.iter().all(|text| text.len() == 3));
    }

    #[test]
    fn a_path_is_replaced_part_by_part() {
        let scrambler = Scrambler::new([7; 16]);
        let parts = [scrambler.name(b"models"), scrambler.name(b"card.md")].join(&b'/');
        assert_eq!(scrambler.path(b"models/card.md"), parts);
        assert_eq!(scrambler.path(b"/../x")[..4], *b"/../");
    }
}
