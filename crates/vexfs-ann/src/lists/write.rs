//! The lists on their way out: as many at a time as fit the memory, each time in one pass over the rows.

use rayon::prelude::*;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::build::{LEAST_ROOM, ROW_BYTES};
use super::layout::{Place, Shape};
use super::params::Codes;
use super::space;
use super::train::{CHUNK, Lists, Placed, place};
use crate::index::image::ImageWriter;
use crate::index::{Build, IndexError};
use crate::quant::sq8::{self, Coder};
use crate::quant::{rabitq, sq4};
use crate::simd::codes::{CODE_MAX, LANE_SPAN};
use crate::{Metric, kmeans, reference};

/// The rows of a chunk, coded.
struct CodedChunk {
    /// Those of a row together.
    codes: Vec<u8>,
    /// Scale, low, constant; of signs, scale, constant, deviation; of product quantisation, constant.
    terms: Vec<f32>,
}

impl Lists {
    /// The shape of a list of `rows` rows.
    fn shape(&self, rows: usize) -> Shape {
        Shape::list(rows, self.dim, self.codes)
    }

    /// Where each list goes.
    pub(super) fn places(&self, assigned: &[u32]) -> Vec<Place> {
        let mut sizes = vec![0usize; self.count()];
        assigned.iter().filter(|list| **list != kmeans::NONE).for_each(|list| sizes[*list as usize] += 1);
        let mut offset = 0;
        let mut places = Vec::with_capacity(sizes.len() + 1);
        for size in sizes {
            places.push(place_at(offset, size));
            offset += self.shape(size).bytes();
        }
        places.push(place_at(offset, 0));
        places
    }

    /// Writes the lists, in passes over the rows, each of as many lists as there is memory for.
    pub(super) fn write(
        &self,
        build: &Build<'_>,
        live: &[u32],
        assigned: &[u32],
        places: &[Place],
        writer: &mut ImageWriter<'_>,
    ) -> Result<(), IndexError> {
        let slots = slots(assigned, self.count());
        let rows_room = ROW_BYTES * live.len() as u64;
        let room = build.memory.saturating_sub(rows_room).max(LEAST_ROOM);
        let window = (room / 4 / (10 * self.dim as u64 + 64)).max(1) as usize;
        let offset = |list: usize| places[list].offset.get();
        let mut first = 0;
        while first < self.count() {
            let mut end = first + 1;
            while end < self.count() && offset(end + 1) - offset(first) <= room / 2 {
                end += 1;
            }
            let mut bytes = vec![0; (offset(end) - offset(first)) as usize];
            let mine: Vec<u32> = (0..live.len() as u32)
                .filter(|&at| (first as u32..end as u32).contains(&assigned[at as usize]))
                .collect();
            for (index, window) in mine.chunks(window).enumerate() {
                let chunks: Vec<CodedChunk> = window
                    .par_chunks(CHUNK)
                    .map(|chunk| {
                        let rows: Vec<u32> = chunk.iter().map(|&at| live[at as usize]).collect();
                        let lists: Vec<u32> = chunk.iter().map(|&at| assigned[at as usize]).collect();
                        self.code(build, &rows, &lists)
                    })
                    .collect::<Result<_, _>>()?;
                for (chunk, coded) in window.chunks(CHUNK).zip(&chunks) {
                    self.put(chunk, coded, (live, assigned, &slots), places, offset(first), &mut bytes);
                }
                let done = (index * window.len()) as u64;
                build.step("writing lists", (offset(first) + done).min(offset(end)), offset(self.count()))?;
            }
            writer.write(&bytes)?;
            first = end;
        }
        Ok(())
    }

