//! Checking a whole image against itself.

use zerocopy::IntoBytes;

use super::open::Hnsw;
use super::params::Codes;
use super::record::{Head, Layer};
use crate::index::IndexError;

/// Nodes after which the caller is asked whether to stop.
const INTERRUPTED_EVERY: u32 = 4096;

/// Checks, in this order: of every record of every layer its links (number, range, none to itself, none twice), its codes and
/// its terms; that each row that is not excluded has exactly one node on layer 0; that nodes of higher layers
/// have the codes of nodes below, in ascending order; that from the entry point every row that is not excluded is reached.
///
/// # Errors
/// [`IndexError::Damaged`] for the first contradiction; those of the image; [`IndexError::Interrupted`].
///
/// # Memory
/// A bit per row and 4 bytes per node of the layer looked at.
pub(super) fn verify(
    index: &Hnsw<'_>,
    excluded: Option<&[u64]>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    for layer in &index.layers {
        for node in 0..layer.nodes() {
            pause(node, interrupted)?;
            check_record(index, layer, node)?;
        }
    }
    check_rows(index, excluded, interrupted)?;
    for pair in index.layers.windows(2) {
        check_below(&pair[0], &pair[1], interrupted)?;
    }
    check_reach(index, excluded, interrupted)
}

fn pause(node: u32, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError> {
    if node.is_multiple_of(INTERRUPTED_EVERY) && interrupted() {
        Err(IndexError::Interrupted)
    } else {
        Ok(())
    }
}

/// Links, codes and terms of one record.
fn check_record(index: &Hnsw<'_>, layer: &Layer<'_>, node: u32) -> Result<(), IndexError> {
    let damaged = |what: String| Err(IndexError::damaged(layer.offset(node), format!("node {node}: {what}")));
    let (head, codes) = layer.row(node)?;
    let mut links: Vec<u32> = layer.links(node)?.iter().map(|link| link.get()).collect();
    links.sort_unstable();
    if let Some(link) = links.iter().find(|link| **link >= layer.nodes() || **link == node) {
        return damaged(format!("a link to {link}"));
    }
    if let Some(pair) = links.windows(2).find(|pair| pair[0] == pair[1]) {
        return damaged(format!("two links to {}", pair[0]));
    }

    let terms = [head.square.get(), f64::from(head.scale.get()), f64::from(head.low.get())];
    if terms.iter().any(|term| !term.is_finite()) || head.scale.get() < 0.0 || head.square.get() < 0.0 {
        return damaged("terms that are no numbers".to_owned());
    }
    let (dim, most) = (index.header.dim, index.params.codes.most());
    let mut unpacked: Vec<u8> = Vec::with_capacity(2 * codes.len());
    match index.params.codes {
        Codes::Bits => return Ok(()),
        Codes::Sq8 => unpacked.extend_from_slice(codes),
        Codes::Sq4 => {
            for block in codes.chunks_exact(32) {
                unpacked.extend(block.iter().map(|byte| byte & 15));
                unpacked.extend(block.iter().map(|byte| byte >> 4));
            }
        }
    }
    let sum: u64 = unpacked.iter().map(|&code| u64::from(code)).sum();
    if unpacked.iter().any(|&code| code > most)
        || unpacked[dim..].iter().any(|&code| code != 0)
        || sum != u64::from(head.sum.get())
    {
        return damaged("codes out of range, or not of the sum beside them".to_owned());
    }
    Ok(())
}

/// One node for each row.
fn check_rows(
    index: &Hnsw<'_>,
    excluded: Option<&[u64]>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    let rows = &index.header.rows;
    let covered = (rows.end - rows.start) as usize;
    let mut found = vec![0u64; if index.layers.is_empty() { 0 } else { covered.div_ceil(64) }];
    let layer = index.layers.first();
    for node in 0..layer.map_or(0, Layer::nodes) {
        pause(node, interrupted)?;
        let Some(layer) = layer else { break };
        let (head, _) = layer.row(node)?;
        let row = (index.row_number(head)? - rows.start) as usize;
        if found[row / 64] >> (row % 64) & 1 == 1 {
            return Err(IndexError::damaged(layer.offset(node), format!("node {node}: row {row} again")));
        }
        found[row / 64] |= 1 << (row % 64);
    }
    let is_found = |row: usize| found.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1);
    match (0..covered).find(|&row| !is_found(row) && !is_excluded(index, excluded, row as u32)) {
        Some(row) => Err(IndexError::damaged(0, format!("row {row} of the image has no node"))),
        None => Ok(()),
    }
}

fn is_excluded(index: &Hnsw<'_>, excluded: Option<&[u64]>, row: u32) -> bool {
    let row = index.header.rows.start + u64::from(row);
    let word = excluded.and_then(|words| words.get((row / 64) as usize));
    word.is_some_and(|word| word >> (row % 64) & 1 == 1)
}

/// Nodes of `upper` are nodes of `lower`.
fn check_below(
    lower: &Layer<'_>,
    upper: &Layer<'_>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    let mut free = 0;
    for node in 0..upper.nodes() {
        pause(node, interrupted)?;
        let (head, codes) = upper.row(node)?;
        let below = head.below.get();
        if below < free || below >= lower.nodes() {
            return Err(IndexError::damaged(upper.offset(node), format!("node {node} is above {below}")));
        }
        free = below + 1;
        let (other, other_codes) = lower.row(below)?;
        let same = Head { below: other.below, count: other.count, ..*head };
        if codes != other_codes || same.as_bytes() != other.as_bytes() {
            return Err(IndexError::damaged(
                upper.offset(node),
                format!("node {node} has other codes than {below} below"),
            ));
        }
    }
    Ok(())
}

/// Every row is reached from the entry point.
fn check_reach(
    index: &Hnsw<'_>,
    excluded: Option<&[u64]>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    let mut entry = 0;
    for layer in index.layers.iter().skip(1).rev() {
        entry = layer.row(entry)?.0.below.get();
    }
    let Some(layer) = index.layers.first() else { return Ok(()) };
    let mut reached = vec![false; layer.nodes() as usize];
    let mut waiting = vec![entry];
    reached[entry as usize] = true;
    let mut steps = 0;
    while let Some(node) = waiting.pop() {
        pause(steps, interrupted)?;
        steps = steps.wrapping_add(1);
        for link in layer.links(node)? {
            let link = link.get();
            if !std::mem::replace(&mut reached[link as usize], true) {
                waiting.push(link);
            }
        }
    }
    for (node, _) in reached.iter().enumerate().filter(|(_, reached)| !**reached) {
        let row = layer.row(node as u32)?.0.below.get();
        if !is_excluded(index, excluded, row) {
            return Err(IndexError::damaged(
                layer.offset(node as u32),
                format!("row {row} of the image is not reached from the entry point"),
            ));
        }
    }
    Ok(())
}
