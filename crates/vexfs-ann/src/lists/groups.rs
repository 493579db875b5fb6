//! Groups of lists whose centroids are near each other, so that a search need not compare a query with all centroids: it compares it with
//! the centres of groups, and with the centroids of the nearest.
//!
//! How many groups that takes depends on the rows: the build measures it.

use std::convert::Infallible;
use std::ops::Range;

use rayon::prelude::*;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::layout::{CENTRES, GROUPS, List, REACH, Shape};
use super::params::Params;
use crate::index::IndexError;
use crate::index::image::{Image, Section};
use crate::kmeans;
use crate::rng::Random;
use crate::tile::Coded;

/// Fewer lists are one group: to compare a query with all of their centroids takes no longer.
const FEWEST: usize = 512;

/// Groups for each root of the number of lists. As many centres as centroids are compared where 16 groups are met.
const GROUPS_PER_ROOT: f64 = 4.0;

/// Lists of a group, at least, in the mean: what a group takes besides is then little.
const LEAST_SIZE: usize = 16;

/// Vectors that tell how many groups have the nearest lists.
const WITNESSES: usize = 1000;

/// One of so many nearest lists may be in none of the groups that are met. Recall is then 0.0006 lower on SIFT by 16 lists, 0.0018 on
/// Fashion-MNIST by 8, and 0.0016 on a million rows of 16 inner dimensions by 2, but no lower by 4.
const MISSED: u64 = 500;

/// Sets the random numbers that choose the witnesses apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"witness ");

/// Numbers in [`REACH`] of groups of `nlist` lists: one for each power of two below it.
fn powers(nlist: usize) -> usize {
    nlist.next_power_of_two().ilog2() as usize
}

/// Groups on their way into an image.
pub(super) struct Grouped {
    dim: usize,
    /// count × dim; empty if all lists are one group.
    pub(super) centres: Vec<f32>,
    /// The first list of each group and behind them nlist.
    pub(super) starts: Vec<u32>,
}

impl Grouped {
    /// Groups centroids, nlist × `dim`, and puts them in the order of groups; besides, what was the number of each before.
    pub(super) fn train(centroids: &mut Vec<f32>, dim: usize, seed: u64) -> (Self, Vec<u32>) {
        let nlist = centroids.len() / dim;
        if nlist < FEWEST {
            return (Self { dim, centres: Vec::new(), starts: Vec::new() }, (0..nlist as u32).collect());
        }
        let count = (GROUPS_PER_ROOT * (nlist as f64).sqrt()).round() as usize;
        let count = count.min(nlist / LEAST_SIZE);
        let Ok(trained) = kmeans::train(centroids, dim, count, seed, &|_| Ok::<(), Infallible>(()));
        let (starts, lists) = kmeans::group(&trained.assigned, count);
        *centroids =
            lists.iter().flat_map(|list| &centroids[*list as usize * dim..][..dim]).copied().collect();
        let starts = starts.into_iter().map(|start| start as u32).collect();
        (Self { dim, centres: trained.centroids, starts }, lists)
    }

    /// Number of groups; 0 if all lists are one.
    pub(super) fn count(&self) -> usize {
        self.centres.len() / self.dim
    }

    /// For each power of two below nlist, how many of the nearest groups have nearly all of so many nearest lists: of some of `vectors`, those
    /// of the training set.
    ///
    /// `code` codes numbers × dim so that distances have the order of a search; `centroids` are in the order of groups.
    pub(super) fn reach(
        &self,
        code: impl Fn(&[f32]) -> Coded,
        centroids: &[f32],
        vectors: &[f32],
        seed: u64,
    ) -> Vec<u32> {
        let (dim, nlist, groups) = (self.dim, centroids.len() / self.dim, self.count());
        let picks = Random::new(seed, STREAM).sample((vectors.len() / dim) as u64, WITNESSES);
        let witnesses: Vec<f32> =
            picks.iter().flat_map(|pick| &vectors[*pick as usize * dim..][..dim]).copied().collect();
        let (witnesses, centres, centroids) = (code(&witnesses), code(&self.centres), code(centroids));
        let sizes = self.starts.windows(2).map(|lists| (lists[1] - lists[0]) as usize);
        let group_of: Vec<usize> =
            sizes.enumerate().flat_map(|(group, size)| std::iter::repeat_n(group, size)).collect();
        // For each power of two and each rank of a group: nearest lists that the power before does not have.
        let none = || vec![vec![0u64; groups]; powers(nlist)];
        let counts = (0..witnesses.len()).into_par_iter().fold(none, |mut counts, witness| {
            let mut ranks = vec![0; groups];
            let nearest_groups = nearest_first(&witnesses, witness, &centres);
            nearest_groups.into_iter().enumerate().for_each(|(rank, group)| ranks[group as usize] = rank);
            for (at, list) in nearest_first(&witnesses, witness, &centroids).into_iter().enumerate() {
                if let Some(counts) = counts.get_mut(powers(at + 1)) {
                    counts[ranks[group_of[list as usize]]] += 1;
                }
            }
            counts
        });
        let counts = counts.reduce(none, |mut sums, counts| {
            sums.iter_mut().flatten().zip(counts.iter().flatten()).for_each(|(sum, count)| *sum += count);
            sums
        });
        let (mut sums, mut least) = (vec![0; groups], 1);
        let reach = counts.iter().map(|counts| {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            let total: u64 = sums.iter().sum();
            let mut missed = total;
            let enough = sums.iter().position(|sum| {
                missed -= sum;
                missed * MISSED <= total
            });
            least = least.max(enough.map_or(groups, |rank| rank + 1));
            least as u32
        });
        reach.collect()
    }
}

