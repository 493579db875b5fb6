//! `map`: what lies where on the device, as characters, SVG or PNG.
//!
//! [`Survey`] says which run of blocks belongs to what; [`Grid`] lays the device out in cells, line by line, each with what
//! fills most of it; [`text`] and [`picture`] draw the cells.

mod picture;
mod png;
mod svg;
mod text;

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use vexfs_cli::output::json::Schema;
use vexfs_format::codes::InodeKind;
use vexfs_format::extent::SUMS_BASE;
use vexfs_fs::BlockSource;
use vexfs_fs::layout::{OwnUse, own_runs};

use crate::dump::Dump;
use crate::objects::{self, Object};

const SCHEMA: Schema = Schema::new("vexfs-dump-map", 1);

/// Collections that are told apart; the others, the smallest, share an entry.
const MOST_COLLECTIONS: usize = 8;

/// What blocks are used for.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    name: String,
    blocks: u64,
    /// Runs of data, as many as objects when nothing is fragmented.
    pieces: u64,
    objects: u64,
}

/// Indices of the entries that are always there.
const FREE: usize = 0;
const ZONE: usize = 1;
const METADATA: usize = 2;
const JOURNAL: usize = 3;
const TREES: usize = 4;
const FILES: usize = 5;
const COLLECTIONS: usize = 6;

/// A run of blocks of one use.
#[derive(Clone, Copy, Debug)]
struct Area {
    start: u64,
    len: u64,
    entry: usize,
    /// The data of an object goes on here, having broken off elsewhere.
    continues: bool,
}

/// The whole device.
#[derive(Debug)]
struct Survey {
    title: String,
    blocks: u64,
    block_size: u64,
    entries: Vec<Entry>,
    areas: Vec<Area>,
}

#[derive(Serialize)]
struct Document<'a> {
    blocks: u64,
    block_size: u64,
    uses: &'a [Entry],
}

impl Survey {
    fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Self> {
        let objects = objects::gather(dump)?;
        let geometry = dump.volume.geometry();
        let entry = |name: &str| Entry { name: name.to_owned(), blocks: 0, pieces: 0, objects: 0 };
        let fixed = [
            "free",
            "free, reserved for vectors",
            "metadata",
            "journal",
            "directories and extent trees",
            "files",
        ];
        let mut survey = Self {
            title: title(dump),
            blocks: geometry.blocks,
            block_size: dump.volume.block_size() as u64,
            entries: fixed.map(entry).into(),
            areas: Vec::new(),
        };
        for (run, own) in own_runs(&dump.volume) {
            let entry = if own == OwnUse::Journal { JOURNAL } else { METADATA };
            survey.add(run.start, run.len, entry, false);
        }
        let collections = largest_collections(&objects);
        survey.entries.extend(collections.iter().map(|path| entry(path)));
        let others = survey.entries.len();
        if objects
            .iter()
            .any(|object| collection_of(object, &objects).is_some_and(|path| !collections.contains(&path)))
        {
            survey.entries.push(entry("other collections"));
        }
        for object in &objects {
            let entry = match collection_of(object, &objects) {
                Some(path) => {
                    collections.iter().position(|&one| one == path).map_or(others, |at| COLLECTIONS + at)
                }
                None if object.inode.kind().is_directory_like() => TREES,
                None => FILES,
            };
            survey.add_object(object, entry);
        }
        let used: u64 = survey.entries.iter().map(|entry| entry.blocks).sum();
        let zone = geometry.zone;
        let in_zone: u64 = survey.areas.iter().map(|area| overlap(area, zone.start, zone.end())).sum();
        survey.entries[ZONE].blocks = zone.len.saturating_sub(in_zone);
        survey.entries[FREE].blocks =
            survey.blocks.saturating_sub(used).saturating_sub(survey.entries[ZONE].blocks);
        // The zone lies under what was added: whoever draws in order draws it first.
        survey.areas.insert(0, Area { start: zone.start, len: zone.len, entry: ZONE, continues: false });
        Ok(survey)
    }

