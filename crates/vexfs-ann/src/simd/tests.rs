//! Every kernel, at every level of this machine, against f64.

mod parts;

use std::marker::PhantomData;

use super::bits::BitQuery;
use super::codes::{CODE_MAX, CodeRows, LANE_SPAN, QUERY_LANE, RowCode};
use super::element::{BF16, Element, F16, F32, I8, U8};
use super::float::{FloatQuery, gamma};
use super::float_tile::{self, FloatPanel, FloatRows, FloatTile, Near, STEP, Term};
use super::int::{Byte, IntQuery, Signed, Unsigned};
use super::tile::{PANEL, Panel, QueryTerms, RowTerms, Survivor, Tile};
use super::{Block32, Job, Level, Simd};
use crate::{DType, reference};

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

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Within ± 4, with every bit of the fraction in use.
    fn float(&mut self) -> f32 {
        (self.next() as i32) as f32 / 2f32.powi(29)
    }

    /// One stored row of moderate numbers.
    fn row(&mut self, dtype: DType, dim: usize) -> Vec<u8> {
        match dtype {
            DType::F32 => (0..dim).flat_map(|_| self.float().to_le_bytes()).collect(),
            DType::F16 => (0..dim).flat_map(|_| half::f16::from_f32(self.float()).to_le_bytes()).collect(),
            DType::BF16 => (0..dim).flat_map(|_| half::bf16::from_f32(self.float()).to_le_bytes()).collect(),
            _ => self.bytes(dtype.row_bytes(dim)),
        }
    }
}

fn padded<T: Clone + Default>(values: &[T]) -> Vec<T> {
    let mut padded = values.to_vec();
    padded.resize(values.len().next_multiple_of(32), T::default());
    padded
}

/// What each kernel says of one row.
struct Glance<'a, E> {
    query: FloatQuery<'a>,
    bytes: &'a [u8],
    element: PhantomData<E>,
}

impl<E: Element> Job for Glance<'_, E> {
    type Out = (f32, (f32, f32));

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        (self.query.l2::<S, E>(simd, self.bytes), self.query.dot::<S, E>(simd, self.bytes))
    }
}

fn float_kernels_of<E: Element>(dtype: DType) {
    let mut random = Random(1);
    for level in Level::tested() {
        for dim in 1..=130 {
            let query: Vec<f32> = (0..dim).map(|_| random.float()).collect();
            let row = random.row(dtype, dim);
            let wide: Vec<f64> = reference::widen(dtype, &row).into_iter().map(f64::from).collect();
            let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
                query.iter().zip(&wide).map(|(&q, &x)| term(f64::from(q), x)).sum()
            };
            let allowed = gamma(dim);
            let padded = padded(&query);
            for start in 0..4 {
                for after in [0, 5, 64] {
                    // What surrounds the row must not matter: NaN in every float type.
                    let mut bytes = vec![0xff; start];
                    bytes.extend_from_slice(&row);
                    bytes.resize(start + row.len() + after, 0xff);
                    let (l2, (dot, norm)) = level.run(Glance::<E> {
                        query: FloatQuery::new::<E>(&padded, dim, 0),
                        bytes: &bytes[start..],
                        element: PhantomData,
                    });
                    let near = |got: f32, want: f64, size: f64| {
                        let error = (f64::from(got) - want).abs();
                        assert!(error <= allowed * size, "{level:?} {dtype} d={dim}: {got} is not {want}");
                    };
                    let distance = sum(&|q, x| (q - x) * (q - x));
                    near(l2, distance, distance);
                    near(dot, sum(&|q, x| q * x), sum(&|q, x| (q * x).abs()));
                    let squares = sum(&|_, x| x * x);
                    near(norm, squares, squares);
                }
            }
        }
    }
}

#[test]
fn float_kernels_stay_within_their_bound_at_all_lengths_and_alignments() {
    float_kernels_of::<F32>(DType::F32);
    float_kernels_of::<F16>(DType::F16);
    float_kernels_of::<BF16>(DType::BF16);
    float_kernels_of::<I8>(DType::I8);
    float_kernels_of::<U8>(DType::U8);
}

