//! The bytes of a calibration: `docs/format/indexes/calibration.md`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::curve::{Calibration, Curve, Point};
use crate::index::{Effort, IndexError};

const MAGIC: [u8; 4] = *b"VXCL";
const VERSION: u16 = 1;
/// Largest number of curves.
const MAX_CURVES: usize = 8;
/// Largest number of points of a curve.
const MAX_POINTS: usize = 256;

/// No calibration is longer, bytes.
pub const MAX_BYTES: usize =
    size_of::<Head>() + MAX_CURVES * (size_of::<CurveHead>() + MAX_POINTS * size_of::<PointBytes>());

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 4],
    version: U16,
    curve_count: U16,
    queries: U32,
    reserved: U32,
    seed: U64,
    first_row: U64,
    end_row: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CurveHead {
    k: U32,
    point_count: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PointBytes {
    effort: U32,
    rerank: U32,
    found: U64,
    found_squared: U64,
    distance_computations: U64,
    reranked: U64,
}

impl Calibration {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let curves = &self.curves[..self.curves.len().min(MAX_CURVES)];
        let head = Head {
            magic: MAGIC,
            version: U16::new(VERSION),
            curve_count: U16::new(curves.len() as u16),
            queries: U32::new(self.queries),
            reserved: U32::ZERO,
            seed: U64::new(self.seed),
            first_row: U64::new(self.rows.start),
            end_row: U64::new(self.rows.end),
        };
        let mut bytes = head.as_bytes().to_vec();
        for curve in curves {
            let points = &curve.points[..curve.points.len().min(MAX_POINTS)];
            let head = CurveHead { k: U32::new(curve.k), point_count: U32::new(points.len() as u32) };
            bytes.extend_from_slice(head.as_bytes());
            for point in points {
                let point = PointBytes {
                    effort: U32::new(point.effort.effort),
                    rerank: U32::new(point.effort.rerank),
                    found: U64::new(point.found),
                    found_squared: U64::new(point.found_squared),
                    distance_computations: U64::new(point.distance_computations),
                    reranked: U64::new(point.reranked),
                };
                bytes.extend_from_slice(point.as_bytes());
            }
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Bytes behind the last point are ignored.
    ///
    /// # Errors
    /// [`IndexError::Unknown`] for another version; [`IndexError::Damaged`] for anything that no measurement gives.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let mut rest = bytes;
        let head: Head = take(bytes, &mut rest)?;
        if head.magic != MAGIC {
            return Err(IndexError::damaged(0, "no calibration begins here"));
        }
        if head.version.get() != VERSION {
            return Err(IndexError::Unknown { what: format!("calibration of version {}", head.version) });
        }
        let rows = head.first_row.get()..head.end_row.get();
        if rows.start > rows.end || usize::from(head.curve_count.get()) > MAX_CURVES {
            return Err(IndexError::damaged(0, "calibration: rows or curves out of range"));
        }
        let queries = head.queries.get();
        let mut curves: Vec<Curve> = Vec::new();
        for _ in 0..head.curve_count.get() {
            let at = (bytes.len() - rest.len()) as u64;
            let head: CurveHead = take(bytes, &mut rest)?;
            let (k, count) = (head.k.get(), head.point_count.get() as usize);
            let last = curves.last().map_or(0, |curve| curve.k);
            if k <= last || count > MAX_POINTS {
                return Err(IndexError::damaged(at, format!("calibration: {count} points of k = {k}")));
            }
            let mut points = Vec::with_capacity(count);
            for _ in 0..count {
                let at = (bytes.len() - rest.len()) as u64;
                let point: PointBytes = take(bytes, &mut rest)?;
                points.push(point.check(k, queries).ok_or_else(|| {
                    IndexError::damaged(at, "calibration: counts that contradict each other")
                })?);
            }
            curves.push(Curve { k, points });
        }
        Ok(Self { queries, seed: head.seed.get(), rows, curves })
    }
}

impl PointBytes {
    /// The point, if its counts can be those of `queries` queries for `k` neighbours.
    fn check(&self, k: u32, queries: u32) -> Option<Point> {
        let (found, squared) = (u128::from(self.found.get()), u128::from(self.found_squared.get()));
        let (k, queries) = (u128::from(k), u128::from(queries));
        // Each query found between 0 and k, and squares are least where all found the same.
        let possible = found <= k * queries && squared <= k * found && squared * queries >= found * found;
        (possible && self.reranked.get() <= self.distance_computations.get()).then(|| Point {
            effort: Effort { effort: self.effort.get(), rerank: self.rerank.get() },
            found: self.found.get(),
            found_squared: self.found_squared.get(),
            distance_computations: self.distance_computations.get(),
            reranked: self.reranked.get(),
        })
    }
}

/// The record at the beginning of `rest`, which lies within `whole`.
fn take<T: FromBytes>(whole: &[u8], rest: &mut &[u8]) -> Result<T, IndexError> {
    let at = (whole.len() - rest.len()) as u64;
    let (record, behind) =
        T::read_from_prefix(rest).map_err(|_| IndexError::damaged(at, "calibration: cut short"))?;
    *rest = &rest[rest.len() - behind.len()..];
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration() -> Calibration {
        let point = |effort, found, found_squared| Point {
            effort: Effort { effort, rerank: 3 * effort },
            found,
            found_squared,
            distance_computations: 1000,
            reranked: 7,
        };
        Calibration {
            queries: 100,
            seed: 42,
            rows: 5..700,
            curves: vec![
                Curve { k: 1, points: vec![point(1, 90, 90)] },
                Curve { k: 10, points: vec![point(1, 900, 8500), point(9, 1000, 10_000)] },
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = calibration().to_bytes();
        assert_eq!(Calibration::from_bytes(&bytes).unwrap(), calibration());
        let padded = [bytes, vec![0; 50]].concat();
        assert_eq!(Calibration::from_bytes(&padded).unwrap(), calibration());
    }

    #[test]
    fn bytes_that_no_measurement_gives_are_refused() {
        let good = calibration().to_bytes();
        for len in 0..good.len() {
            assert!(Calibration::from_bytes(&good[..len]).is_err(), "{len}");
        }
        let with = |change: &dyn Fn(&mut Calibration)| {
            let mut changed = calibration();
            change(&mut changed);
            Calibration::from_bytes(&changed.to_bytes())
        };
        assert!(with(&|c| c.curves[0].points[0].found = 101).is_err());
        assert!(with(&|c| c.curves[1].points[0].found_squared = 9001).is_err());
        assert!(with(&|c| c.curves[1].points[0].found_squared = 8000).is_err());
        assert!(with(&|c| c.curves[0].k = 10).is_err());
        assert!(with(&|c| c.curves[0].k = 0).is_err());
        assert!(with(&|c| c.curves[0].points[0].reranked = 1001).is_err());
        assert!(with(&|c| c.rows = std::ops::Range { start: 6, end: 5 }).is_err());
        let mut later = good.clone();
        later[4] = 2;
        assert!(matches!(Calibration::from_bytes(&later), Err(IndexError::Unknown { .. })));
    }

    #[test]
    fn whatever_is_read_can_be_chosen_from() {
        let good = calibration().to_bytes();
        for byte in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[byte] = value;
                let Ok(read) = Calibration::from_bytes(&bytes) else { continue };
                for k in [0, 1, 5, 10, 1000] {
                    read.choose(k, 0.9);
                }
            }
        }
    }
}
