//! Searching an image where it lies.
//!
//! From the entry point greedily down to layer 0, there best-first with a beam of `ef` (Malkov and Yashunin, algorithms 2 and
//! 5), by estimates of the codes; the nearest `rerank` of the beam are decided by their full rows.
//!
//! Of inner products, layer 1 is walked over with a beam as well, and the walk over layer 0 starts from all that was found.
//!
//! Rows that are not to be found are walked over all the same: they hold the graph together. They take no place in the beam,
//! so that a filter costs time and not recall. Where it excludes so much that walking costs more than comparing all that is left, that
//! is done instead, and the answer is exact.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::beam::{self, Beam, Key, Met};
use super::open::Hnsw;
use super::params::Codes;
use super::query::{CodedQuery, Form};
use super::record::{Head, Layer};
use crate::index::{IndexError, Search, SearchStats};
use crate::simd::bits::BitQuery;
use crate::simd::{Job, Level, Simd};
use crate::{Metric, TopK, flat};

/// Words of the set of excluded rows that are looked at to tell which share of the rows may be found.
const SAMPLED_WORDS: usize = 1024;

/// Of the links of a node on the way, this share leads to nodes not met before: about half in the middle of a walk.
const FRESH_LINKS: f64 = 0.5;

/// A walk may go on from this many times as many nodes as a beam of allowed rows is expected to take.
const PATIENCE: f64 = 4.0;

/// Nodes after which the caller is asked whether to stop.
const INTERRUPTED_EVERY: u64 = 4096;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

/// Room for one walk, kept for the next.
#[derive(Default)]
struct Room {
    query: CodedQuery,
    met: Met,
    beam: Beam,
    /// Of a filtered walk: nodes to go on from.
    ahead: BinaryHeap<Reverse<Key>>,
    /// Where the walk over a layer starts.
    starts: Vec<Key>,
    fresh: Vec<u32>,
    rows: Vec<u64>,
    wide: Vec<f32>,
}

/// Answers the queries of `range`; see [`Index::search`](crate::index::Index::search).
pub(super) fn search(
    index: &Hnsw<'_>,
    search: &Search<'_>,
    range: std::ops::Range<usize>,
    tops: &mut [TopK],
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    index.check_search(search)?;
    if index.layers.is_empty() {
        return Ok(());
    }
    let share = allowed_share(index, search);
    let plan = Plan::new(index, search, share);
    ROOM.with_borrow_mut(|room| {
        for (query, top) in range.zip(tops) {
            if (search.interrupted)() {
                return Err(IndexError::Interrupted);
            }
            if plan.is_scan || !walk(index, search, &plan, query, room, top, stats)? {
                scan(index, search, query, room, top, stats)?;
            }
        }
        Ok(())
    })
}

/// How a search goes about it.
struct Plan {
    /// Places of the beam.
    ef: usize,
    /// Full rows compared.
    rerank: usize,
    /// All rows that may be found are compared.
    is_scan: bool,
    /// Rows are looked up among the excluded.
    is_filtered: bool,
    /// Nodes that a filtered walk goes on from at most.
    patience: u64,
}

impl Plan {
    fn new(index: &Hnsw<'_>, search: &Search<'_>, share: f64) -> Self {
        // A query that is a row asks for one more, the row itself, which the walk leaves out.
        let k = search.k.saturating_sub(usize::from(search.queries.own(0).is_some()));
        let rerank = (search.effort.rerank as usize).max(k);
        let ef = (search.effort.effort as usize).max(rerank);
        let nodes = index.header.indexed as f64;
        let hops = ef as f64 / share.max(1.0 / nodes);
        let walked = hops * index.params.width(0) as f64 * FRESH_LINKS;
        Self {
            ef,
            rerank,
            is_scan: walked >= nodes * share,
            is_filtered: share < 1.0,
            patience: (hops * PATIENCE) as u64,
        }
    }
}

/// Which share of the nodes may be found, by a sample if there are many; 1 only if nothing is excluded.
fn allowed_share(index: &Hnsw<'_>, search: &Search<'_>) -> f64 {
    let rows = &index.header.rows;
    let Some(words) = search.excluded else { return 1.0 };
    let last = usize::try_from(rows.end.div_ceil(64)).unwrap_or(usize::MAX).min(words.len());
    let first = usize::try_from(rows.start / 64).unwrap_or(usize::MAX).min(last);
    let words = &words[first..last];
    let covered = (rows.end - rows.start) as f64;
    let count =
        |words: &mut dyn Iterator<Item = u64>| words.map(|word| f64::from(word.count_ones())).sum::<f64>();
    let excluded = if words.len() <= 2 * SAMPLED_WORDS {
        count(&mut words.iter().copied())
    } else {
        // Multiples of the golden ratio fall evenly, and with no period that a filter could have.
        let pick = |i: usize| {
            let place = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            words[((u128::from(place) * words.len() as u128) >> 64) as usize]
        };
        count(&mut (0..SAMPLED_WORDS).map(pick)) * words.len() as f64 / SAMPLED_WORDS as f64
    };
    if excluded == 0.0 && words.len() <= 2 * SAMPLED_WORDS {
        return 1.0;
    }
    let allowed = (covered - excluded).max(0.0);
    (allowed / index.header.indexed.max(1) as f64).min(1.0 - f64::EPSILON)
}