struct Whole<'a, B> {
    query: IntQuery<'a>,
    bytes: &'a [u8],
    byte: PhantomData<B>,
}

impl<B: Byte> Job for Whole<'_, B> {
    type Out = (i64, i64, (i64, i64));

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let l2 = self.query.l2::<S, B>(simd, self.bytes);
        let dot = self.query.dot::<S, B>(simd, self.bytes);
        (l2, dot, self.query.dot_and_norm::<S, B>(simd, self.bytes))
    }
}

fn int_kernels_of<B: Byte>(value: impl Fn(u8) -> i16) {
    let mut random = Random(2);
    for level in Level::tested() {
        for dim in (1..=130).chain([784, 65_536]) {
            for extreme in [false, true] {
                let (query, mut row) = match extreme {
                    // The largest differences and products of either byte type.
                    true => (vec![0x80u8; dim], vec![0x7fu8; dim]),
                    false => (random.bytes(dim), random.bytes(dim)),
                };
                let query: Vec<i16> = query.into_iter().map(&value).collect();
                let pairs = || query.iter().zip(&row).map(|(&q, &x)| (i64::from(q), i64::from(value(x))));
                let l2 = pairs().map(|(q, x)| (q - x) * (q - x)).sum::<i64>();
                let dot = pairs().map(|(q, x)| q * x).sum::<i64>();
                let norm = pairs().map(|(_, x)| x * x).sum::<i64>();
                row.insert(0, 0x55);
                row.extend([0xff; 40].iter().take(dim % 41));
                let padded = padded(&query);
                let got = level.run(Whole::<B> {
                    query: IntQuery::new(&padded, dim, 1 << 40),
                    bytes: &row[1..],
                    byte: PhantomData,
                });
                assert_eq!(got, (l2, dot, (dot, norm)), "{level:?} d={dim}");
            }
        }
    }
}

#[test]
fn byte_kernels_are_exact() {
    int_kernels_of::<Unsigned>(i16::from);
    int_kernels_of::<Signed>(|byte| i16::from(byte as i8));
}

struct Differ<'a>(BitQuery<'a>, &'a [u8]);

impl Job for Differ<'_> {
    type Out = u64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u64 {
        self.0.hamming(simd, self.1)
    }
}

#[test]
fn the_bit_kernel_is_exact() {
    let mut random = Random(3);
    for level in Level::tested() {
        for size in (1..=130).chain([8192]) {
            let (query, row) = (random.bytes(size), random.bytes(size));
            let want = reference::hamming(&query, &row);
            let padded = padded(&query);
            for (start, after) in [(0, 0), (1, 3), (3, 40)] {
                let mut bytes = vec![0xff; start];
                bytes.extend_from_slice(&row);
                bytes.resize(start + size + after, 0xff);
                let got = level.run(Differ(BitQuery::new(&padded, size, 64), &bytes[start..]));
                assert_eq!(got as f64, want, "{level:?} {size} bytes");
            }
        }
    }
}

/// Codes rows, all of one length.
fn code_rows<E: Element>(level: Level, rows: &[u8], dim: usize) -> (Vec<Block32>, Vec<RowCode>) {
    let (mut codes, mut coded, mut wide) = (vec![], vec![], vec![]);
    level.run(CodeRows::<E> {
        rows,
        dim,
        most: CODE_MAX,
        element: PhantomData,
        codes: &mut codes,
        coded: &mut coded,
        wide: &mut wide,
    });
    (codes, coded)
}