    fn add_object(&mut self, object: &Object, entry: usize) {
        let descriptor = Some(object.inode.descriptor.get()).filter(|&block| block > 0);
        for block in object.map.nodes().iter().map(|node| node.get()).chain(descriptor) {
            self.add(block, 1, TREES, false);
        }
        let mut has_data = false;
        for run in object.map.runs() {
            let is_data = run.logical.get() < SUMS_BASE;
            self.add(run.start.get(), run.len.into(), entry, is_data && has_data);
            if is_data {
                has_data = true;
                self.entries[entry].pieces += 1;
            }
        }
        self.entries[entry].objects += u64::from(has_data);
    }

    fn add(&mut self, start: u64, len: u64, entry: usize, continues: bool) {
        self.entries[entry].blocks += len;
        self.areas.push(Area { start, len, entry, continues });
    }
}

/// Blocks of `area` from `start` to `end`.
fn overlap(area: &Area, start: u64, end: u64) -> u64 {
    area.start.saturating_add(area.len).min(end).saturating_sub(area.start.max(start))
}

fn title(dump: &Dump<'_>) -> String {
    let label = dump.volume.superblock().label();
    let name = dump.device_name();
    if label.is_empty() { name } else { format!("{label} on {name}") }
}

/// Path of the collection that an object is, or belongs to.
fn collection_of<'a>(object: &'a Object, all: &'a [Object]) -> Option<&'a str> {
    if object.inode.kind() == InodeKind::Collection {
        return Some(&object.path);
    }
    // Objects are in order of their paths, so those that a path begins with are found by their own.
    let ancestors = object.path.char_indices().rev().filter(|&(at, c)| c == '/' && at > 0);
    ancestors.map(|(at, _)| &object.path[..at]).find_map(|path| {
        let at = all.binary_search_by(|other| other.path.as_str().cmp(path)).ok()?;
        (all[at].inode.kind() == InodeKind::Collection).then(|| all[at].path.as_str())
    })
}

/// Paths of the collections that get an entry of their own, largest first.
fn largest_collections(objects: &[Object]) -> Vec<&str> {
    let mut sizes: Vec<(&str, u64)> = Vec::new();
    for object in objects {
        let Some(path) = collection_of(object, objects) else { continue };
        match sizes.iter_mut().find(|(known, _)| *known == path) {
            Some((_, blocks)) => *blocks += object.map.blocks(),
            None => sizes.push((path, object.map.blocks())),
        }
    }
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sizes.into_iter().take(MOST_COLLECTIONS).map(|(path, _)| path).collect()
}

/// The device in cells, line by line.
#[derive(Debug)]
struct Grid {
    columns: usize,
    /// For each cell what fills most of its blocks that are in use, or [`FREE`] or [`ZONE`].
    cells: Vec<usize>,
    /// The data of an object goes on in the cell, having broken off elsewhere.
    breaks: Vec<bool>,
}

impl Grid {
    /// Lays the device out in at most `lines` lines of `columns` cells, none smaller than a block.
    fn of(survey: &Survey, columns: usize, lines: usize) -> Self {
        let count = ((columns * lines) as u64).min(survey.blocks).max(1);
        let first_block =
            |cell: u64| (u128::from(cell) * u128::from(survey.blocks) / u128::from(count)) as u64;
        let cell_of = |block: u64| {
            let guess = (u128::from(block) * u128::from(count) / u128::from(survey.blocks.max(1))) as u64;
            // The division above rounds down twice, so the block may lie one cell further on.
            if guess + 1 < count && first_block(guess + 1) <= block {
                guess + 1
            } else {
                guess.min(count - 1)
            }
        };
        let mut shares = vec![vec![0_u64; survey.entries.len()]; count as usize];
        let mut breaks = vec![false; count as usize];
        for area in &survey.areas {
            let end = area.start.saturating_add(area.len).min(survey.blocks);
            if area.start >= end {
                continue;
            }
            breaks[cell_of(area.start) as usize] |= area.continues;
            for cell in cell_of(area.start)..=cell_of(end - 1) {
                let (from, to) = (first_block(cell), first_block(cell + 1));
                shares[cell as usize][area.entry] += overlap(area, from, to);
            }
        }
        let cells = shares.iter().map(|shares| most(shares)).collect();
        Self { columns, cells, breaks }
    }

