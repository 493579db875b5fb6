//! Coded rows side by side, as inverted lists have them, against one query ([`ScanOne`]) or a panel of queries ([`PanelScan`]), with
//! estimates of distances in f32.
//!
//! The estimate of a pair is e = (base + constant) + (product · (scale · t) + offset · low) with t = Σ cᵢuᵢ, an exact integer.
//! Each operation is rounded on its own and in this order, never fused, and it is the same for one query and for many: e is the
//! same number at every level and in any company. So it may decide what is found.

use std::ops::Range;

use super::level::Level;
#[cfg(doc)]
use super::scan_one::ScanOne;
use super::tile::{PANEL, Panel, QueryTerms, RowTerms, Survivor, Tile};
use super::vector::Block32;

/// Coded rows and what their estimates take from them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSide<'a> {
    /// ⌈d / 32⌉ blocks of codes to a row, or ⌈d / 64⌉ if they are packed.
    pub(crate) codes: &'a [Block32],
    /// Whether a block has two of four bits a code, as [`sq4`](crate::quant::sq4) packs them; only for [`ScanOne`].
    pub(crate) is_packed: bool,
    /// Number of rows.
    pub(crate) count: usize,
    /// Stored f32, one per row; multiplies t.
    pub(crate) scale: &'a [u8],
    /// Likewise; multiplies [`QuerySide::offset`].
    pub(crate) low: &'a [u8],
    /// Likewise; added.
    pub(crate) constant: &'a [u8],
    /// What is wanted after these rows: memory is asked for it bit by bit while they are compared, by [`ScanOne`].
    pub(crate) ahead: &'a [u8],
}

impl<'a> RowSide<'a> {
    /// The rows of `range`, of codes that are not packed: `blocks` to a row.
    pub(crate) fn slice(&self, range: Range<usize>, blocks: usize) -> Self {
        Self {
            codes: &self.codes[range.start * blocks..range.end * blocks],
            is_packed: false,
            count: range.len(),
            scale: &self.scale[4 * range.start..],
            low: &self.low[4 * range.start..],
            constant: &self.constant[4 * range.start..],
            ahead: &[],
        }
    }
}

/// What the estimates of a query take from it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuerySide {
    /// Added to all estimates.
    pub(crate) base: f32,
    /// Multiplies t and the row's scale.
    pub(crate) product: f32,
    /// Multiplies [`RowSide::low`].
    pub(crate) offset: f32,
    /// At least |offset| and |product · t|, whatever the row.
    pub(crate) reach: f32,
    /// Rows whose estimate is larger are not found.
    pub(crate) limit: f32,
}

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    /// Index among the rows.
    pub(crate) row: u32,
    /// The estimate.
    pub(crate) estimate: f32,
}

/// Share of the sizes of an estimate's terms that rounding may amount to, and more: 2⁻¹⁸.
const ROUNDING: f32 = 1.0 / (1 << 18) as f32;

/// A panel of queries, [`Lanes::Limited`](super::tile::Lanes::Limited), against rows by the [`Tile`], the best that a level has for many
/// against many.
///
/// **Rounding.** The tile fuses operations as its level does, so that what it computes may not decide. It rules out the rows for
/// which e − limit, as it computes it, exceeds a margin; the others get their estimates as the module's description says. With
/// S = |base| + |constant| + |product scale t| + |offset low|, both ways of computing err by less than 2⁻²⁰ (S + |limit|) in sum, eight roundings
/// each; the margin is 2⁻¹⁸ times |base| + |limit| + |constant| + (scale + |low|) · [`QuerySide::reach`], which is more. So no row is ruled out whose
/// estimate does not exceed the limit.
#[derive(Default)]
pub(crate) struct PanelScan {
    sides: [QuerySide; PANEL],
    terms: QueryTerms,
    rows: Vec<RowTerms>,
    survivors: [Vec<Survivor>; PANEL],
}

impl PanelScan {
    /// Takes the rows that panels are to meet.
    pub(crate) fn set_rows(&mut self, rows: &RowSide<'_>) {
        let term = |row: usize| {
            let (scale, low, constant) =
                (float(rows.scale, row), float(rows.low, row), float(rows.constant, row));
            let (size, radius) = (constant - ROUNDING * constant.abs(), scale.abs() + low.abs());
            RowTerms { scale, offset: low, sum: 0.0, radius, size }
        };
        self.rows.clear();
        self.rows.extend((0..rows.count).map(term));
    }

