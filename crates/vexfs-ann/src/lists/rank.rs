//! The lists of the nearest centroids of queries: of all, or of the groups that have nearly all of them.

use std::ops::Range;

use super::groups::Groups;
use super::layout::List;
use super::open::Lists;
use super::queries::Prepared;
use super::scan::{Scanner, Visit};
use crate::best::Best;
use crate::index::{IndexError, SearchStats};

/// What lists are ranked with.
pub(super) struct Ranking<'a, 'b> {
    pub(super) index: &'a Lists<'b>,
    pub(super) queries: &'a Prepared,
    pub(super) scanner: &'a mut Scanner,
    pub(super) stats: &'a mut SearchStats,
    /// Lists that each query wants.
    pub(super) probes: usize,
}

/// Queries, and the groups near each.
struct Near<'a, 'b> {
    groups: &'a Groups<'b>,
    /// Of all groups.
    centroids: List<'b>,
    visits: &'a [Visit],
    /// For each of `visits`, the nearest group first.
    nearest: Vec<Vec<u32>>,
}

impl Ranking<'_, '_> {
    /// The lists for each of `visits`, at the index of its query, whatever others are there.
    pub(super) fn of(&mut self, visits: &[Visit]) -> Result<Vec<Best>, IndexError> {
        let mut bests = self.none(self.probes);
        let centroids = self.index.centroids()?;
        let groups = self.index.groups.as_ref().map(|groups| (groups, groups.reach(self.probes)));
        let Some((groups, reach)) = groups.filter(|(groups, reach)| *reach < groups.count()) else {
            self.meet(&centroids, visits, &mut bests, self.probes, |_, _| true);
            return Ok(bests);
        };
        let mut near = self.none(reach);
        self.meet(&groups.centres()?, visits, &mut near, reach, |_, _| true);
        let mut nearest_of =
            |visit: &Visit| near[visit.query as usize].sorted().map(|(group, _)| group).collect();
        let nearest = visits.iter().map(&mut nearest_of).collect();
        let near = Near { groups, centroids, visits, nearest };
        let of_near = near.centroids.len() / groups.count() * reach;
        if self.scanner.is_faster_alone(visits.len(), of_near, near.centroids.len()) {
            self.meet_alone(&near, &mut bests)?;
        } else {
            self.meet_together(&near, &mut bests)?;
        }
        Ok(bests)
    }

    /// Room for the best `keep` of each query.
    fn none(&self, keep: usize) -> Vec<Best> {
        (0..self.queries.len()).map(|_| Best::new(keep)).collect()
    }

    /// Lets each query alone meet the centroids of the groups near it.
    fn meet_alone(&mut self, near: &Near<'_, '_>, bests: &mut [Best]) -> Result<(), IndexError> {
        let mut runs = Vec::new();
        for (visit, nearest) in near.visits.iter().zip(&near.nearest) {
            runs.clear();
            for group in nearest {
                runs.push(near.groups.lists(*group)?);
            }
            self.stats.distance_computations += runs.iter().map(Range::len).sum::<usize>() as u64;
            let best = &mut bests[visit.query as usize];
            self.scanner.meet_runs((near.centroids.rows(), &runs), self.queries, visit, best, self.probes);
        }
        Ok(())
    }

    /// Lets all queries meet the centroids of the groups near them, by panels.
    ///
    /// For panels of queries that have few groups in common it takes no longer to compare all centroids. Those of the nearest group come
    /// first: they leave little to look at in the others.
    fn meet_together(&mut self, near: &Near<'_, '_>, bests: &mut [Best]) -> Result<(), IndexError> {
        let Near { groups, centroids, visits, nearest } = near;
        let mut firsts = Vec::with_capacity(visits.len());
        let mut is_left = vec![false; self.queries.len() * groups.count()];
        for (visit, nearest) in visits.iter().zip(nearest) {
            let is_left = &mut is_left[visit.query as usize * groups.count()..][..groups.count()];
            nearest.iter().skip(1).for_each(|group| is_left[*group as usize] = true);
            firsts.extend(nearest.first().map(|group| (*group, *visit)));
        }
        firsts.sort_unstable_by_key(|(group, visit)| (*group, visit.query));
        for same in firsts.chunk_by(|a, b| a.0 == b.0) {
            let visits: Vec<Visit> = same.iter().map(|(_, visit)| *visit).collect();
            let lists = groups.lists(same[0].0)?;
            self.stats.distance_computations += (lists.len() * visits.len()) as u64;
            let some = (centroids.rows(), lists);
            self.scanner.meet_many(some, self.queries, &visits, bests, self.probes, |_, _| true);
        }
        let mut group_of = vec![0; centroids.len()];
        for group in 0..groups.count() as u32 {
            group_of[groups.lists(group)?].fill(group as usize);
        }
        let is_left = |visit: &Visit, list: u32| {
            is_left[visit.query as usize * groups.count() + group_of[list as usize]]
        };
        self.meet(centroids, visits, bests, self.probes, is_left);
        Ok(())
    }

    /// Lets queries meet all of `rows`; each keeps `keep` of those that it `may` find.
    fn meet(
        &mut self,
        rows: &List<'_>,
        visits: &[Visit],
        bests: &mut [Best],
        keep: usize,
        may: impl Fn(&Visit, u32) -> bool,
    ) {
        self.stats.distance_computations += (rows.len() * visits.len()) as u64;
        self.scanner.meet_many((rows.rows(), 0..rows.len()), self.queries, visits, bests, keep, may);
    }
}
