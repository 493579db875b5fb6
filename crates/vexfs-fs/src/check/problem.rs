//! A problem: what is wrong, where, what was found and what is expected, in one shape for people and programs.

use std::fmt;

/// Stable name of a kind of problem: `VX2014` is pass 2, number 14. It does not change once it is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// The pass that finds it, 0 to 5.
    pub pass: u8,
    /// Its number within the pass, 1 to 999.
    pub number: u16,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VX{}{:03}", self.pass, self.number)
    }
}

/// What is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing, and no damage: does not count as a problem.
    Notice,
    /// Derived data is wrong: it can be computed again, and nothing is lost.
    Derived,
    /// A structure is wrong: objects may be out of reach until it is repaired.
    Structure,
    /// Bytes that nothing else holds are damaged: rows, ids, keys, contents of files.
    Loss,
}

impl Severity {
    /// The name used in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Derived => "derived",
            Self::Structure => "structure",
            Self::Loss => "loss",
        }
    }
}

/// What a preening run does about a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preen {
    /// The repair needs no decision and can lose nothing: done without asking.
    Fix,
    /// A person has to decide: the run stops with exit status 4.
    Stop,
}

impl Preen {
    /// The name used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fix => "fix",
            Self::Stop => "stop",
        }
    }
}

/// What a repair does about a problem. The one place that knows how is a file of `repair`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fix {
    /// There is nothing to be done.
    Nothing,
    /// Writes the primary superblock anew from the one that was used.
    Superblock,
    /// Brings primary and backup superblocks in line.
    Layout,
    /// Writes a backup superblock anew.
    Backups,
    /// Corrects fields of the superblock.
    Fields,
    /// Brings home what is sound in the log, and begins a new one.
    Journal,
    /// Puts bitmaps and tables where the layout says.
    Places,
    /// Writes a copy of the group descriptors anew.
    Copies,
    /// Makes a group's descriptor and bitmaps anew.
    Group,
    /// Mends or clears an inode record.
    Record,
    /// Lays out the extents of an object anew.
    Mapping,
    /// Makes a collection descriptor anew.
    Descriptor,
    /// Makes a directory anew from its names.
    Directory,
    /// Stores where the name of an object is.
    Parent,
    /// Connects objects with the root directory.
    Tree,
    /// Stores a link count.
    Links,
    /// Writes bitmaps and counters as they were found.
    Bitmaps,
    /// Brings descriptor and streams of a collection in line, row by row.
    Rows,
    /// Writes checksums anew, or marks contents as lost.
    Contents,
    /// Builds an index anew, or drops it.
    Index,
}

/// A kind of problem: a row of [`super::table`].
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its stable code.
    pub code: Code,
    /// What is at stake.
    pub severity: Severity,
    /// What a preening run does.
    pub preen: Preen,
    /// What is said about it; words in braces stand for the context, see [`PLACEHOLDERS`].
    pub message: &'static str,
    /// What a repair asks before it acts; the same placeholders. Empty where there is nothing to repair.
    pub question: &'static str,
    /// What the repair does.
    pub fix: Fix,
}

/// The words in braces that messages and questions may hold.
pub const PLACEHOLDERS: [&str; 11] =
    ["object", "inode", "group", "block", "blocks", "row", "rows", "name", "found", "expected", "other"];

/// Where a problem lies, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// First block on the device.
    pub block: Option<u64>,
    /// Number of blocks from there on, where the problem concerns a run.
    pub blocks: Option<u64>,
    /// Byte offset on the device.
    pub byte: Option<u64>,
    /// The object.
    pub inode: Option<u64>,
    /// A path that leads to the object.
    pub path: Option<String>,
    /// The block group.
    pub group: Option<u64>,
    /// First row of a collection.
    pub row: Option<u64>,
    /// Number of rows from there on.
    pub rows: Option<u64>,
}

/// One problem that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: &'static Kind,
    /// The device as the user typed it.
    pub device: String,
    /// Where it is.
    pub place: Place,
    /// The entry, stream or field concerned.
    pub name: Option<String>,
    /// What was found.
    pub found: Option<String>,
    /// What is expected instead.
    pub expected: Option<String>,
    /// Another block, inode or row that is concerned.
    pub other: Option<u64>,
}