/// Compares every row that may be found.
fn scan(
    index: &Hnsw<'_>,
    search: &Search<'_>,
    query: usize,
    room: &mut Room,
    top: &mut TopK,
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let rows = index.header.rows.clone();
    let mut start = rows.start;
    while start < rows.end {
        let end = rows.end.min(start + INTERRUPTED_EVERY);
        if (search.interrupted)() {
            return Err(IndexError::Interrupted);
        }
        room.rows.clear();
        room.rows.extend((start..end).filter(|row| !search.is_excluded(*row)));
        flat::offer_rows((search.queries, query), search.rows, &room.rows, top, &mut room.wide)?;
        stats.distance_computations += room.rows.len() as u64;
        stats.reranked += room.rows.len() as u64;
        start = end;
    }
    Ok(())
}

/// Walks the graph, and decides the nearest by their full rows; false if a filter left it without patience.
fn walk(
    index: &Hnsw<'_>,
    search: &Search<'_>,
    plan: &Plan,
    query: usize,
    room: &mut Room,
    top: &mut TopK,
    stats: &mut SearchStats,
) -> Result<bool, IndexError> {
    let Room { query: coded, met, beam, ahead, starts, fresh, rows, wide } = room;
    let form = if search.queries.metric() == Metric::Hamming {
        let bits = search.queries.bits(query);
        Form::Bits(BitQuery::new(bits, bits.len(), 0))
    } else {
        coded.set(search.queries, query, index.params.codes);
        Form::Numbers(coded, index.params.codes == Codes::Sq4)
    };
    ahead.clear();
    let own = search.queries.own(query);
    let walk = Walk { index, search, plan, form, own, met, beam, ahead, starts, fresh, stats };
    let is_done = Level::best().run(walk)?;
    if !is_done {
        return Ok(false);
    }
    rows.clear();
    for key in &beam.keys()[..plan.rerank.min(beam.keys().len())] {
        let (head, _) = index.layers[0].row(beam::node(*key))?;
        rows.push(index.row_number(head)?);
    }
    stats.distance_computations += rows.len() as u64;
    stats.reranked += rows.len() as u64;
    flat::offer_rows((search.queries, query), search.rows, rows, top, wide)?;
    Ok(true)
}

/// One walk; the beam has the result.
struct Walk<'a, 'i, 's> {
    index: &'a Hnsw<'i>,
    search: &'a Search<'s>,
    plan: &'a Plan,
    form: Form<'a>,
    /// The row that the query is: the walk passes it by, as that of any other query would have to.
    own: Option<u64>,
    met: &'a mut Met,
    beam: &'a mut Beam,
    ahead: &'a mut BinaryHeap<Reverse<Key>>,
    starts: &'a mut Vec<Key>,
    fresh: &'a mut Vec<u32>,
    stats: &'a mut SearchStats,
}

impl Job for Walk<'_, '_, '_> {
    type Out = Result<bool, IndexError>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Result<bool, IndexError> {
        let layers = &self.index.layers;
        let is_product = self.index.header.metric == Metric::InnerProduct;
        let beamed = layers.len().min(1 + usize::from(is_product));
        let mut node = 0;
        for level in (beamed..layers.len()).rev() {
            node = self.descend(simd, level, node)?;
        }
        let lowest = layers[beamed - 1];
        self.stats.distance_computations += 1;
        let (head, codes) = lowest.row(node)?;
        self.starts.clear();
        self.starts.push(beam::key(self.form.estimate(simd, head, codes), node));
        if beamed == 2 {
            // The largest products are often with rows that are large and far from each other.
            self.beam.reset(self.plan.rerank);
            self.met.reset(lowest.nodes());
            self.plain(simd, beamed - 1)?;
            self.starts.clear();
            for key in self.beam.keys() {
                let below = lowest.row(beam::node(*key))?.0.below.get();
                self.starts.push(beam::key(beam::estimate(*key), below));
            }
        }
        self.beam.reset(self.plan.ef);
        self.met.reset(layers[0].nodes());
        if self.plan.is_filtered { self.filtered(simd) } else { self.plain(simd, 0) }
    }
}

