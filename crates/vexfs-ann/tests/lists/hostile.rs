//! Images that lie.

use vexfs_ann::index::image::TRAILER_BYTES;
use vexfs_ann::index::{self, Effort, Index, Search, SearchStats};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

use crate::SPECS;
use crate::support::*;

/// Searches; what is found exists and is in order.
pub(crate) fn try_search(
    opened: &dyn Index,
    rows: &Vectors<'_>,
    queries: &Queries,
    excluded: Option<&[u64]>,
) {
    for effort in [Effort { effort: 1, rerank: 4 }, Effort { effort: u32::MAX, rerank: u32::MAX }] {
        let search = Search { queries, k: 3, effort, rows, excluded, interrupted: &|| false };
        let mut tops = vec![TopK::new(3); queries.len()];
        if opened.search(&search, 0..queries.len(), &mut tops, &mut SearchStats::default()).is_err() {
            continue;
        }
        for hits in tops.into_iter().map(TopK::into_sorted) {
            assert!(hits.is_sorted() && hits.iter().all(|hit| hit.row < rows.len() as u64));
        }
    }
}

/// Verifies images with another byte at `at`, and tries what can be opened.
pub(crate) fn try_byte(good: &[u8], at: usize, attempt: impl Fn(&dyn Index)) {
    for value in [good[at] ^ 1, good[at] ^ 0x80, 0xff] {
        let mut bad = good.to_vec();
        bad[at] = value;
        let Ok(opened) = index::open(&bad) else { continue };
        let _ = opened.verify(None, &|| false);
        attempt(&*opened);
    }
}

#[test]
fn no_byte_of_an_image_makes_a_search_panic() {
    let mut random = Random(10);
    let bytes = store(DType::F32, &random.clustered(40, 3));
    let rows = Vectors::new(&bytes, 3, DType::F32).unwrap();
    let queries = Queries::new(&random.floats(4 * 3), 3, DType::F32, Metric::L2).unwrap();
    let excluded = [0x5555u64];
    for spec in SPECS.into_iter().filter(|spec| *spec != "ivf") {
        let good = image(spec, &plan(&rows, Metric::L2));
        for at in 0..good.len() {
            let unused = good.len() - 72;
            if at >= unused || (good.len() - TRAILER_BYTES as usize + 300..unused).contains(&at) {
                continue;
            }
            try_byte(&good, at, |opened| {
                try_search(opened, &rows, &queries, None);
                try_search(opened, &rows, &queries, Some(&excluded));
                opened.efforts(10);
            });
        }
    }
}

/// Where section `id` begins, by the trailer's table.
pub(crate) fn section(image: &[u8], id: u32) -> usize {
    let trailer = &image[image.len() - TRAILER_BYTES as usize..];
    let entries = trailer[184..].chunks_exact(24);
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap()) as usize;
    entries
        .map(|entry| (&entry[..4], number(&entry[8..16])))
        .find(|entry| entry.0 == id.to_le_bytes())
        .unwrap()
        .1
}

/// Rows of the first list.
fn count_of(image: &[u8]) -> usize {
    let directory = section(image, 3);
    u32::from_le_bytes(image[directory + 8..directory + 12].try_into().unwrap()) as usize
}

#[test]
fn verify_finds_what_contradicts_the_rest() {
    let bytes = store(DType::F32, &Random(11).clustered(200, 5));
    let rows = Vectors::new(&bytes, 5, DType::F32).unwrap();
    let good = image("ivf,nlist=3", &plan(&rows, Metric::L2));
    let says = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = good.clone();
        change(&mut bad);
        match index::open(&bad) {
            Ok(opened) => opened.verify(None, &|| false).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    };
    let (mean, centroids) = (section(&good, 1), section(&good, 2));
    let (directory, lists) = (section(&good, 3), section(&good, 4));
    let count = count_of(&good);
    let numbers = lists + 32 * count + 3 * 4 * count.next_multiple_of(8);
    let nan = f32::NAN.to_le_bytes();
    type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
    let cases: [(&str, Change<'_>); 9] = [
        ("mean of the rows is not finite", &|bad| bad[mean..mean + 4].copy_from_slice(&nan)),
        ("term of the centroids is not finite", &|bad| {
            bad[centroids + 96..centroids + 100].copy_from_slice(&nan)
        }),
        ("code of the centroids is out of range", &|bad| bad[centroids] = 96),
        ("code of list 0 is out of range", &|bad| bad[lists + 32] = 255),
        ("term of list 0 is not finite", &|bad| bad[lists + 32 * count..][..4].copy_from_slice(&nan)),
        ("does not end where the next one begins", &|bad| bad[directory + 16] ^= 64),
        ("does not end where the next one begins", &|bad| bad[directory + 10] = 1),
        ("is in two lists", &|bad| bad.copy_within(numbers..numbers + 4, numbers + 4)),
        ("does not exist", &|bad| bad[numbers + 2] = 1),
    ];
    for (what, change) in cases {
        let said = says(change);
        assert!(said.contains(what), "{said} instead of {what}");
    }

    let good = image("ivf-pq,nlist=3", &plan(&rows, Metric::L2));
    let mut bad = good.clone();
    let at = section(&good, 6);
    bad[at..at + 4].copy_from_slice(&nan);
    let said = index::open(&bad).unwrap().verify(None, &|| false).unwrap_err().to_string();
    assert!(said.contains("a codeword is not finite"), "{said}");

    let good = image("ivf-pq,nlist=3,opq=1", &plan(&rows, Metric::L2));
    let mut bad = good.clone();
    let at = section(&good, 7);
    bad[at..at + 4].copy_from_slice(&nan);
    let said = index::open(&bad).err().unwrap().to_string();
    assert!(said.contains("a number of the rotation is not finite"), "{said}");

    let good = image("ivf,nlist=3,codes=rabitq", &plan(&rows, Metric::L2));
    let mut bad = good.clone();
    // Behind the codes of 32 rows: their scales, constants and deviations.
    let deviations =
        section(&good, 4) + 32 * count_of(&good).div_ceil(32) + 2 * 4 * count_of(&good).next_multiple_of(32);
    bad[deviations..deviations + 4].copy_from_slice(&nan);
    let said = index::open(&bad).unwrap().verify(None, &|| false).unwrap_err().to_string();
    assert!(said.contains("term of list 0 is not finite"), "{said}");
    let mut bad = good.clone();
    bad[good.len() - TRAILER_BYTES as usize + 56 + 20] = 3;
    let said = index::open(&bad).err().unwrap().to_string();
    assert!(said.contains("codes 3"), "{said}");

    let good = image("flat", &plan(&rows, Metric::L2));
    let mut bad = good.clone();
    bad[section(&good, 1) + 40] = 96;
    let said = index::open(&bad).unwrap().verify(None, &|| false).unwrap_err().to_string();
    assert!(said.contains("a code of row 1 is out of range"), "{said}");
}