    /// Codes rows of the lists `lists`.
    fn code(&self, build: &Build<'_>, rows: &[u32], lists: &[u32]) -> Result<CodedChunk, IndexError> {
        let dim = self.dim;
        let Placed { mut values, places } = place(build, &self.space, rows)?;
        let centroid = |list: u32| &self.centroids[list as usize * dim..][..dim];
        for (value, &list) in values.chunks_exact_mut(dim).zip(lists) {
            value.iter_mut().zip(centroid(list)).for_each(|(value, centre)| *value -= centre);
        }
        let constant = |row: usize, decoded: &[f32]| {
            let value = &values[row * dim..][..dim];
            let constant = reference::dot(value, value) + 2.0 * reference::dot(centroid(lists[row]), decoded);
            match build.metric {
                Metric::InnerProduct => 0.0,
                // A zero vector is at cosine distance 1 from all, which is 2 here; zero itself is at 1 from a unit vector.
                Metric::Cosine if places[row] == space::Place::Zero => (constant + 1.0) as f32,
                _ => constant as f32,
            }
        };
        let mut decoded = vec![0.0; dim];
        let mut terms = Vec::new();
        if let Some(codebooks) = &self.codebooks {
            let pq_m = codebooks.shape().pq_m;
            let mut codes = vec![0; rows.len() * pq_m];
            for (row, (value, codes)) in
                values.chunks_exact(dim).zip(codes.chunks_exact_mut(pq_m)).enumerate()
            {
                codebooks.code(value, codes, &mut decoded);
                terms.push(constant(row, &decoded));
            }
            return Ok(CodedChunk { codes, terms });
        }
        if self.codes == Codes::Rabitq {
            let groups = rabitq::groups(dim);
            let mut codes = vec![0; rows.len() * groups];
            for (row, (value, codes)) in
                values.chunks_exact(dim).zip(codes.chunks_exact_mut(groups)).enumerate()
            {
                let coded = rabitq::code(value, codes, &mut decoded);
                terms.extend([coded.scale, constant(row, &decoded), coded.deviation]);
            }
            return Ok(CodedChunk { codes, terms });
        }
        let (most, blocks) =
            (if self.codes == Codes::Sq4 { sq4::MOST } else { CODE_MAX }, dim.div_ceil(LANE_SPAN));
        let mut coder = Coder::default();
        let (codes, coded) = coder.code(&values, dim, most);
        for (row, (codes, coded)) in codes.chunks_exact(blocks).zip(coded).enumerate() {
            sq8::decode(codes, coded.scale, coded.offset, &mut decoded);
            terms.extend([coded.scale, coded.offset, constant(row, &decoded)]);
        }
        let codes = match self.codes {
            Codes::Sq4 => codes.chunks_exact(blocks).flat_map(sq4::pack).flat_map(|block| block.0).collect(),
            _ => codes.as_bytes().to_vec(),
        };
        Ok(CodedChunk { codes, terms })
    }

    /// Puts coded rows to their places in lists that begin at `start` of the section.
    fn put(
        &self,
        chunk: &[u32],
        coded: &CodedChunk,
        (live, assigned, slots): (&[u32], &[u32], &[u32]),
        places: &[Place],
        start: u64,
        bytes: &mut [u8],
    ) {
        let (of_codes, of_terms) = (coded.codes.len() / chunk.len(), coded.terms.len() / chunk.len());
        let each = coded.codes.chunks_exact(of_codes).zip(coded.terms.chunks_exact(of_terms));
        for (&at, (codes, terms)) in chunk.iter().zip(each) {
            let place = &places[assigned[at as usize] as usize];
            let shape = self.shape(place.rows.get() as usize);
            let list = &mut bytes[(place.offset.get() - start) as usize..];
            let slot = slots[at as usize] as usize;
            shape.put_codes(list, slot, codes);
            shape.put_terms(list, slot, terms);
            shape.put_number(list, slot, live[at as usize]);
        }
    }
}

fn place_at(offset: u64, rows: usize) -> Place {
    Place { offset: U64::new(offset), rows: U32::new(rows as u32), reserved: U32::ZERO }
}

/// The place of each row within its list: in the order of the rows.
fn slots(assigned: &[u32], count: usize) -> Vec<u32> {
    let mut next = vec![0; count];
    let slot = |&list: &u32| {
        let Some(next) = next.get_mut(list as usize) else { return 0 };
        *next += 1;
        *next - 1
    };
    assigned.iter().map(slot).collect()
}