impl Walk<'_, '_, '_> {
    /// Whether a node of `level` is the query itself.
    #[inline(always)]
    fn is_own(&self, level: usize, head: &Head) -> Result<bool, IndexError> {
        let Some(own) = self.own else { return Ok(false) };
        let mut number = head.below.get();
        for layer in self.index.layers[..level].iter().rev() {
            number = layer.row(number)?.0.below.get();
        }
        Ok(self.index.header.rows.start.saturating_add(u64::from(number)) == own)
    }

    /// The node on the layer below of the one that is nearest, as far as going nearer step by step finds it.
    #[inline(always)]
    fn descend<S: Simd>(&mut self, simd: S, level: usize, start: u32) -> Result<u32, IndexError> {
        let layer = &self.index.layers[level];
        let (mut head, codes) = layer.row(start)?;
        let mut best = beam::key(self.form.estimate(simd, head, codes), start);
        self.stats.distance_computations += 1;
        loop {
            let here = best;
            let links = layer.links(beam::node(here))?;
            for link in links {
                layer.lines(link.get(), |line| simd.prefetch(line));
            }
            for link in links {
                let (other, codes) = layer.row(link.get())?;
                let key = beam::key(self.form.estimate(simd, other, codes), link.get());
                self.stats.distance_computations += 1;
                // Strictly nearer each time: this ends, whatever the links.
                if key < best && !self.is_own(level, other)? {
                    (best, head) = (key, other);
                }
            }
            if best == here {
                return Ok(head.below.get());
            }
        }
    }

    /// The links of `node` that were not met before, asked for; they count as met.
    #[inline(always)]
    fn gather<S: Simd>(&mut self, simd: S, layer: &Layer<'_>, node: u32) -> Result<(), IndexError> {
        self.fresh.clear();
        for link in layer.links(node)? {
            let link = link.get();
            if self.met.insert(link) {
                self.fresh.push(link);
                layer.lines(link, |line| simd.prefetch(line));
            }
        }
        layer.expect(self.fresh);
        self.stats.distance_computations += self.fresh.len() as u64;
        Ok(())
    }

    /// The walk from the starts on a layer all of whose nodes may be found.
    #[inline(always)]
    fn plain<S: Simd>(&mut self, simd: S, level: usize) -> Result<bool, IndexError> {
        let layer = &self.index.layers[level];
        for &start in self.starts.iter() {
            self.met.insert(beam::node(start));
            self.beam.insert(start);
        }
        let mut steps = 0;
        while let Some(node) = self.beam.pop() {
            self.pause(&mut steps)?;
            self.gather(simd, layer, node)?;
            for &link in self.fresh.iter() {
                let (head, codes) = layer.row(link)?;
                if !self.is_own(level, head)? {
                    self.beam.insert(beam::key(self.form.estimate(simd, head, codes), link));
                }
            }
            if let Some(next) = self.beam.peek() {
                layer.link_lines(next, |line| simd.prefetch(line));
            }
        }
        Ok(true)
    }

    /// The walk on layer 0 if some rows may not be found: the beam keeps only those that may. False without patience.
    #[inline(always)]
    fn filtered<S: Simd>(&mut self, simd: S) -> Result<bool, IndexError> {
        let layer = &self.index.layers[0];
        for at in 0..self.starts.len() {
            let start = self.starts[at];
            self.met.insert(beam::node(start));
            self.consider(start, layer.row(beam::node(start))?.0.below.get());
        }
        let mut steps = 0;
        while let Some(Reverse(key)) = self.ahead.pop() {
            if !self.beam.takes(key) {
                break;
            }
            self.pause(&mut steps)?;
            if steps > self.plan.patience {
                return Ok(false);
            }
            self.gather(simd, layer, beam::node(key))?;
            for at in 0..self.fresh.len() {
                let link = self.fresh[at];
                let (head, codes) = layer.row(link)?;
                let key = beam::key(self.form.estimate(simd, head, codes), link);
                if !self.is_own(0, head)? {
                    self.consider(key, head.below.get());
                }
            }
        }
        Ok(true)
    }

    /// Notes a node met in a filtered walk.
    #[inline(always)]
    fn consider(&mut self, key: Key, row: u32) {
        if !self.beam.takes(key) {
            return;
        }
        self.ahead.push(Reverse(key));
        if !self.search.is_excluded(self.index.header.rows.start.saturating_add(u64::from(row))) {
            self.beam.insert(key);
        }
    }

    /// Counts a step, and asks now and then whether to stop.
    #[inline(always)]
    fn pause(&mut self, steps: &mut u64) -> Result<(), IndexError> {
        *steps += 1;
        let asks = steps.is_multiple_of(INTERRUPTED_EVERY) && (self.search.interrupted)();
        if asks { Err(IndexError::Interrupted) } else { Ok(()) }
    }
}