    /// Sets the terms of query `lane`.
    pub(crate) fn set_query(&mut self, lane: usize, side: QuerySide) {
        self.sides[lane] = side;
        let (base, limit) = (f64::from(side.base), f64::from(side.limit));
        let constant = base - limit - f64::from(ROUNDING) * (base.abs() + limit.abs());
        self.terms.constant[lane] = constant as f32;
        self.terms.product[lane] = side.product;
        self.terms.offset[lane] = side.offset;
        self.terms.radius[lane] = -ROUNDING * side.reach;
        self.terms.size[lane] = 1.0;
    }

    /// Appends to `found`, per query of `panel`, what is found among `rows`, those that were set, by ascending row.
    pub(crate) fn run(
        &mut self,
        level: Level,
        rows: &RowSide<'_>,
        panel: &Panel,
        found: &mut [Vec<Found>; PANEL],
    ) {
        let (queries, survivors) = (&self.terms, &mut self.survivors);
        level.tile(Tile { codes: rows.codes, rows: &self.rows, panel, queries, survivors });
        for ((side, survivors), found) in self.sides.iter().zip(&mut self.survivors).zip(found) {
            for Survivor { row, product, .. } in survivors.drain(..) {
                let RowTerms { scale, offset: low, .. } = self.rows[row as usize];
                let constant = float(rows.constant, row as usize);
                let linear = side.product * (scale * product as f32) + side.offset * low;
                let estimate = (side.base + constant) + linear;
                if estimate.is_nan() || estimate <= side.limit {
                    found.push(Found { row, estimate });
                }
            }
        }
    }
}

