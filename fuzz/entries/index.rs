//! Arbitrary bytes as the files of an index: an image, a calibration, a description.
//!
//! No bytes may make one of them panic, hang, allocate more than the image is worth, or answer with rows that there are not; what is
//! read is written the same way.

use vexfs_ann::calibrate::Calibration;
use vexfs_ann::index::{self, Effort, Index, IndexSpec, Search, SearchStats};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

/// Rows of the collection, and their elements.
pub(crate) const ROWS: usize = 40;
pub(crate) const DIM: usize = 3;

/// The rows, f32: numbers that look random.
pub(crate) fn rows() -> Vec<u8> {
    let value = |n: u32| f32::from((n.wrapping_mul(40_503) >> 3) as u16) / 65_536.0;
    (0..(ROWS * DIM) as u32).flat_map(|n| value(n).to_le_bytes()).collect()
}

/// Takes `data` for each of the files.
///
/// # Panics
/// If the library breaks its contract.
pub(crate) fn run(data: &[u8]) {
    if let Ok(read) = Calibration::from_bytes(data) {
        assert_eq!(Calibration::from_bytes(&read.to_bytes()).expect("what was written"), read);
    }
    if let Ok(Ok(spec)) = std::str::from_utf8(data).map(str::parse::<IndexSpec>) {
        assert_eq!(spec.to_string().parse::<IndexSpec>().expect("what was written"), spec);
    }
    let image = data.to_vec();
    let Ok(opened) = index::open(&image) else { return };
    let _ = opened.verify(None, &|| false);
    drop((opened.efforts(10), opened.default_effort(10)));
    let header = opened.header();
    // A reader compares an image with its collection before it searches.
    let is_of_rows = (header.dtype, header.metric, header.dim) == (DType::F32, Metric::L2, DIM);
    if is_of_rows && header.rows == (0..ROWS as u64) {
        search(&*opened);
    }
}

fn search(opened: &dyn Index) {
    let bytes = rows();
    let rows = Vectors::new(&bytes, DIM, DType::F32).expect("whole rows");
    let queries = Queries::new(&[0.1, 0.5, 0.9], DIM, DType::F32, Metric::L2).expect("a query");
    for effort in [Effort { effort: 1, rerank: 4 }, Effort { effort: u32::MAX, rerank: u32::MAX }] {
        let search =
            Search { queries: &queries, k: 3, effort, rows: &rows, excluded: None, interrupted: &|| false };
        let mut tops = vec![TopK::new(3)];
        if opened.search(&search, 0..1, &mut tops, &mut SearchStats::default()).is_ok() {
            let hits = tops.remove(0).into_sorted();
            assert!(hits.is_sorted() && hits.iter().all(|hit| hit.row < ROWS as u64));
        }
    }
}