    fn lines(&self) -> usize {
        self.cells.len().div_ceil(self.columns)
    }
}

/// What fills most of a cell. What is in use goes before what is free, so that nothing small disappears.
fn most(shares: &[u64]) -> usize {
    let in_use = (METADATA..shares.len()).filter(|&entry| shares[entry] > 0);
    in_use.max_by_key(|&entry| shares[entry]).unwrap_or(if shares[ZONE] > 0 { ZONE } else { FREE })
}

/// Draws the map: into `file`, by the end of its name, or as text.
pub(crate) fn show(dump: &mut Dump<'_>, file: Option<&Path>) -> anyhow::Result<()> {
    let survey = Survey::gather(dump)?;
    let Some(file) = file else {
        if dump.json {
            let body =
                Document { blocks: survey.blocks, block_size: survey.block_size, uses: &survey.entries };
            return dump.document(SCHEMA, &body);
        }
        return text::show(dump, &survey);
    };
    let bytes = match file.extension() {
        Some(extension) if extension == "png" => png::draw(&survey)?,
        _ => svg::draw(&survey).into_bytes(),
    };
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(blocks: u64, areas: &[(u64, u64, usize, bool)]) -> Survey {
        let entry = |n: usize| Entry { name: n.to_string(), blocks: 0, pieces: 0, objects: 0 };
        let area =
            |&(start, len, entry, continues): &(u64, u64, usize, bool)| Area { start, len, entry, continues };
        Survey {
            title: "x".to_owned(),
            blocks,
            block_size: 4096,
            entries: (0..8).map(entry).collect(),
            areas: areas.iter().map(area).collect(),
        }
    }

    #[test]
    fn each_cell_shows_what_fills_most_of_it() {
        let survey = survey(
            1000,
            &[
                (500, 300, ZONE, false),
                (0, 10, METADATA, false),
                (10, 45, FILES, false),
                (799, 1, FILES, true),
            ],
        );
        let grid = Grid::of(&survey, 5, 2);
        assert_eq!(grid.cells, [FILES, FREE, FREE, FREE, FREE, ZONE, ZONE, FILES, FREE, FREE]);
        assert_eq!(grid.breaks.iter().position(|&is_break| is_break), Some(7));
        assert_eq!((grid.lines(), grid.columns), (2, 5));
    }

    #[test]
    fn every_block_lies_in_one_cell() {
        for (blocks, columns, lines) in [(7, 3, 2), (10, 4, 4), (1003, 16, 5), (1 << 45, 80, 24), (1, 80, 1)]
        {
            for at in [0, 1, blocks / 3, blocks / 2, blocks - 1] {
                let at = at.min(blocks - 1);
                let grid = Grid::of(&survey(blocks, &[(at, 1, FILES, true)]), columns, lines);
                assert_eq!(grid.cells.iter().filter(|&&cell| cell == FILES).count(), 1, "{blocks} {at}");
                assert_eq!(
                    grid.cells.iter().position(|&cell| cell == FILES),
                    grid.breaks.iter().position(|&is_break| is_break)
                );
            }
        }
        // An area that claims to reach beyond the device is cut.
        Grid::of(&survey(100, &[(90, u64::MAX, FILES, false), (u64::MAX, 1, FILES, true)]), 10, 10);
    }
}
