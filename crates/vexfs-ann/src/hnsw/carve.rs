//! Dividing rows into small overlapping parts, in which neighbours are sought by comparing all with all.
//!
//! Some rows are drawn as leaders, and each row joins the parts of the leaders nearest to it. Parts that are too large are divided
//! again. A pair of near rows meets in one part or another; what it costs is a small matrix product for each part, which is
//! the kind of work that processors do best.
//!
//! # Source
//! Ball carving of Chen et al. ("HCNNG", Pattern Recognition 96, 2019, with one leader) and Rubel et al. ("PiPNN",
//! arXiv:2602.21247), sections on partitioning. Deviation: leaders are visited in a tour of nearest next, which also
//! gives the order of the nodes in the image.

use rayon::prelude::*;

use super::space::Space;
use crate::rng::Random;

/// Rows of a part, about.
const PART_ROWS: usize = 512;

/// Rows of a part at most.
const MOST_ROWS: usize = 1024;

/// Parts with fewer rows are put together with others.
const FEW_ROWS: usize = 128;

/// Leaders at most; where rows are more than so many parts hold, parts are divided again.
const MOST_LEADERS: usize = 1000;

/// Parts that a row joins at each level of division.
const JOINED: [usize; 3] = [5, 2, 1];

/// Rows that one thread assigns at a time.
const CHUNK: usize = 1024;

/// Sets the random numbers of carving apart from others.
const STREAM: u64 = u64::from_le_bytes(*b"hnsw-cut");

/// Parts, and an order of all rows in which near ones are near.
pub(super) struct Carving {
    /// Rows of each part, ascending.
    pub(super) parts: Vec<Vec<u32>>,
    /// All rows.
    pub(super) order: Vec<u32>,
}

/// Divides the rows of `space`.
pub(super) fn carve(space: &Space, seed: u64) -> Carving {
    let all: Vec<u32> = (0..space.len() as u32).collect();
    if all.len() <= MOST_ROWS {
        return Carving { parts: vec![all.clone()], order: all };
    }
    let cut = Cut::new(space, &all, 0, seed);
    let mut rank = vec![0u32; cut.leaders];
    let tour = tour(&cut.space_of_leaders);
    for (place, &leader) in tour.iter().enumerate() {
        rank[leader as usize] = place as u32;
    }
    let mut order = all;
    let of = |row: &u32| &cut.joined[*row as usize * cut.each..][..cut.each];
    order.par_sort_by_key(|row| {
        let second = of(row).get(1).map_or(0, |leader| rank[*leader as usize]);
        (rank[of(row)[0] as usize], second, *row)
    });
    let parts = cut.parts(space, &(0..order.len() as u32).collect::<Vec<_>>(), 0, seed);
    Carving { parts, order }
}

/// One division.
struct Cut {
    leaders: usize,
    /// Leaders that each row joins.
    each: usize,
    /// Leaders of each row, nearest first.
    joined: Vec<u32>,
    space_of_leaders: Space,
}

impl Cut {
    fn new(space: &Space, rows: &[u32], level: usize, seed: u64) -> Self {
        let wanted = JOINED.get(level).copied().unwrap_or(1);
        let leaders = (rows.len() * wanted / PART_ROWS).clamp(4, MOST_LEADERS);
        let each = wanted.min(leaders / 4).max(1);
        // The rows of one part are not those of another, nor the same on another level.
        let purpose = STREAM ^ (level as u64) << 32 ^ u64::from(rows[0]);
        let drawn = Random::new(seed, purpose).sample(rows.len() as u64, leaders);
        let leaders: Vec<u32> = drawn.iter().map(|&at| rows[at as usize]).collect();
        let space_of_leaders = space.gather(&leaders);
        let joined: Vec<Vec<u32>> = rows
            .par_chunks(CHUNK)
            .map(|chunk| {
                let mut joined = Vec::with_capacity(chunk.len() * each);
                space.gather(chunk).nearest(&space_of_leaders, each, false, |_, list| {
                    joined.extend(list.iter().map(|near| near.row));
                });
                joined
            })
            .collect();
        Self { leaders: leaders.len(), each, joined: joined.concat(), space_of_leaders }
    }

    /// The parts of `rows`, which it is a division of, divided further where that is needed.
    fn parts(self, space: &Space, rows: &[u32], level: usize, seed: u64) -> Vec<Vec<u32>> {
        let mut balls = vec![Vec::new(); self.leaders];
        for (row, joined) in rows.iter().zip(self.joined.chunks_exact(self.each)) {
            joined.iter().for_each(|leader| balls[*leader as usize].push(*row));
        }
        let order = tour(&self.space_of_leaders);
        drop(self.space_of_leaders);
        let mut small = Vec::new();
        let mut whole = Vec::new();
        for leader in order {
            let ball = std::mem::take(&mut balls[leader as usize]);
            if ball.len() >= FEW_ROWS {
                whole.push(ball);
                continue;
            }
            small.extend(ball);
            if small.len() >= FEW_ROWS {
                whole.push(std::mem::take(&mut small));
            }
        }
        whole.push(small);
        let parts = whole.into_par_iter().map(|mut ball: Vec<u32>| {
            ball.sort_unstable();
            ball.dedup();
            if ball.len() <= MOST_ROWS {
                return vec![ball];
            }
            if ball.len() * 4 > rows.len() * 3 {
                // Leaders that tell nothing apart, as of equal rows: any division is as good.
                return ball.chunks(PART_ROWS).map(<[u32]>::to_vec).collect();
            }
            Cut::new(space, &ball, level + 1, seed).parts(space, &ball, level + 1, seed)
        });
        parts.flatten_iter().collect()
    }
}

/// All leaders, each followed by the nearest of those that are left.
fn tour(leaders: &Space) -> Vec<u32> {
    let mut left: Vec<u32> = (1..leaders.len() as u32).collect();
    let (mut tour, mut distances) = (vec![0], Vec::new());
    while !left.is_empty() {
        leaders.distances(tour[tour.len() - 1], &left, &mut distances);
        let nearest = (0..left.len()).min_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        tour.push(left.swap_remove(nearest.unwrap_or(0)));
    }
    tour
}
