//! Exact search equals brute force in f64: same rows, same order, same distances to the last bit, whatever the data,
//! the pieces, the threads and the instruction set.
#![allow(clippy::unwrap_used)]

use vexfs_ann::{DType, ExactScan, Level, Metric, Neighbor, Queries, Vectors, reference};

/// The levels of this machine; `VEXFS_SIMD_REQUIRE`, names separated by commas, makes a missing one a failure.
fn levels() -> Vec<Level> {
    let all = Level::all();
    for name in std::env::var("VEXFS_SIMD_REQUIRE").unwrap_or_default().split(',') {
        let has = name.is_empty() || all.iter().any(|level| level.name() == name);
        assert!(has, "VEXFS_SIMD_REQUIRE={name}, which this machine lacks");
    }
    all
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Uniform in −1 .. 1.
    fn float(&mut self) -> f32 {
        (self.next() as i32) as f32 / 2f32.powi(31)
    }
}

/// Rows and queries of one case, as numbers.
struct Case {
    name: String,
    dim: usize,
    rows: Vec<f32>,
    queries: Vec<f32>,
}

impl Case {
    fn new(name: &str, dim: usize, rows: Vec<f32>, queries: Vec<f32>) -> Self {
        Self { name: name.to_owned(), dim, rows, queries }
    }
}

/// Numbers as stored elements; integer types round and clamp.
fn store(dtype: DType, values: &[f32]) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::F16 => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        DType::BF16 => values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        DType::I8 => values.iter().map(|&x| (x * 100.0).round() as i8 as u8).collect(),
        DType::U8 => values.iter().map(|&x| (x * 100.0 + 100.0).round() as u8).collect(),
        DType::B1 => {
            values.chunks(8).map(|x| x.iter().fold(0, |bits, &x| bits << 1 | u8::from(x > 0.0))).collect()
        }
    }
}

fn is_deleted(deleted: Option<&[u64]>, row: usize) -> bool {
    deleted.is_some_and(|words| words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1))
}

/// The definition.
fn brute_force(
    distance: impl Fn(usize) -> f64,
    rows: usize,
    first: usize,
    k: usize,
    deleted: Option<&[u64]>,
) -> Vec<Neighbor> {
    let mut all: Vec<Neighbor> = (first..first + rows)
        .filter(|&row| !is_deleted(deleted, row))
        .map(|row| Neighbor { row: row as u64, distance: distance(row - first) })
        .collect();
    all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    all.truncate(k);
    all
}

/// Pushes rows in pieces of random size and random order into two scans, and merges them.
fn in_pieces(
    random: &mut Random,
    queries: &Queries,
    k: usize,
    level: Level,
    rows: Vectors<'_>,
    first: usize,
    deleted: Option<&[u64]>,
) -> Vec<Vec<Neighbor>> {
    let mut pieces = vec![];
    let mut start = 0;
    while start < rows.len() {
        let end = (start + 1 + random.below(90)).min(rows.len());
        pieces.push(start..end);
        start = end;
    }
    for i in (1..pieces.len()).rev() {
        pieces.swap(i, random.below(i + 1));
    }
    let mut scans = [(); 2].map(|()| ExactScan::with_level(queries, k, level).unwrap());
    for piece in pieces {
        let at = (first + piece.start) as u64;
        scans[random.below(2)].push(rows.slice(piece), at, deleted);
    }
    let [mut one, two] = scans;
    one.merge(two);
    one.finish()
}

