//! Images that lie: an error or an answer of the right form, and `verify` tells.

use vexfs_ann::index::image::TRAILER_BYTES;
use vexfs_ann::index::{IndexError, open};
use vexfs_ann::{DType, Metric, Vectors};

use crate::data::{clustered, effort, find, image, plan, queries, stored};

const ROWS: usize = 300;
const DIM: usize = 6;
/// Head 32, codes 32, 2 · 4 links of 4.
const STRIDE: usize = 96;

fn bytes_of(dtype: DType) -> Vec<u8> {
    stored(&clustered(ROWS, DIM, 1, false), DIM, dtype).0
}

#[test]
fn no_changed_byte_makes_a_search_panic_or_hang() {
    for (dtype, metric, spec) in [
        (DType::F32, Metric::L2, "hnsw,m=4"),
        (DType::I8, Metric::InnerProduct, "hnsw,m=4,codes=sq4"),
        (DType::B1, Metric::Hamming, "hnsw,m=4"),
    ] {
        let bytes = bytes_of(dtype);
        let rows = Vectors::new(&bytes, DIM, dtype).unwrap();
        let queries = queries(&clustered(2, DIM, 2, false), DIM, dtype, metric);
        let good = image(spec, &plan(&rows, metric, None));
        let few: Vec<u64> = (0..5).map(|_| 0x1111_0101_0000_1111).collect();
        for at in 0..good.len() {
            // Every byte of some records of each layer and of the trailer.
            let is_record = at % (7 * STRIDE) < STRIDE || at > good.len() - TRAILER_BYTES as usize - 600;
            if !is_record {
                continue;
            }
            for value in [0xff, good[at] ^ 1, good[at] ^ 0x80] {
                let mut bad = good.clone();
                bad[at] = value;
                let Ok(index) = open(&bad) else { continue };
                let _ = index.verify(None, &|| false);
                if index.header().dim != DIM {
                    continue;
                }
                for excluded in [None, Some(&few[..])] {
                    match find(index.as_ref(), &rows, &queries, (3, effort(4, 4)), excluded) {
                        Ok((found, _)) => assert!(found.iter().all(|found| found.len() <= 3)),
                        Err(IndexError::Damaged { .. } | IndexError::Mismatch(_)) => {}
                        Err(error) => panic!("byte {at}: {error}"),
                    }
                }
            }
        }
    }
}

#[test]
fn verify_names_each_contradiction() {
    let bytes = bytes_of(DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let good = image("hnsw,m=4", &plan(&rows, Metric::L2, None));
    let check = |change: &dyn Fn(&mut [u8])| {
        let mut bad = good.clone();
        change(&mut bad);
        match open(&bad).unwrap().verify(None, &|| false) {
            Err(IndexError::Damaged { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    let node = 10 * STRIDE;
    let (scale, sum, below, count, codes, links) =
        (node + 8, node + 16, node + 20, node + 24, node + 32, node + 64);
    assert!(good[count] >= 2, "a node with two links");
    let has = |what: String, part: &str| assert!(what.contains(part), "{what}");

    has(check(&|image| image[scale..scale + 4].copy_from_slice(&f32::NAN.to_le_bytes())), "no numbers");
    has(check(&|image| image[node..node + 8].copy_from_slice(&(-1.0f64).to_le_bytes())), "no numbers");
    has(check(&|image| image[sum] ^= 1), "codes out of range");
    has(check(&|image| image[codes] ^= 0x80), "codes out of range");
    has(check(&|image| image[codes + DIM] = 1), "codes out of range");
    has(check(&|image| image[count] = 9), "9 links of 8");
    has(check(&|image| image[links..links + 4].copy_from_slice(&300u32.to_le_bytes())), "a link to 300");
    has(check(&|image| image[links..links + 4].copy_from_slice(&10u32.to_le_bytes())), "a link to 10");
    has(check(&|image| image.copy_within(links..links + 4, links + 4)), "two links to");
    has(check(&|image| image.copy_within(below - STRIDE..below - STRIDE + 4, below)), "again");
    has(check(&|image| image[below..below + 4].copy_from_slice(&300u32.to_le_bytes())), "does not cover");
    // Nothing leads to any node any more.
    let cut =
        check(&|image| (0..ROWS).for_each(|node| image[node * STRIDE + 24..node * STRIDE + 26].fill(0)));
    has(cut, "not reached");
    // Node 3 of layer 1 says that it is above another node than it is.
    let layer_1 = (ROWS * STRIDE).next_multiple_of(64);
    let above = layer_1 + 3 * (32 + 32 + 16usize).next_multiple_of(32) + 20;
    has(check(&|image| image[above] ^= 1), "node 3");
    assert!(open(&good).unwrap().verify(None, &|| false).is_ok());
}
