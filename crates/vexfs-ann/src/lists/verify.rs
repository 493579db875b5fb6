//! The image against itself: every row that is indexed is in exactly one list, and numbers are such as a build writes.

use super::layout::List;
use super::open::Lists;
use super::params::Codes;
use crate::index::IndexError;
use crate::simd::codes::CODE_MAX;
use crate::simd::scan::float;

/// Lists after which to ask whether to stop.
const ASK: usize = 64;

/// See [`Index::verify`](crate::index::Index::verify).
pub(super) fn verify(
    index: &Lists<'_>,
    excluded: Option<&[u64]>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    let rows = index.header.rows.clone();
    let mut count = index.params.giants as u64;
    for list in 0..index.params.nlist {
        count += index.rows_of(list)? as u64;
    }
    if count != index.header.indexed {
        return Err(IndexError::damaged(0, format!("{count} rows in lists, of {}", index.header.indexed)));
    }
    let is_excluded = |row: u64| {
        let word = excluded.and_then(|words| words.get((row / 64) as usize));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    };
    // Before room is made for a bit per row: rows that are in no list must be excluded.
    let most_excluded = excluded.map_or(0, |words| 64 * words.len() as u64);
    if rows.end - rows.start > count.saturating_add(most_excluded) {
        return Err(IndexError::damaged(0, format!("{count} rows in lists, of {rows:?}")));
    }
    let mut seen = vec![0u64; (rows.end - rows.start).div_ceil(64) as usize];
    let mut see = |number: u32| {
        index.row(number)?;
        let (word, bit) = (&mut seen[number as usize / 64], 1u64 << (number % 64));
        if *word & bit != 0 {
            return Err(IndexError::damaged(0, format!("row {number} is in two lists")));
        }
        *word |= bit;
        Ok(())
    };
    index.codebooks()?;
    let checks_codes = index.params.codes == Codes::Sq8;
    check_list(&index.centroids()?, true, "the centroids")?;
    if let Some(groups) = &index.groups {
        check_list(&groups.centres()?, true, "the centres of groups")?;
        (0..groups.count() as u32).try_for_each(|group| groups.lists(group).map(drop))?;
    }
    for list in 0..index.params.nlist {
        if list % ASK == 0 && interrupted() {
            return Err(IndexError::Interrupted);
        }
        let found = index.list(list)?;
        check_list(&found, checks_codes, &format!("list {list}"))?;
        found.numbers.iter().try_for_each(|number| see(number.get()))?;
    }
    index.giants()?.into_iter().try_for_each(see)?;
    let is_seen = |row: u64| seen[((row - rows.start) / 64) as usize] >> ((row - rows.start) % 64) & 1 == 1;
    match rows.clone().find(|row| !is_seen(*row) && !is_excluded(*row)) {
        Some(row) => Err(IndexError::damaged(0, format!("row {row} is in no list"))),
        None => Ok(()),
    }
}

/// Codes of bytes per element within their range (others cannot be outside), terms finite.
fn check_list(list: &List<'_>, checks_codes: bool, name: &str) -> Result<(), IndexError> {
    if checks_codes && list.codes().iter().any(|block| block.0.iter().any(|code| *code > CODE_MAX)) {
        return Err(IndexError::damaged(0, format!("a code of {name} is out of range")));
    }
    for term in 0..list.terms() {
        if (0..list.len()).any(|row| !float(list.term(term), row).is_finite()) {
            return Err(IndexError::damaged(0, format!("a term of {name} is not finite")));
        }
    }
    Ok(())
}
