//! Some queries against the rows of one list, or against the centroids: by the panel if there are several, one by one otherwise.

use std::ops::Range;
use std::slice::from_ref;

use zerocopy::IntoBytes;

use super::layout::List;
use super::params::Codes;
use super::queries::Prepared;
use crate::best::Best;
use crate::quant::sq4::Unpack;
use crate::simd::codes::LANE_SPAN;
use crate::simd::lookup::{LookupEight, LookupFour, LookupSigns, ROWS};
use crate::simd::scan::{Found, PanelScan, RowSide};
use crate::simd::scan_one::ScanOne;
use crate::simd::tile::{PANEL, Panel};
use crate::simd::{Block32, Level};

/// Fewest queries for which a panel costs less than one scan each.
const LEAST_PANEL: usize = 5;

/// Bytes of codes that stay in the second-level cache while all queries pass over them.
const BLOCK_BYTES: usize = 192 << 10;

/// Rows of the first block, of which none is ruled out, for each that is kept.
const FIRST_ROWS: usize = 2;

/// How many times as many rows as have been seen a block may have.
const GROWTH: usize = 4;

/// Rows of product quantisation that are looked at before the limit is taken anew: a multiple of [`ROWS`].
const SOME_ROWS: usize = 16 * ROWS;

/// Rows of a scan that room is made for before they are found.
const ROOM: usize = 256;

/// A query that is to meet a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    pub(super) query: u32,
    /// What its estimates of the list's rows begin with.
    pub(super) base: f32,
}

/// The room that scans need.
pub(super) struct Scanner {
    level: Level,
    panel: Panel,
    panels: PanelScan,
    found: [Vec<Found>; PANEL],
    /// Codes of a list that is packed.
    unpacked: Vec<Block32>,
}

impl Scanner {
    pub(super) fn new() -> Self {
        let mut found: [Vec<Found>; PANEL] = Default::default();
        // All that a query needs that is alone.
        found[0].reserve(ROOM);
        Self {
            level: Level::best(),
            panel: Panel::empty(),
            panels: PanelScan::default(),
            found,
            unpacked: Vec::new(),
        }
    }

    /// Whether to compare each of `visits` queries with `some` rows takes less time than to compare all of them with `all`, by panels.
    pub(super) fn is_faster_alone(&self, visits: usize, some: usize, all: usize) -> bool {
        let lanes = visits.next_multiple_of(PANEL / 2);
        visits < LEAST_PANEL || some * visits * self.level.panel_gain() <= all * lanes
    }

    /// Lets queries meet rows: `offer` is told what of the rows may be among the best of a query, by index.
    ///
    /// `bests`: one per query of `queries`.
    pub(super) fn meet(
        &mut self,
        rows: RowSide<'_>,
        queries: &Prepared,
        visits: &[Visit],
        bests: &mut [Best],
        mut offer: impl FnMut(&Visit, &mut Best, &mut Vec<Found>),
    ) {
        if rows.is_packed && visits.len() >= LEAST_PANEL {
            let mut codes = std::mem::take(&mut self.unpacked);
            self.level.run(Unpack { packed: rows.codes, blocks: queries.codes(0).len(), codes: &mut codes });
            self.meet(RowSide { codes: &codes, is_packed: false, ..rows }, queries, visits, bests, offer);
            self.unpacked = codes;
            return;
        }
        if visits.len() >= LEAST_PANEL {
            self.panels.set_rows(&rows);
        }
        let mut rest = visits;
        while !rest.is_empty() {
            let few = rest.len() < LEAST_PANEL || rows.is_packed;
            let take = if few { 1 } else { rest.len().min(PANEL) };
            let (group, others) = rest.split_at(take);
            rest = others;
            let side = |visit: &Visit, bests: &[Best]| {
                queries.side(visit.query as usize, visit.base, bests[visit.query as usize].limit())
            };
            if let [visit] = group {
                let query = queries.codes(visit.query as usize);
                let found = &mut self.found[0];
                let (all, terms) = (0..rows.count, side(visit, bests));
                // Where there are more queries, these rows are what memory and cache are for.
                let ahead = if take == visits.len() { rows.ahead } else { &[] };
                let rows = RowSide { ahead, ..rows };
                self.level.run(ScanOne { rows, runs: from_ref(&all), query, terms, found });
            } else {
                let codes = group.iter().map(|visit| queries.codes(visit.query as usize));
                self.panel.refill(queries.codes(0).len(), codes);
                for (lane, visit) in group.iter().enumerate() {
                    self.panels.set_query(lane, side(visit, bests));
                }
                self.panels.run(self.level, &rows, &self.panel, &mut self.found);
            }
            for (visit, found) in group.iter().zip(&mut self.found) {
                let best = &mut bests[visit.query as usize];
                offer(visit, best, found);
            }
        }
    }