fn coding_of<E: Element>(dtype: DType) {
    let mut random = Random(4);
    for level in Level::tested() {
        for dim in 1..=130 {
            let mut rows = random.row(dtype, dim);
            rows.extend(random.row(dtype, dim));
            let (codes, coded) = code_rows::<E>(level, &rows, dim);
            for (index, (codes, coded)) in codes.chunks_exact(dim.div_ceil(32)).zip(&coded).enumerate() {
                let values = reference::widen(dtype, &rows[index * rows.len() / 2..][..rows.len() / 2]);
                let codes: Vec<u8> = codes.iter().flat_map(|block| block.0).collect();
                assert!(codes[..dim].iter().all(|&code| code <= CODE_MAX));
                assert!(codes[dim..].iter().all(|&code| code == 0), "padding has no code");
                let count = |power: u32| codes.iter().map(|&code| i64::from(code).pow(power)).sum::<i64>();
                assert_eq!((coded.sum, coded.squares), (count(1), count(2)));

                let (low, high) = (f32::INFINITY, f32::NEG_INFINITY);
                let (low, high) = values.iter().fold((low, high), |(l, h), &x| (l.min(x), h.max(x)));
                assert_eq!((coded.offset, coded.largest), (low, high.abs().max(low.abs())));
                let lost = values.iter().zip(&codes).map(|(&x, &code)| {
                    let coded = f64::from(coded.scale) * f64::from(code) + f64::from(low);
                    (f64::from(x) - coded).powi(2)
                });
                let (want, got) = (lost.sum::<f64>().sqrt(), f64::from(coded.residual).sqrt());
                let rounding = (dim as f64).sqrt() * f64::from(coded.largest) * 3.0 * 2f64.powi(-22);
                assert!((want - got).abs() <= got * gamma(dim) + rounding, "{level:?} d={dim}: {got} {want}");
                let half = f64::from(coded.scale) * 0.501 * (dim as f64).sqrt();
                assert!(want <= half + rounding, "codes are the nearest: {want} {half}");
                let norm: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                assert!((norm - f64::from(coded.norm)).abs() <= gamma(dim) * norm);
            }
        }
    }
}

#[test]
fn row_codes_lose_no_more_than_they_say() {
    coding_of::<F32>(DType::F32);
    coding_of::<F16>(DType::F16);
    coding_of::<BF16>(DType::BF16);
    coding_of::<I8>(DType::I8);
    coding_of::<U8>(DType::U8);
}

#[test]
fn a_row_that_is_not_finite_or_too_wide_has_a_residual_that_is_not_either() {
    for level in Level::tested() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for (dim, at) in [(3, 0), (3, 2), (8, 7), (37, 36), (64, 5)] {
                let mut row = vec![1.0f32; dim];
                row[0] = f32::MIN;
                row[at] = bad;
                if bad == f32::MAX && at == 0 {
                    continue;
                }
                let bytes: Vec<u8> = row.iter().flat_map(|x| x.to_le_bytes()).collect();
                let (_, coded) = code_rows::<F32>(level, &bytes, dim);
                assert!(!coded[0].residual.is_finite(), "{level:?} {bad} at {at}: {:?}", coded[0]);
            }
        }
    }
}

/// Terms by which exactly the pairs whose product of codes is at least `least` survive.
fn survive_from(least: f32, rows: usize) -> (Vec<RowTerms>, QueryTerms) {
    let row = RowTerms { scale: 1.0, offset: 0.0, sum: 0.0, radius: 0.0, size: 0.0 };
    let query = QueryTerms { constant: [least; PANEL], product: [-1.0; PANEL], ..Default::default() };
    (vec![row; rows], query)
}