/// Stored f32 number `index`.
#[inline(always)]
pub(crate) fn float(stored: &[u8], index: usize) -> f32 {
    f32::from_le_bytes(stored.as_chunks::<4>().0[index])
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::quant::sq4;
    use crate::rng::Random;
    use crate::simd::Level;
    use crate::simd::scan_one::ScanOne;

    /// The estimate as the module's description defines it.
    fn by_hand(
        row: &[Block32],
        query: &[Block32],
        [scale, low, constant]: [f32; 3],
        terms: QuerySide,
    ) -> f32 {
        let codes = |blocks: &[Block32]| blocks.iter().flat_map(|block| block.0).collect::<Vec<u8>>();
        let t: i32 =
            codes(row).iter().zip(codes(query)).map(|(u, c)| i32::from(*u) * i32::from(c as i8)).sum();
        (terms.base + constant) + (terms.product * (scale * t as f32) + terms.offset * low)
    }

    fn scan_one(
        level: Level,
        rows: RowSide<'_>,
        runs: &[Range<usize>],
        query: &[Block32],
        terms: QuerySide,
    ) -> Vec<Found> {
        let mut found = Vec::new();
        level.run(ScanOne { rows, runs, query, terms, found: &mut found });
        found
    }

    #[test]
    fn one_query_and_many_have_the_same_estimates_at_every_level() {
        let mut random = Random::new(3, 0);
        let mut number = || random.next() as i32 as f32 / 2f32.powi(31);
        for (blocks, count) in [(1, 1usize), (1, 21), (3, 8), (4, 50), (5, 7), (9, 13)] {
            let mut code = |most: f32| Block32(std::array::from_fn(|_| (number() * most) as i8 as u8));
            let codes: Vec<Block32> = (0..count * blocks)
                .map(|_| Block32(code(95.0).0.map(|u| (u as i8).unsigned_abs())))
                .collect();
            let queries: Vec<Vec<Block32>> =
                (0..PANEL).map(|_| (0..blocks).map(|_| code(20.0)).collect()).collect();
            let stored: [Vec<f32>; 3] =
                std::array::from_fn(|_| (0..count.next_multiple_of(8)).map(|_| number()).collect());
            let [scale, low, constant] =
                stored.each_ref().map(|of| of.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
            let rows = RowSide {
                codes: &codes,
                is_packed: false,
                count,
                scale: &scale,
                low: &low,
                constant: &constant,
                ahead: &[],
            };
            let sides: Vec<QuerySide> = (0..PANEL)
                .map(|_| QuerySide {
                    base: number(),
                    product: number() * 1e-2,
                    offset: number(),
                    reach: 1e4,
                    limit: 1.0,
                })
                .collect();
            let want = |query: usize| -> Vec<Found> {
                let found = (0..count).map(|row| Found {
                    row: row as u32,
                    estimate: by_hand(
                        &codes[row * blocks..][..blocks],
                        &queries[query],
                        stored.each_ref().map(|of| of[row]),
                        sides[query],
                    ),
                });
                found.filter(|found| found.estimate <= sides[query].limit).collect()
            };
            for level in Level::all() {
                for live in [3, 8, 9, PANEL] {
                    let mut panel = Panel::empty();
                    panel.refill(blocks, queries[..1].iter().map(Vec::as_slice));
                    panel.refill(blocks, queries[..live].iter().map(Vec::as_slice));
                    let mut scan = PanelScan::default();
                    scan.set_rows(&rows);
                    sides.iter().enumerate().for_each(|(lane, side)| scan.set_query(lane, *side));
                    let mut found: [Vec<Found>; PANEL] = Default::default();
                    scan.run(level, &rows, &panel, &mut found);
                    for query in 0..live {
                        assert_eq!(found[query], want(query), "{level:?} {blocks} {count} {live} {query}");
                        let (codes, side) = (&queries[query], sides[query]);
                        let alone = scan_one(level, rows, from_ref(&(0..count)), codes, side);
                        assert_eq!(alone, found[query], "{level:?} {blocks} {count} {query}");
                        let runs = [count / 3..count, 0..count / 2, 0..0];
                        let of_run = |run: &Range<usize>| {
                            let run = run.start as u32..run.end as u32;
                            found[query].iter().filter(move |found| run.contains(&found.row)).copied()
                        };
                        let want: Vec<Found> = runs.iter().flat_map(of_run).collect();
                        assert_eq!(
                            scan_one(level, rows, &runs, codes, side),
                            want,
                            "{level:?} {blocks} {count}"
                        );
                    }
                    assert!(found[live..].iter().all(Vec::is_empty));
                }
            }
        }
    }

    #[test]
    fn packed_codes_have_the_estimates_of_what_they_are_packed_of() {
        let mut random = Random::new(5, 0);
        // As large as the lanes allow: over four blocks, 340 meet in a lane.
        for (blocks, count) in [(1, 9usize), (2, 8), (4, 3), (5, 1), (49, 11), (64, 10)] {
            let mut block = |most: u64, from: i32| {
                Block32(std::array::from_fn(|_| (random.below(most + 1) as i32 + from) as i8 as u8))
            };
            let codes: Vec<Block32> = (0..count * blocks).map(|_| block(15, 0)).collect();
            let packed: Vec<Block32> = codes.chunks_exact(blocks).flat_map(sq4::pack).collect();
            let terms: Vec<u8> =
                (0..count.next_multiple_of(8)).flat_map(|at| (at as f32).to_le_bytes()).collect();
            let rows = RowSide {
                codes: &codes,
                is_packed: false,
                count,
                scale: &terms,
                low: &terms,
                constant: &terms,
                ahead: &[],
            };
            for query in [vec![Block32([42; 32]); blocks], (0..blocks).map(|_| block(84, -42)).collect()] {
                let side =
                    QuerySide { base: 0.5, product: 1e-3, offset: -0.25, reach: 1.0, limit: f32::INFINITY };
                for level in Level::all() {
                    let all = 0..count;
                    let want = scan_one(level, rows, from_ref(&all), &query, side);
                    let rows = RowSide { codes: &packed, is_packed: true, ..rows };
                    let found = scan_one(level, rows, from_ref(&all), &query, side);
                    assert_eq!(found.len(), count);
                    assert_eq!(found, want, "{level:?} {blocks} {count}");
                }
            }
        }
    }

    #[test]
    fn lanes_hold_the_largest_codes_of_few_packed_blocks() {
        let terms: Vec<u8> = (0..16).flat_map(|at| (at as f32).to_le_bytes()).collect();
        for blocks in 1..=8 {
            let codes = vec![Block32([15; 32]); 11 * blocks];
            let packed: Vec<Block32> = codes.chunks_exact(blocks).flat_map(sq4::pack).collect();
            let (scale, ahead) = (&terms, terms.as_slice());
            let rows = RowSide {
                codes: &packed,
                is_packed: true,
                count: 11,
                scale,
                low: scale,
                constant: scale,
                ahead,
            };
            for code in [127, -127i8] {
                let query = vec![Block32([code as u8; 32]); blocks];
                let side =
                    QuerySide { base: 0.5, product: 1e-3, offset: -0.25, reach: 1.0, limit: f32::INFINITY };
                for level in Level::all() {
                    for Found { row, estimate } in scan_one(level, rows, from_ref(&(0..11)), &query, side) {
                        let want = by_hand(&codes[..blocks], &query, [row as f32; 3], side);
                        assert_eq!(estimate, want, "{level:?} {blocks} {code} {row}");
                    }
                }
            }
        }
    }
}