/// All of `others`, those nearest to witness `witness` first.
fn nearest_first(witnesses: &Coded, witness: usize, others: &Coded) -> Vec<u32> {
    let mut order: Vec<u32> = (0..others.len() as u32).collect();
    let mut distances = Vec::with_capacity(order.len());
    witnesses.view().distances(witness, others.view(), &order, &mut distances);
    order.sort_unstable_by(|a, b| {
        distances[*a as usize].total_cmp(&distances[*b as usize]).then_with(|| a.cmp(b))
    });
    order
}

/// The groups of an image that was opened.
pub(super) struct Groups<'a> {
    dim: usize,
    centres: Section<'a>,
    starts: &'a [U32],
    reach: &'a [U32],
}

impl<'a> Groups<'a> {
    /// Those of an image with `params` of rows of `dim` elements; none if all lists are one group.
    pub(super) fn open(image: &Image<'a>, params: &Params, dim: usize) -> Result<Option<Self>, IndexError> {
        let (groups, nlist) = (params.groups, params.nlist);
        if groups == 0 {
            return Ok(None);
        }
        let (starts, at) = numbers(image, GROUPS, groups + 1)?;
        if (starts.first(), starts.last()) != (Some(&U32::ZERO), Some(&U32::new(nlist as u32))) {
            return Err(IndexError::damaged(at, "the groups are not those of all lists"));
        }
        let (reach, at) = numbers(image, REACH, powers(nlist))?;
        if reach.iter().any(|reach| !(1..=groups).contains(&(reach.get() as usize))) {
            return Err(IndexError::damaged(
                at,
                format!("what has the nearest lists are not 1 to {groups} groups"),
            ));
        }
        let centres = image.section(CENTRES)?.expect_len(Some(Shape::centroids(groups, dim).bytes()))?;
        Ok(Some(Self { dim, centres, starts, reach }))
    }

    /// Number of groups.
    pub(super) fn count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many of the nearest groups have nearly all of the `probes` nearest lists.
    pub(super) fn reach(&self, probes: usize) -> usize {
        self.reach.get(powers(probes)).map_or(self.count(), |reach| reach.get() as usize)
    }

    /// The centres.
    pub(super) fn centres(&self) -> Result<List<'a>, IndexError> {
        List::read(self.centres, 0, Shape::centroids(self.count(), self.dim))
    }

    /// The lists of group `group`, less than [`count`](Self::count).
    pub(super) fn lists(&self, group: u32) -> Result<Range<usize>, IndexError> {
        let ends = [0, 1].map(|end| self.starts[group as usize + end].get() as usize);
        let most = self.starts.last().map_or(0, |end| end.get() as usize);
        if ends[0] > ends[1] || ends[1] > most {
            return Err(IndexError::damaged(self.centres.offset(), format!("group {group} is out of order")));
        }
        Ok(ends[0]..ends[1])
    }
}

/// The `count` numbers of section `id`, and where it is.
fn numbers<'a>(image: &Image<'a>, id: u32, count: usize) -> Result<(&'a [U32], u64), IndexError> {
    let section = image.section(id)?.expect_len(Some(4 * count as u64))?;
    let numbers = <[U32]>::ref_from_bytes(section.bytes(0..section.len())?).unwrap_or_default();
    Ok((numbers, section.offset()))
}