#[test]
fn the_tile_multiplies_codes_exactly_up_to_the_limit_of_its_lanes() {
    let mut random = Random(5);
    for level in Level::tested() {
        for dim in (1..=130usize).chain([4096]) {
            // Whole tiles of rows, four at a time and fewer, with and without a remainder.
            let many: &[_] = if dim % 16 < 2 { &[(16, 16), (16, 80), (12, 101)] } else { &[] };
            for &(queries, rows) in [(1, 1), (8, 6), (9, 7), (16, 13)].iter().chain(many) {
                // Row codes at their largest, query codes alternating by span between the largest sums allowed.
                let blocks = dim.div_ceil(LANE_SPAN);
                let most = (QUERY_LANE / (LANE_SPAN as i32 / 2)) as i8;
                let codes: Vec<Vec<i8>> = (0..queries)
                    .map(|query| {
                        let sign =
                            |i: usize| if (i / LANE_SPAN + query).is_multiple_of(2) { most } else { -most };
                        (0..dim)
                            .map(|i| if query == 2 { random.next() as i8 % most } else { sign(i) })
                            .collect()
                    })
                    .collect();
                let mut row_codes = vec![Block32::ZERO; blocks * rows];
                for (index, block) in row_codes.iter_mut().enumerate() {
                    let used = (dim - index % blocks * LANE_SPAN).min(LANE_SPAN);
                    let code = |_| match index / blocks {
                        0 => CODE_MAX,
                        _ => (random.next() % (u64::from(CODE_MAX) + 1)) as u8,
                    };
                    block.0[..used].copy_from_slice(&(0..used).map(code).collect::<Vec<_>>());
                }
                let product = |row: usize, query: usize| -> i32 {
                    let row = row_codes[row * blocks..][..blocks].iter().flat_map(|block| block.0);
                    row.zip(&codes[query]).map(|(u, &c)| i32::from(u) * i32::from(c)).sum()
                };
                let panel = Panel::of_queries(&codes, dim);
                for (row, query) in [(0, 0), (rows - 1, queries - 1), (rows / 2, 2 % queries)] {
                    let least = product(row, query);
                    let (row_terms, query_terms) = survive_from(least as f32, rows);
                    let mut survivors: [Vec<Survivor>; PANEL] = Default::default();
                    level.tile(Tile {
                        codes: &row_codes,
                        rows: &row_terms,
                        panel: &panel,
                        queries: &query_terms,
                        survivors: &mut survivors,
                    });
                    for (query, survivors) in survivors.iter().enumerate() {
                        let want: Vec<u32> = match query < queries {
                            true => {
                                (0..rows as u32).filter(|&r| product(r as usize, query) >= least).collect()
                            }
                            false => vec![],
                        };
                        let found: Vec<u32> = survivors.iter().map(|s| s.row).collect();
                        assert!(survivors.iter().all(|s| s.product == product(s.row as usize, query)));
                        assert_eq!(found, want, "{level:?} d={dim} {queries} × {rows}, query {query}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_tile_adds_every_term_and_keeps_what_is_nan() {
    for level in Level::tested() {
        let row = |scale, offset, sum, radius, size| RowTerms { scale, offset, sum, radius, size };
        let rows = [
            row(2.0, 3.0, 5.0, 7.0, 11.0),
            row(2.0, 3.0, 5.0, 7.0, f32::NAN),
            row(2.0, 3.0, 5.0, 7.0, 11.5),
            row(2.5, 3.0, 5.0, 7.0, 11.0),
            row(2.0, 3.5, 5.0, 7.0, 11.0),
            row(2.0, 3.0, 5.5, 7.0, 11.0),
            row(2.0, 3.0, 5.0, 7.5, 11.0),
            row(f32::INFINITY, 3.0, 5.0, -f32::INFINITY, 11.0),
        ];
        // 17 · 2 · 4 + 19 · 3 + 23 · 5 + 29 · 7 + 31 · 11 = 852 for the first row.
        let of = |x| [x; PANEL];
        let mut queries = QueryTerms {
            constant: of(-852.0),
            product: of(17.0),
            offset: of(19.0),
            sum: of(23.0),
            radius: of(29.0),
            size: of(31.0),
        };
        queries.constant[1] = -851.5;
        queries.constant[2] = f32::NEG_INFINITY;
        queries.constant[3] = f32::NAN;
        let panel = Panel::of_queries(&vec![vec![1; 4]; 4], 4);
        let mut codes = Block32::ZERO;
        codes.0[..4].fill(1);
        let mut survivors: [Vec<Survivor>; PANEL] = Default::default();
        level.tile(Tile {
            codes: &[codes; 8],
            rows: &rows,
            panel: &panel,
            queries: &queries,
            survivors: &mut survivors,
        });
        let want: [&[u32]; 4] = [&[0, 1, 7], &[1, 7], &[0, 1, 2, 3, 4, 5, 6, 7], &[0, 1, 2, 3, 4, 5, 6, 7]];
        for (lane, want) in want.into_iter().enumerate() {
            let found: Vec<u32> = survivors[lane].iter().map(|s| s.row).collect();
            assert_eq!(found, want, "{level:?} query {lane}");
            // One pair at a time, the verdict is the same.
            let survives = |&row: &u32| !queries.rule_out(lane, &rows[row as usize], 4);
            assert_eq!((0..8).filter(survives).collect::<Vec<_>>(), want, "query {lane}");
        }
        assert!(survivors[4..].iter().all(Vec::is_empty));
    }
}

/// Elements of very different size, so that an error of an element that does not belong to its term shows.
#[test]
fn the_tile_of_numbers_stays_within_its_bound_and_keeps_what_is_within_the_limit_or_nan() {
    let mut random = Random(9);
    for level in Level::tested() {
        for dim in (1..=130usize).chain([511, 512, 513, 1029, 4096]) {
            for (live, count) in [(1, 1), (8, 6), (9, 7), (16, 23)] {
                let mut number = || random.float() * 2f32.powi((random.next() % 16) as i32);
                let steps = dim.div_ceil(STEP);
                let mut values = vec![[0.0; STEP]; count * steps];
                let mut row_of = |row: &mut [[f32; STEP]]| {
                    row.as_flattened_mut()[..dim].iter_mut().for_each(|value| *value = number())
                };
                values.chunks_exact_mut(steps).for_each(&mut row_of);
                let queries: Vec<f32> = (0..live * dim).map(|_| number()).collect();
                let of_queries: Vec<f32> = (0..live).map(|_| number()).collect();
                let mut heads: Vec<f32> = (0..count).map(|_| number()).collect();
                if count > 7 {
                    heads[7] = f32::NAN;
                }
                let panel = FloatPanel::new(dim, queries.chunks_exact(dim), of_queries.iter().copied());
                let rows = FloatRows { values: &values, heads: &heads };
                for term in [Term::Square, Term::Product] {
                    let found = |limits: &[f32; PANEL]| {
                        let mut survivors: [Vec<Near>; PANEL] = Default::default();
                        let survivors_of = &mut survivors;
                        level.float_tile(FloatTile {
                            rows,
                            panel: &panel,
                            term,
                            limits,
                            survivors: survivors_of,
                        });
                        survivors
                    };
                    let all = found(&[f32::INFINITY; PANEL]);
                    assert!(all[live..].iter().all(Vec::is_empty), "queries that do not exist");
                    for (query, all) in all[..live].iter().enumerate() {
                        assert!(all.iter().map(|near| near.row).eq(0..count as u32));
                        for near in all {
                            let row = near.row as usize;
                            let head = f64::from(heads[row]) * f64::from(of_queries[query]);
                            let pairs = values[row * steps..][..steps].as_flattened().iter();
                            let pairs = pairs.zip(&queries[query * dim..][..dim]);
                            let terms = pairs.map(|(&x, &q)| match term {
                                Term::Square => (f64::from(q) - f64::from(x)).powi(2),
                                Term::Product => f64::from(q) * f64::from(x),
                            });
                            let terms: Vec<f64> = terms.chain([head]).collect();
                            let (want, size) =
                                (terms.iter().sum::<f64>(), terms.iter().map(|t| t.abs()).sum::<f64>());
                            let error = (f64::from(near.sum) - want).abs();
                            let allowed = float_tile::gamma(dim) * size;
                            assert!(
                                error <= allowed || head.is_nan(),
                                "{level:?} d={dim}: {} {want}",
                                near.sum
                            );
                        }
                    }
                    // The sum itself is within the limit, the next number below is not; NaN keeps everything.
                    let middle: [f32; PANEL] =
                        std::array::from_fn(|query| all[query].get(count / 2).map_or(0.0, |near| near.sum));
                    for limits in [middle, middle.map(f32::next_down), [f32::NAN; PANEL]] {
                        for (query, (some, all)) in found(&limits).iter().zip(&all).enumerate() {
                            let limit = limits[query];
                            let kept =
                                |near: &&Near| near.sum <= limit || near.sum.is_nan() || limit.is_nan();
                            let want: Vec<u32> = all.iter().filter(kept).map(|near| near.row).collect();
                            let rows: Vec<u32> = some.iter().map(|near| near.row).collect();
                            assert_eq!(
                                rows, want,
                                "{level:?} d={dim} {term:?} {live} × {count}, query {query}"
                            );
                        }
                    }
                }
            }
        }
    }
}
