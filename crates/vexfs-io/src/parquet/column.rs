//! A column of the rows under way: values in order, across pages.

use super::footer::Chunk;
use super::page::{Fault, Page, Pages, Values};
use super::schema::Leaf;
use crate::read_at::ReadAt;
use crate::source::MAX_DIM;

/// Where in a column the next value is.
#[derive(Debug)]
pub(super) struct Column {
    pages: Pages,
    page: Option<Page>,
    /// Levels and values of the page that were used.
    level: usize,
    value: usize,
    memory: usize,
}

/// Why rows cannot be made of a column.
#[derive(Debug)]
pub(super) enum RowFault {
    /// The file is at fault.
    File(Fault),
    /// A row, counted from the first one asked for, has no vector or one with a hole.
    Missing(usize),
    /// A row has not as many components as the first.
    Length(usize),
    /// A number that its own type cannot hold.
    Range(usize),
}

impl From<Fault> for RowFault {
    fn from(fault: Fault) -> Self {
        RowFault::File(fault)
    }
}

impl Column {
    /// Begins a group.
    pub(super) fn new(chunk: Chunk, memory: usize) -> Self {
        Column { pages: Pages::new(chunk), page: None, level: 0, value: 0, memory }
    }

    /// Makes sure that there is a value left in the page; false behind the last one.
    fn advance(&mut self, file: &dyn ReadAt, leaf: &Leaf) -> Result<bool, Fault> {
        while self.page.as_ref().is_none_or(|page| self.level == page.count) {
            // Before the next page takes memory.
            self.page = None;
            (self.level, self.value) = (0, 0);
            match self.pages.next(file, leaf, self.memory)? {
                Some(page) => self.page = Some(page),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// How many values the first row has: as many as there are until the next row begins.
    pub(super) fn measure(mut self, file: &dyn ReadAt, leaf: &Leaf) -> Result<usize, RowFault> {
        let mut length = 0;
        while length <= MAX_DIM && self.advance(file, leaf)? {
            let Some(page) = &self.page else { break };
            if page.defs.first().is_some_and(|def| *def < leaf.max_def) && length == 0 {
                return Err(RowFault::Missing(0));
            }
            let same = match leaf.max_rep {
                0 => usize::from(length == 0),
                _ => {
                    page.reps.iter().skip(usize::from(length == 0)).take_while(|rep| **rep > 0).count()
                        + usize::from(length == 0)
                }
            };
            length += same;
            if same < page.count {
                break;
            }
            self.level = page.count;
        }
        Ok(length)
    }

    /// Fills `out` with whole rows of `dim` numbers of `width` bytes.
    pub(super) fn fill(
        &mut self,
        file: &dyn ReadAt,
        leaf: &Leaf,
        dim: usize,
        narrow: Narrow,
        out: &mut [u8],
    ) -> Result<(), RowFault> {
        let width = narrow.width;
        let total = out.len() / width;
        let mut done = 0;
        while done < total {
            if !self.advance(file, leaf)? {
                let is_within = !done.is_multiple_of(dim);
                let fewer = Fault::Bad("it has fewer rows than it says");
                return Err(if is_within { RowFault::Length(done / dim) } else { RowFault::File(fewer) });
            }
            let Some(page) = &self.page else { break };
            let count = (page.count - self.level).min(total - done);
            let levels = self.level..self.level + count;
            let wrong = match leaf.max_rep {
                0 => None,
                _ => check_lengths(&page.reps[levels.clone()], done, dim).err(),
            };
            let missing =
                page.defs.get(levels).and_then(|defs| defs.iter().position(|def| *def < leaf.max_def));
            // A row that is missing is short, too.
            match (missing.map(|missing| (done + missing) / dim), wrong) {
                (Some(row), wrong) if wrong.is_none_or(|wrong| row <= wrong) => {
                    return Err(RowFault::Missing(row));
                }
                (_, Some(row)) => return Err(RowFault::Length(row)),
                (_, None) => {}
            }
            let out = &mut out[done * width..(done + count) * width];
            let values = self.value..self.value + count;
            let stored = leaf.width();
            let faulty = match (&page.values, &self.pages.dictionary) {
                (Values::Fixed(bytes), _) => {
                    narrow.copy(&bytes[values.start * stored..values.end * stored], stored, out)
                }
                (Values::Coded(places), Some(Values::Fixed(known))) => {
                    let each = out.chunks_exact_mut(width).zip(&places[values]).enumerate();
                    let mut faulty = None;
                    for (at, (out, place)) in each {
                        let start = *place as usize * stored;
                        if narrow.copy(&known[start..start + stored], stored, out).is_some() {
                            faulty = faulty.or(Some(at));
                        }
                    }
                    faulty
                }
                _ => return Err(RowFault::File(Fault::Bad("a page has values of another type"))),
            };
            if let Some(faulty) = faulty {
                return Err(RowFault::Range((done + faulty) / dim));
            }
            self.level += count;
            self.value += count;
            done += count;
        }
        Ok(())
    }

    /// The next value of a column with one in each row; `None` if it is missing.
    pub(super) fn next_value(&mut self, file: &dyn ReadAt, leaf: &Leaf) -> Result<Option<&[u8]>, Fault> {
        if !self.advance(file, leaf)? {
            return Err(Fault::Bad("a column has fewer rows than the others"));
        }
        let Some(page) = &self.page else { return Ok(None) };
        let is_missing = page.defs.get(self.level).is_some_and(|def| *def < leaf.max_def);
        self.level += 1;
        if is_missing {
            return Ok(None);
        }
        let at = self.value;
        self.value += 1;
        Ok(match (&page.values, &self.pages.dictionary) {
            (Values::Coded(places), Some(known)) => known.get(places[at] as usize, leaf.width()),
            (values, _) => values.get(at, leaf.width()),
        })
    }

    /// Makes sure that nothing is left, once all rows of the group were read.
    pub(super) fn finish(&mut self, file: &dyn ReadAt, leaf: &Leaf) -> Result<(), Fault> {
        if self.advance(file, leaf)? { Err(Fault::Bad("it has more rows than it says")) } else { Ok(()) }
    }
}

impl Values {
    fn get(&self, at: usize, width: usize) -> Option<&[u8]> {
        match self {
            Values::Fixed(bytes) => bytes.get(at * width..(at + 1) * width),
            Values::Parts(bytes, parts) => {
                let (start, length) = *parts.get(at)?;
                bytes.get(start as usize..)?.get(..length as usize)
            }
            Values::Coded(_) => None,
        }
    }
}

/// Finds the first row whose length is not `dim`; `done` values were before these.
fn check_lengths(reps: &[u8], done: usize, dim: usize) -> Result<(), usize> {
    let into = (dim - done % dim) % dim;
    let (rest, whole) = reps.split_at(into.min(reps.len()));
    if let Some(early) = rest.iter().position(|rep| *rep == 0) {
        return Err((done + early) / dim);
    }
    for (row, reps) in whole.chunks(dim).enumerate() {
        let first = (done + into) / dim + row;
        if reps[0] != 0 {
            return Err(first.saturating_sub(1));
        }
        if reps[1..].contains(&0) {
            return Err(first);
        }
    }
    Ok(())
}

/// How numbers get their own width: small integers are stored in four bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Narrow {
    /// Bytes of a number of the type.
    pub(super) width: usize,
    /// Whether the type has a sign.
    pub(super) is_signed: bool,
}

impl Narrow {
    /// Copies numbers of `stored` bytes. Returns the first one that does not fit.
    fn copy(self, from: &[u8], stored: usize, out: &mut [u8]) -> Option<usize> {
        if stored == self.width {
            out.copy_from_slice(from);
            return None;
        }
        let pairs = from.chunks_exact(stored).zip(out.chunks_exact_mut(self.width)).enumerate();
        let mut faulty = None;
        for (at, (from, to)) in pairs {
            let (low, high) = from.split_at(self.width);
            to.copy_from_slice(low);
            let is_negative = self.is_signed && low.last().is_some_and(|byte| *byte >= 0x80);
            let filling = if is_negative { 0xff } else { 0 };
            if faulty.is_none() && high.iter().any(|byte| *byte != filling) {
                faulty = Some(at);
            }
        }
        faulty
    }
}