/// Every way of searching must give `want`.
fn check(
    name: &str,
    queries: &Queries,
    k: usize,
    stored: &[u8],
    deleted: Option<&[u64]>,
    want: &[Vec<Neighbor>],
) {
    const FIRST: usize = 7;
    let mut random = Random(99);
    // One byte off any alignment.
    let mut shifted = vec![0xff; 1];
    shifted.extend_from_slice(stored);
    let rows = Vectors::new(&shifted[1..], queries.dim(), queries.dtype()).unwrap();
    for level in levels() {
        let mut whole = ExactScan::with_level(queries, k, level).unwrap();
        whole.push(rows, FIRST as u64, deleted);
        assert_eq!(whole.finish(), want, "{name}: {level:?}, one piece");
        let pieces = in_pieces(&mut random, queries, k, level, rows, FIRST, deleted);
        assert_eq!(pieces, want, "{name}: {level:?}, pieces");
    }
}

/// A case by all metrics, in one element type, as one batch and query by query.
fn check_numbers(case: &Case, dtype: DType, ks: &[usize], deleted: Option<&[u64]>) {
    const FIRST: usize = 7;
    let Case { dim, .. } = *case;
    let stored = store(dtype, &case.rows);
    let count = case.rows.len() / dim;
    let size = dtype.row_bytes(dim);
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let distance = |query: usize, row: usize| {
            let query = &case.queries[query * dim..][..dim];
            reference::distance(metric, dtype, query, &stored[row * size..][..size])
        };
        for &k in ks {
            let name = format!("{} {dtype} {metric} d={dim} n={count} k={k}", case.name);
            let want: Vec<_> = (0..case.queries.len() / dim)
                .map(|query| brute_force(|row| distance(query, row), count, FIRST, k, deleted))
                .collect();
            let batch = Queries::new(&case.queries, dim, dtype, metric).unwrap();
            check(&name, &batch, k, &stored, deleted, &want);
            for (query, want) in case.queries.chunks(dim).zip(&want).take(3) {
                let single = Queries::new(query, dim, dtype, metric).unwrap();
                check(&format!("{name} alone"), &single, k, &stored, deleted, std::slice::from_ref(want));
            }
        }
    }
}

const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];
const NUMBERS: [DType; 5] = [DType::F32, DType::F16, DType::BF16, DType::I8, DType::U8];

fn uniform(random: &mut Random, dim: usize, rows: usize, queries: usize) -> Case {
    let mut floats = |count: usize| (0..count * dim).map(|_| random.float()).collect::<Vec<_>>();
    let (rows, queries) = (floats(rows), floats(queries));
    Case::new("uniform", dim, rows, queries)
}

#[test]
fn uniform_rows_of_every_type_and_every_number_of_queries() {
    let mut random = Random(1);
    for dtype in NUMBERS {
        for queries in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 40] {
            let dim = 1 + random.below(70);
            check_numbers(&uniform(&mut random, dim, 300, queries), dtype, &[10], None);
        }
    }
}

#[test]
fn dimensions_from_one_to_4096() {
    let mut random = Random(2);
    for dtype in NUMBERS {
        for dim in [1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 784, 1000, 4096] {
            let rows = if dim > 500 { 60 } else { 150 };
            check_numbers(&uniform(&mut random, dim, rows, 9), dtype, &[3], None);
        }
    }
}

#[test]
fn k_below_at_and_above_the_number_of_rows_and_no_rows_at_all() {
    let mut random = Random(3);
    for dtype in [DType::F32, DType::U8] {
        for rows in [0, 1, 2, 29, 100] {
            let case = uniform(&mut random, 20, rows, 9);
            check_numbers(&case, dtype, &[1, 2, rows.max(1), rows + 1, 10_000, usize::MAX], None);
        }
    }
}

#[test]
fn no_queries_find_nothing() {
    let queries = Queries::new(&[], 3, DType::F32, Metric::L2).unwrap();
    let mut scan = ExactScan::new(&queries, 1).unwrap();
    scan.push(Vectors::new(&[0; 24], 3, DType::F32).unwrap(), 0, None);
    assert!(scan.finish().is_empty());
    assert!(ExactScan::new(&queries, 0).is_err());
}

