//! Lists in groups.

use std::ops::Range;

use vexfs_ann::index::image::TRAILER_BYTES;
use vexfs_ann::index::{self, Effort};
use vexfs_ann::{DType, Metric, Queries, Vectors};

use crate::hostile::{section, try_byte, try_search};
use crate::support::*;

/// Sections of the centres, of the first lists of groups, and of how many groups are met.
const CENTRES: u32 = 8;
const GROUPS: u32 = 9;
const REACH: u32 = 10;

/// Where the trailer of an image says how many groups there are.
fn count_at(image: &[u8]) -> Range<usize> {
    let at = image.len() - TRAILER_BYTES as usize + 56 + 28;
    at..at + 4
}

fn groups_of(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[count_at(image)].try_into().unwrap())
}

#[test]
fn a_query_meets_few_centroids_and_nearly_all_of_the_nearest_lists() {
    const LISTS: usize = 900;
    let mut random = Random(21);
    let clustered = random.clustered(20_000 + 100, 16);
    let bytes = store(DType::F32, &clustered[..20_000 * 16]);
    let rows = Vectors::new(&bytes, 16, DType::F32).unwrap();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let queries = Queries::new(&clustered[20_000 * 16..], 16, DType::F32, metric).unwrap();
        let truth = truth(rows, &queries, 10, None);
        let image = image(&format!("ivf,nlist={LISTS}"), &plan(&rows, metric));
        assert_eq!(groups_of(&image), 56);
        let opened = index::open(&image).unwrap();
        opened.verify(None, &|| false).unwrap();
        let recall_of = |image: &Vec<u8>, nprobe: u32| {
            let effort = Effort { effort: nprobe, rerank: 40 };
            let opened = index::open(image).unwrap();
            recall(&found(&*opened, &rows, &queries, 10, effort, None), &truth)
        };
        // An image without its groups is whole, and compares all centroids.
        let mut without = image.clone();
        without[count_at(&image)].fill(0);
        for nprobe in [1, 4, 16, LISTS as u32] {
            let (by_groups, by_all) = (recall_of(&image, nprobe), recall_of(&without, nprobe));
            assert!(by_groups >= by_all - 0.005, "{metric} {nprobe}: {by_groups} {by_all}");
        }
        let one = Queries::new(&clustered[20_000 * 16..][..16], 16, DType::F32, metric).unwrap();
        let effort = Effort { effort: 1, rerank: 40 };
        let compared = |image: &Vec<u8>| {
            let stats = found_at(&*index::open(image).unwrap(), &rows, &one, (10, effort), None).1;
            stats.distance_computations as usize
        };
        assert!(compared(&without) >= LISTS);
        assert!(compared(&image) < LISTS / 2, "{metric}: {}", compared(&image));
    }
}

#[test]
fn groups_that_lie_are_found() {
    let mut random = Random(22);
    let bytes = store(DType::F32, &random.clustered(1500, 3));
    let rows = Vectors::new(&bytes, 3, DType::F32).unwrap();
    let queries = Queries::new(&random.floats(4 * 3), 3, DType::F32, Metric::L2).unwrap();
    let one = Queries::new(&random.floats(3), 3, DType::F32, Metric::L2).unwrap();
    let good = image("ivf,nlist=600", &plan(&rows, Metric::L2));
    let groups = groups_of(&good) as usize;
    assert_eq!(groups, 37);
    let says = |bad: &Vec<u8>| match index::open(bad) {
        Ok(opened) => opened.verify(None, &|| false).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let (centres, starts, reach) = (section(&good, CENTRES), section(&good, GROUPS), section(&good, REACH));
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let cases: [(&str, Change<'_>); 8] = [
        ("code of the centres of groups is out of range", &|bad| bad[centres] = 96),
        ("term of the centres of groups is not finite", &|bad| {
            bad[centres + 32 * groups..][..4].copy_from_slice(&f32::NAN.to_le_bytes())
        }),
        ("the groups are not those of all lists", &|bad| bad[starts] = 1),
        ("the groups are not those of all lists", &|bad| bad[starts + 4 * groups] -= 1),
        ("is out of order", &|bad| bad[starts + 4 + 2] = 1),
        ("are not 1 to 37 groups", &|bad| bad[reach] = 0),
        ("are not 1 to 37 groups", &|bad| bad[reach] = 38),
        ("601 groups of 600 lists", &|bad| {
            let at = count_at(bad);
            bad[at].copy_from_slice(&601u32.to_le_bytes());
        }),
    ];
    for (what, change) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let said = says(&bad);
        assert!(said.contains(what), "{said} instead of {what}");
    }
    for at in (centres..centres + 32)
        .chain(starts..starts + 4 * groups + 4)
        .chain(reach..reach + 40)
        .chain(count_at(&good))
    {
        try_byte(&good, at, |opened| {
            try_search(opened, &rows, &queries, None);
            try_search(opened, &rows, &one, None);
        });
    }
}
