//! What is left out changes next to nothing.

use std::convert::Infallible;

use super::{Centroids, NONE, code, train, update};
use crate::rng::Random;
use crate::tile::{Coded, nearest};

const DIM: usize = 16;

/// Vectors about `clusters` centres, which are the same for all seeds.
fn clustered(count: usize, clusters: usize, seed: u64) -> Vec<f32> {
    let (mut places, mut random) = (Random::new(9, 1), Random::new(seed, 2));
    let centres: Vec<f32> = (0..clusters * DIM).map(|_| places.below(1000) as f32).collect();
    let centre = |at: usize| centres[at / DIM % clusters * DIM + at % DIM];
    (0..count * DIM).map(|at| centre(at) + random.below(300) as f32).collect()
}

/// The nearest of all centroids to each vector, and the squared distances.
fn nearest_of_all(vectors: &Coded, centroids: &Coded) -> (Vec<u32>, Vec<f32>) {
    let mut found = (Vec::new(), Vec::new());
    nearest(vectors.view(), centroids.view(), 1, None, |_, near| {
        found.0.push(near[0].row);
        found.1.push(near[0].distance);
    });
    found
}

#[test]
fn groups_find_nearly_the_nearest_of_many_centroids() {
    let (vectors, values) = (clustered(5000, 700, 1), clustered(3000, 700, 2));
    let (coded, centroids) = (code(&vectors, DIM), code(&values, DIM));
    let assigned = Centroids::new(&values, DIM, 3).assign(&coded);
    let (best, distances) = nearest_of_all(&coded, &centroids);
    let same = assigned.iter().zip(&best).filter(|(a, b)| a == b).count();
    assert!(same >= best.len() * 98 / 100, "{same} of {}", best.len());
    let (mut distance, mut of_groups) = (Vec::new(), 0.0);
    for (vector, list) in assigned.iter().enumerate() {
        coded.view().distances(vector, centroids.view(), &[*list], &mut distance);
        of_groups += f64::from(distance[0]);
    }
    let of_all: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
    assert!((of_all..1.005 * of_all).contains(&of_groups), "{of_groups} {of_all}");
    assert_eq!(Centroids::new(&[], DIM, 3).assign(&code(&vectors[..DIM], DIM)), [NONE]);
}

#[test]
fn candidates_near_the_last_centroid_train_as_well_as_all() {
    let (vectors, count) = (clustered(20_000, 150, 4), 300);
    let coded = code(&vectors, DIM);
    let spread = |centroids: &[f32]| {
        nearest_of_all(&coded, &code(centroids, DIM))
            .1
            .iter()
            .map(|distance| f64::from(*distance))
            .sum::<f64>()
    };
    let Ok(trained) = train(&vectors, DIM, count, 5, &|_| Ok::<(), Infallible>(()));
    let picks = Random::new(5, super::STREAM).sample(20_000, count);
    let mut by_all: Vec<f32> =
        picks.iter().flat_map(|pick| &vectors[*pick as usize * DIM..][..DIM]).copied().collect();
    for _ in 0..super::ROUNDS {
        let assigned = nearest_of_all(&coded, &code(&by_all, DIM)).0;
        update(&vectors, DIM, &assigned, &mut by_all);
    }
    let (spread, of_all) = (spread(&trained.centroids), spread(&by_all));
    assert!(spread < 1.01 * of_all, "{spread} {of_all}");
}

#[test]
fn threads_change_nothing() {
    let vectors = clustered(6000, 700, 6);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        pool.install(|| {
            let Ok(trained) = train(&vectors, DIM, 1500, 7, &|_| Ok::<(), Infallible>(()));
            (
                Centroids::new(&trained.centroids, DIM, 7).assign(&code(&vectors, DIM)),
                trained.centroids,
                trained.assigned,
            )
        })
    };
    assert!(with(1) == with(3));
}