#[test]
fn whole_numbered_queries_against_bytes() {
    let mut random = Random(4);
    for dtype in [DType::U8, DType::I8] {
        let low = if dtype == DType::U8 { 0.0 } else { -128.0 };
        for dim in [1, 16, 33, 784] {
            let mut case = uniform(&mut random, dim, 200, 12);
            for value in &mut case.queries {
                *value = low + random.below(256) as f32;
            }
            // One query in between cannot take the integer path.
            case.queries[5 * dim] += 0.25;
            check_numbers(&case, dtype, &[10], None);
            // Rows at equal distances: few different ones, many times over.
            let few = case.rows[..3 * dim].to_vec();
            case.rows = (0..200).flat_map(|_| few[random.below(3) * dim..][..dim].to_vec()).collect();
            check_numbers(&case, dtype, &[1, 10], None);
        }
    }
}

#[test]
fn duplicates_and_identical_rows_are_ordered_by_row() {
    let mut random = Random(5);
    for dtype in NUMBERS {
        let base = uniform(&mut random, 24, 10, 9);
        let repeated: Vec<f32> =
            (0..300).flat_map(|_| base.rows[random.below(10) * 24..][..24].to_vec()).collect();
        // The last query is one of the rows.
        let mut queries = base.queries.clone();
        queries[8 * 24..].copy_from_slice(&base.rows[..24]);
        check_numbers(&Case::new("duplicates", 24, repeated, queries.clone()), dtype, &[1, 10, 40], None);
        let same = base.rows[..24].repeat(200);
        check_numbers(&Case::new("identical", 24, same, queries), dtype, &[1, 10], None);
    }
}

#[test]
fn rows_that_come_nearest_last_or_nearest_first() {
    let mut random = Random(6);
    for dtype in FLOATS {
        for descending in [false, true] {
            let direction: Vec<f32> = (0..40).map(|_| random.float()).collect();
            let rows: Vec<f32> = (0..400)
                .map(|i| if descending { 400 - i } else { i })
                .flat_map(|i| direction.iter().map(move |x| x * i as f32 / 100.0))
                .collect();
            let queries = [vec![0.0; 40], direction.clone(), direction.iter().map(|x| x * -2.0).collect()];
            let queries = queries.concat().repeat(3);
            check_numbers(&Case::new("ordered", 40, rows, queries), dtype, &[10], None);
        }
    }
}

/// Exactness where f32 sums overflow or underflow, and codes and bounds with them.
#[test]
fn huge_tiny_and_mixed_magnitudes() {
    let mut random = Random(7);
    for scale in [1e18f32, 1e19, 1e25, 1e30, 1e38, 1e-18, 1e-23, 1e-30, 1e-38, 1e-44] {
        let mut case = uniform(&mut random, 37, 200, 9);
        case.name = format!("scaled by {scale}");
        case.rows.iter_mut().chain(&mut case.queries).for_each(|x| *x *= scale);
        check_numbers(&case, DType::F32, &[10], None);
        check_numbers(&case, DType::BF16, &[10], None);
        // Ordinary queries against the same rows, and the reverse.
        let ordinary = uniform(&mut random, 37, 200, 9);
        let name = format!("rows scaled by {scale}");
        check_numbers(&Case::new(&name, 37, case.rows, ordinary.queries.clone()), DType::F32, &[10], None);
        let name = format!("queries scaled by {scale}");
        check_numbers(&Case::new(&name, 37, ordinary.rows, case.queries), DType::F32, &[10], None);
    }
    for spread in [5, 20, 38] {
        let mut magnitude =
            |x: &mut f32| *x *= 10f32.powi(random.below(2 * spread + 1) as i32 - spread as i32);
        let mut case = uniform(&mut Random(8), 21, 300, 9);
        case.name = format!("elements over {} decades", 2 * spread);
        case.rows.iter_mut().chain(&mut case.queries).for_each(&mut magnitude);
        case.rows.iter_mut().chain(&mut case.queries).for_each(|x| *x = x.clamp(-1e38, 1e38));
        check_numbers(&case, DType::F32, &[10], None);
        let mut case = uniform(&mut Random(9), 21, 300, 9);
        case.name = format!("rows over {} decades", 2 * spread);
        for row in case.rows.chunks_mut(21) {
            let mut factor = 1.0;
            magnitude(&mut factor);
            row.iter_mut().for_each(|x| *x = (*x * factor).clamp(-1e38, 1e38));
        }
        check_numbers(&case, DType::F32, &[10], None);
    }
}

