//! What a walk says it will ask for, so that it is fetched all at once from a device.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;

use vexfs_ann::index::{ImageBytes, IndexError, open};
use vexfs_ann::{DType, Metric, Vectors};

use crate::data::{clustered, effort, find, image, plan, queries, stored};

/// An image that notes where what is asked for begins, and what of it was announced before.
struct Noting {
    image: Vec<u8>,
    announced: Mutex<BTreeSet<u64>>,
    asked: Mutex<BTreeSet<u64>>,
    unannounced: Mutex<BTreeSet<u64>>,
}

impl ImageBytes for Noting {
    fn len(&self) -> u64 {
        ImageBytes::len(&self.image)
    }

    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        self.asked.lock().unwrap().insert(range.start);
        if !self.announced.lock().unwrap().contains(&range.start) {
            self.unannounced.lock().unwrap().insert(range.start);
        }
        self.image.bytes(range)
    }

    fn address(&self, at: u64) -> *const u8 {
        self.image.address(at)
    }

    fn expect(&self, ranges: &mut dyn Iterator<Item = Range<u64>>) {
        self.announced.lock().unwrap().extend(ranges.map(|range| range.start));
    }
}

#[test]
fn nodes_are_announced_before_the_first_of_a_step_is_asked_for() {
    const ROWS: usize = 3000;
    const DIM: usize = 16;
    let values = clustered(ROWS + 1, DIM, 1, false);
    let (bytes, _) = stored(&values[..ROWS * DIM], DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let noting = Noting {
        image: image("hnsw", &plan(&rows, Metric::L2, None)),
        announced: Mutex::default(),
        asked: Mutex::default(),
        unannounced: Mutex::default(),
    };
    let index = open(&noting).unwrap();
    for noted in [&noting.asked, &noting.unannounced] {
        noted.lock().unwrap().clear();
    }
    let one = queries(&values[ROWS * DIM..], DIM, DType::F32, Metric::L2);
    find(index.as_ref(), &rows, &one, (10, effort(80, 20)), None).unwrap();
    let [announced, asked, unannounced] =
        [&noting.announced, &noting.asked, &noting.unannounced].map(|noted| noted.lock().unwrap().clone());
    assert!(announced.is_subset(&asked), "nothing is announced in vain");
    // On the upper layers, which are small, and the start below them.
    assert!(unannounced.len() < announced.len() / 3, "{} of {}", unannounced.len(), asked.len());
}