    /// As [`meet`](Self::meet), for the rows of `range` if they are many: in blocks, so that the first ones rule out most of the others.
    /// Each query is offered those that it `may` find.
    pub(super) fn meet_many(
        &mut self,
        (rows, range): (RowSide<'_>, Range<usize>),
        queries: &Prepared,
        visits: &[Visit],
        bests: &mut [Best],
        keep: usize,
        may: impl Fn(&Visit, u32) -> bool,
    ) {
        let blocks = queries.codes(0).len();
        let most = (BLOCK_BYTES / (blocks * LANE_SPAN)).next_multiple_of(8);
        let mut start = range.start;
        while start < range.end {
            let least = keep.saturating_mul(FIRST_ROWS).clamp(8, most);
            let count = ((start - range.start) * GROWTH).clamp(least, most).next_multiple_of(8);
            // A small rest takes longer alone.
            let is_rest = range.end - start <= count + count / GROWTH;
            let end = if is_rest { range.end } else { start + count };
            let first = start as u32;
            let offer = |visit: &Visit, best: &mut Best, found: &mut Vec<Found>| {
                for Found { row, estimate } in found.drain(..) {
                    if may(visit, first + row) {
                        best.offer(first + row, estimate);
                    }
                }
            };
            self.meet(rows.slice(start..end, blocks), queries, visits, bests, offer);
            visits.iter().for_each(|visit| bests[visit.query as usize].tighten());
            start = end;
        }
    }

    /// Lets a query meet the rows of `runs`, which begin with those that are likely to be nearest: some runs at a time, so that the first
    /// ones rule out most of the others.
    pub(super) fn meet_runs(
        &mut self,
        (rows, runs): (RowSide<'_>, &[Range<usize>]),
        queries: &Prepared,
        visit: &Visit,
        best: &mut Best,
        keep: usize,
    ) {
        let query = queries.codes(visit.query as usize);
        let (mut rest, mut seen) = (runs, 0);
        while !rest.is_empty() {
            let least = keep.saturating_mul(FIRST_ROWS).max(seen * GROWTH);
            let mut count = 0;
            let enough = rest.iter().position(|run| {
                count += run.len();
                count >= least
            });
            let (some, others) = rest.split_at(enough.map_or(rest.len(), |last| last + 1));
            rest = others;
            seen += count;
            let terms = queries.side(visit.query as usize, visit.base, best.limit());
            let found = &mut self.found[0];
            self.level.run(ScanOne { rows, runs: some, query, terms, found });
            found.drain(..).for_each(|found| best.offer(found.row, found.estimate));
            best.tighten();
        }
    }

    /// As [`meet`](Self::meet), for rows whose codes are looked up: query by query, some rows at a time, so that the first ones rule out
    /// most of the others.
    pub(super) fn look_up(
        &mut self,
        list: &List<'_>,
        queries: &Prepared,
        visits: &[Visit],
        bests: &mut [Best],
        mut offer: impl FnMut(&Visit, &mut Best, &mut Vec<Found>),
    ) {
        let codes = list.codes();
        for start in (0..list.len()).step_by(SOME_ROWS) {
            let count = SOME_ROWS.min(list.len() - start);
            let term = |index: usize| &list.term(index)[4 * start..];
            for visit in visits {
                let (query, best) = (visit.query as usize, &mut bests[visit.query as usize]);
                let (base, limit, found) = (visit.base, best.limit(), &mut self.found[0]);
                if list.coding() == Codes::Rabitq {
                    let (tables, terms) = (queries.fours(query), queries.sign_side(query, base, limit));
                    let codes = &codes[start / ROWS * tables.len()..];
                    let (scale, constant, deviation) = (term(0), term(1), term(2));
                    self.level.run(LookupSigns {
                        codes,
                        count,
                        scale,
                        constant,
                        deviation,
                        tables,
                        terms,
                        found,
                    });
                } else if list.has_fours() {
                    let (tables, terms) = (queries.fours(query), queries.lookup_side(query, base, limit));
                    let codes = &codes[start / ROWS * tables.len()..];
                    self.level.run(LookupFour { codes, count, constant: term(0), tables, terms, found });
                } else {
                    let (tables, terms) = (queries.bytes_of(query), queries.lookup_side(query, base, limit));
                    let codes = &codes.as_bytes()[start * tables.len()..];
                    self.level.run(LookupEight { codes, count, constant: term(0), tables, terms, found });
                }
                found.iter_mut().for_each(|found| found.row += start as u32);
                offer(visit, best, found);
            }
        }
    }
}