/// A partial sum that overflows says nothing about the sum: products of elements 0 and 32, which meet in one lane, cancel.
#[test]
fn products_that_overflow_on_the_way() {
    let mut random = Random(16);
    for count in [1, 9] {
        let mut case = uniform(&mut random, 64, 100, count);
        case.name = "cancelling".into();
        for query in case.queries.chunks_mut(64) {
            (query[0], query[32]) = (1e30, 1e30);
        }
        for (index, row) in case.rows.chunks_mut(64).enumerate() {
            (row[0], row[32]) = if index < 50 { (0.0, -1e8) } else { (-1e9, 1e9) };
        }
        check_numbers(&case, DType::F32, &[10], None);
    }
}

/// Differences near the last bit of an f32, far from the origin: everything hangs on the bounds.
#[test]
fn nearly_equal_rows() {
    let mut random = Random(10);
    for offset in [0.0f32, 1.0, 1000.0] {
        for dim in [3, 50] {
            let base: Vec<f32> = (0..dim).map(|_| offset + random.float()).collect();
            let mut near = |count: usize| -> Vec<f32> {
                let nudge = |x: f32, r: &mut Random| f32::from_bits(x.to_bits() + r.below(4) as u32);
                (0..count)
                    .flat_map(|_| base.iter().map(|&x| nudge(x, &mut random)).collect::<Vec<_>>())
                    .collect()
            };
            let case = Case::new("nearly equal", dim, near(300), near(9));
            check_numbers(&case, DType::F32, &[1, 10, 100], None);
            check_numbers(&case, DType::F16, &[10], None);
        }
    }
}

#[test]
fn zeros_among_rows_and_queries() {
    let mut random = Random(11);
    for dtype in NUMBERS {
        let mut case = uniform(&mut random, 19, 200, 9);
        case.name = "zeros".into();
        for row in [0, 3, 50, 51, 199] {
            case.rows[row * 19..][..19].fill(if dtype == DType::U8 { -1.0 } else { 0.0 });
        }
        case.queries[19..38].fill(0.0);
        case.queries[8 * 19..].fill(2.5);
        check_numbers(&case, dtype, &[1, 10, 200], None);
    }
}

#[test]
fn deleted_rows_are_not_found() {
    let mut random = Random(12);
    for dtype in [DType::F32, DType::U8] {
        let case = uniform(&mut random, 30, 300, 9);
        let some: Vec<u64> = (0..5).map(|_| random.next()).collect();
        // Shorter than the rows: those beyond are live.
        check_numbers(&case, dtype, &[10, 300], Some(&some[..2]));
        check_numbers(&case, dtype, &[10], Some(&some));
        check_numbers(&case, dtype, &[10], Some(&[u64::MAX; 5]));
        check_numbers(&case, dtype, &[10], Some(&[]));
    }
}

#[test]
fn bits() {
    let mut random = Random(13);
    for dim in (1..=130).chain([1024, 1030]) {
        for queries in [1, 2, 9] {
            let case = uniform(&mut random, dim, 200, queries);
            let pack =
                |values: &[f32]| values.chunks(dim).flat_map(|x| store(DType::B1, x)).collect::<Vec<_>>();
            let (stored, asked) = (pack(&case.rows), pack(&case.queries));
            let size = DType::B1.row_bytes(dim);
            let deleted = [random.next(), 0, random.next()];
            let want: Vec<_> = asked
                .chunks(size)
                .map(|query| {
                    let distance = |row: usize| reference::hamming(query, &stored[row * size..][..size]);
                    brute_force(distance, 200, 7, 20, Some(&deleted))
                })
                .collect();
            let queries = Queries::of_bits(&asked, dim).unwrap();
            check(&format!("bits d={dim}"), &queries, 20, &stored, Some(&deleted), &want);
        }
    }
}