impl Problem {
    pub(super) fn new(kind: &'static Kind) -> Self {
        Self {
            kind,
            device: String::new(),
            place: Place::default(),
            name: None,
            found: None,
            expected: None,
            other: None,
        }
    }

    pub(super) fn block(mut self, block: u64) -> Self {
        self.place.block = Some(block);
        self
    }

    pub(super) fn blocks(mut self, first: u64, count: u64) -> Self {
        (self.place.block, self.place.blocks) = (Some(first), Some(count));
        self
    }

    /// A byte offset within [`Self::block`]; the reporter makes it one on the device.
    pub(super) fn byte(mut self, byte: u64) -> Self {
        self.place.byte = Some(byte);
        self
    }

    pub(super) fn inode(mut self, inode: u64) -> Self {
        self.place.inode = Some(inode);
        self
    }

    pub(super) fn group(mut self, group: u64) -> Self {
        self.place.group = Some(group);
        self
    }

    pub(super) fn rows(mut self, first: u64, count: u64) -> Self {
        (self.place.row, self.place.rows) = (Some(first), Some(count));
        self
    }

    pub(super) fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(super) fn found(mut self, found: impl fmt::Display) -> Self {
        self.found = Some(found.to_string());
        self
    }

    pub(super) fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.expected = Some(expected.to_string());
        self
    }

    pub(super) fn other(mut self, other: u64) -> Self {
        self.other = Some(other);
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.kind.code
    }

    /// What is wrong, without its place on the device.
    pub fn message(&self) -> String {
        self.fill(self.kind.message)
    }

    /// What a repair asks; empty where there is nothing to repair.
    pub fn question(&self) -> String {
        self.fill(self.kind.question)
    }

    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 40);
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            text.push_str(before);
            let Some((word, behind)) = behind.split_once('}') else { break };
            text.push_str(&self.value(word));
            rest = behind;
        }
        text.push_str(rest);
        text
    }

    fn value(&self, word: &str) -> String {
        let place = &self.place;
        let number = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        let words = |s: &Option<String>| s.clone().unwrap_or_else(|| "?".to_owned());
        match word {
            "object" => match &place.path {
                Some(path) => format!("inode {} ({path})", number(place.inode)),
                None => format!("inode {}", number(place.inode)),
            },
            "inode" => number(place.inode),
            "group" => number(place.group),
            "block" => number(place.block),
            "blocks" => run("block", place.block, place.blocks),
            "row" => number(place.row),
            "rows" => run("row", place.row, place.rows),
            "name" => words(&self.name),
            "found" => words(&self.found),
            "expected" => words(&self.expected),
            "other" => number(self.other),
            _ => "?".to_owned(),
        }
    }
}

/// `block 7` or `blocks 7 to 9`.
fn run(word: &str, first: Option<u64>, count: Option<u64>) -> String {
    match (first, count.unwrap_or(1)) {
        (None, _) => format!("{word} ?"),
        (Some(first), 0 | 1) => format!("{word} {first}"),
        (Some(first), count) => format!("{word}s {first} to {}", first.saturating_add(count - 1)),
    }
}

impl fmt::Display for Problem {
    /// One line: device, code, message, and the place on the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.device, self.code(), self.message())?;
        match (self.place.block, self.place.byte) {
            (Some(block), Some(byte)) => write!(f, " [block {block}, byte {byte}]"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_instead() {
        let mut problem = Problem::new(table::LINKS).inode(12).found(2).expected(1).block(70).byte(286_720);
        problem.device = "/dev/sda1".into();
        problem.place.path = Some("/a/b".into());
        assert_eq!(
            problem.to_string(),
            "/dev/sda1: VX4001: inode 12 (/a/b): links is 2, but 1 entries lead to it [block 70, byte 286720]"
        );
        assert_eq!(problem.question(), "Store 1?");
    }

    #[test]
    fn runs_are_said_as_one() {
        assert_eq!(run("block", Some(7), None), "block 7");
        assert_eq!(run("block", Some(7), Some(3)), "blocks 7 to 9");
        assert_eq!(run("row", Some(u64::MAX), Some(u64::MAX)), format!("rows {0} to {0}", u64::MAX));
    }
}