/// Such rows cannot be stored; met all the same, they come last (or, as an infinite inner product, first) and leave
/// the others in order.
#[test]
fn rows_that_are_not_finite_disturb_nothing() {
    let mut random = Random(14);
    for count in [1, 9] {
        let mut case = uniform(&mut random, 20, 100, count);
        for (row, bad) in [(0, f32::NAN), (1, f32::INFINITY), (50, -f32::NAN), (51, f32::NEG_INFINITY)] {
            case.rows[row * 20 + row % 20] = bad;
        }
        let stored = store(DType::F32, &case.rows);
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let queries = Queries::new(&case.queries, 20, DType::F32, metric).unwrap();
            let want: Vec<_> = case
                .queries
                .chunks(20)
                .map(|query| {
                    let distance = |row: usize| {
                        let distance =
                            reference::distance(metric, DType::F32, query, &stored[row * 80..][..80]);
                        if distance.is_nan() { f64::INFINITY } else { distance }
                    };
                    brute_force(distance, 100, 7, 98, None)
                })
                .collect();
            check("not finite", &queries, 98, &stored, None, &want);
        }
    }
}

/// Enough rows for blocks to reach their full size, and clusters tight enough for the bounds to be tested.
#[test]
fn many_clustered_rows() {
    let mut random = Random(15);
    let dim = 48;
    let centres: Vec<f32> = (0..50 * dim).map(|_| random.float() * 3.0).collect();
    let mut near = |count: usize| -> Vec<f32> {
        let mut rows = vec![];
        for _ in 0..count {
            let centre = random.below(50) * dim;
            rows.extend((0..dim).map(|i| centres[centre + i] + 0.01 * random.float()));
        }
        rows
    };
    let case = Case::new("clustered", dim, near(9000), near(20));
    for dtype in [DType::F32, DType::F16] {
        check_numbers(&case, dtype, &[10, 300], None);
    }
}

/// Elements of very different size within a row, of which codes lose much: a dimension that outweighs the others, heavy tails, rows
/// of mostly zeros, norms over decades.
#[test]
fn rows_of_which_codes_lose_too_much() {
    let mut random = Random(17);
    for (kind, dim) in ["outweighing", "heavy", "sparse", "norms"].into_iter().zip([40, 65, 130, 33]) {
        let mut rows_of = |count: usize| -> Vec<f32> {
            let mut values = Vec::new();
            for _ in 0..count {
                let size = 10f32.powf(2.0 * random.float());
                values.extend((0..dim).map(|i| {
                    let uniform = random.float();
                    match kind {
                        "outweighing" if i == 5 => 300.0 + uniform,
                        "heavy" => (uniform * 1.57).tan(),
                        "sparse" if random.below(20) > 0 => 0.0,
                        "norms" => uniform * size,
                        _ => uniform,
                    }
                }));
            }
            values
        };
        let case = Case::new(kind, dim, rows_of(1500), rows_of(18));
        check_numbers(&case, DType::F32, &[10], None);
        check_numbers(&case, DType::BF16, &[10], None);
    }
}

#[test]
#[should_panic(expected = "rows and queries are of one kind")]
fn rows_of_another_kind_are_refused() {
    let queries = Queries::new(&[0.0; 3], 3, DType::F32, Metric::L2).unwrap();
    let rows = Vectors::new(&[0; 12], 3, DType::U8).unwrap();
    ExactScan::new(&queries, 1).unwrap().push(rows, 0, None);
}
