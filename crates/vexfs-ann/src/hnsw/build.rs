//! Building: all rows at once, not one after the other.
//!
//! 1. The rows are coded ([`space`](super::space)) and divided into overlapping parts ([`carve`](super::carve)), which also gives
//!    the order of the nodes.
//!    Of rows with equal codes one stands for all until the links are there ([`twins`](super::twins)).
//! 2. Each row's nearest in its parts become candidates, and some of them links ([`candidates`](super::candidates)).
//! 3. Links are made mutual ([`links`](super::links)), and selected again from what walks over them find ([`refine`](super::refine)).
//! 4. What is not reached is linked in ([`connect`](super::connect)).
//!
//! The upper layers are built the same way, each over the nodes that reach it: a node of layer l is on layer l + 1 with
//! probability 1/M, by a number that depends on the seed and the row.

use std::io::Write;

use rayon::prelude::*;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{F32, F64, U16, U32};

use super::candidates::first_links;
use super::carve::{Carving, carve};
use super::connect::connect;
use super::links::Links;
use super::open::LAYERS_SECTION;
use super::params::{Codes, MAX_LAYERS, Params};
use super::record::{HEAD_BYTES, Head, Shape};
use super::refine::refine;
use super::space::Space;
use super::twins::Twins;
use crate::Metric;
use crate::index::image::ImageWriter;
use crate::index::{Build, IndexError, Kind};
use crate::rng::Random;
use crate::tile::Stored;

/// Records that one thread writes at a time.
const CHUNK: usize = 1024;

/// Chunks of records that are made before they are written.
const CHUNKS: usize = 16;

/// Sets the random numbers of levels apart from others.
const STREAM: u64 = u64::from_le_bytes(*b"hnsw-lev");

/// Builds a graph over the rows of `build` and writes its image.
pub(super) fn build(params: &Params, build: &Build<'_>, out: &mut dyn Write) -> Result<(), IndexError> {
    let live = build.live();
    if live.len() as u64 > u64::from(super::MAX_NODES) {
        return Err(IndexError::Mismatch(format!("{} rows are more than a graph can have", live.len())));
    }
    let mut writer = ImageWriter::new(out);
    let layers = layers(params, build, &live)?;
    for (number, layer) in layers.iter().enumerate() {
        writer.section(LAYERS_SECTION + number as u32)?;
        layer.write(params, build, number, &mut writer)?;
    }
    writer.finish(&build.header(Kind::Hnsw, live.len() as u64, params.store(layers.len())))
}

/// One layer.
struct Layer {
    space: Space,
    links: Links,
    /// The row of each node, or its node on the layer below.
    below: Vec<u32>,
}

/// All layers, the lowest first.
fn layers(params: &Params, build: &Build<'_>, live: &[u32]) -> Result<Vec<Layer>, IndexError> {
    if live.is_empty() {
        return Ok(Vec::new());
    }
    let space = Space::read(build, live)?;
    build.step("dividing", 0, 1)?;
    let twins = Twins::of(&space);
    let firsts = if twins.is_empty() { space } else { space.gather(&twins.firsts) };
    let Carving { mut parts, order } = carve(&firsts, build.seed);
    let mut place_of = vec![0; order.len()];
    for (place, first) in order.iter().enumerate() {
        place_of[*first as usize] = place as u32;
    }
    parts.par_iter_mut().for_each(|part| {
        part.iter_mut().for_each(|first| *first = place_of[*first as usize]);
        part.sort_unstable();
    });
    let firsts = firsts.gather(&order);
    let (rows, nodes) = twins.order(&order);
    let below: Vec<u32> = rows.iter().map(|&row| live[row as usize]).collect();

    // Levels of the firsts; places on the layer below of the nodes of each further layer.
    let levels = levels(params, build, &firsts, |place| below[nodes[place] as usize]);
    let mut upper: Vec<Vec<u32>> = Vec::new();
    for layer in 1..MAX_LAYERS as u32 {
        let on_layer: Vec<u32> =
            (0..).zip(&levels).filter(|(_, level)| **level >= layer).map(|(place, _)| place).collect();
        if on_layer.is_empty() {
            break;
        }
        upper.push(on_layer);
    }
    // The entry point of each layer, from the first node of the highest.
    let entry = upper.last().map_or(0, |on_layer| on_layer[0]);

    // A link of each first may be needed for its twins.
    let width = params.width(0) - usize::from(!twins.is_empty());
    let base = links_of(&firsts, &parts, params, (0, width), entry, build)?;
    drop(parts);
    let mut layers = Vec::new();
    for (number, on_layer) in (1..).zip(&upper) {
        let space = firsts.gather(on_layer);
        let entry = on_layer.binary_search(&entry).unwrap_or(0) as u32;
        let links =
            links_of(&space, &carve(&space, build.seed).parts, params, (number, params.m), entry, build)?;
        let below = match number {
            1 => on_layer.iter().map(|&place| nodes[place as usize]).collect(),
            _ => {
                let lower = &upper[number - 2];
                on_layer.iter().map(|place| lower.binary_search(place).unwrap_or(0) as u32).collect()
            }
        };
        layers.push(Layer { space, links, below });
    }
    let (space, links) = match twins.is_empty() {
        true => (firsts, base),
        // Twins have the codes of the first.
        false => {
            let counts = nodes.iter().skip(1).copied().chain([rows.len() as u32]).zip(&nodes);
            let places: Vec<u32> =
                (0..).zip(counts).flat_map(|(place, (end, node))| (*node..end).map(move |_| place)).collect();
            (firsts.gather(&places), twins.link(&base, &nodes, params.width(0)))
        }
    };
    layers.insert(0, Layer { space, links, below });
    Ok(layers)
}

/// The highest layer that each of `space` is on.
///
/// The numbers of rows decide by chance: each is below 2⁶⁴ / Mˡ with probability M⁻ˡ, which gives the levels ⌊−ln(u) / ln(M)⌋
/// of algorithm 1 without a logarithm, which is not the same on every machine. Of inner products the
/// largest rows are on the upper layers, in the same proportion: they are what is found most.
fn levels(params: &Params, build: &Build<'_>, space: &Space, row: impl Fn(usize) -> u32) -> Vec<u32> {
    let chance = |place: usize| Random::new(build.seed, STREAM ^ u64::from(row(place))).next();
    let mut numbers: Vec<u64> = (0..space.len()).map(chance).collect();
    if build.metric == Metric::InnerProduct {
        let mut places: Vec<usize> = (0..space.len()).collect();
        places.sort_by(|&a, &b| space.square(b).total_cmp(&space.square(a)).then(a.cmp(&b)));
        let step = u64::MAX / space.len().max(1) as u64;
        places.iter().enumerate().for_each(|(rank, &place)| numbers[place] = rank as u64 * step);
    }
    let level = |number: &u64| {
        let (mut level, mut below) = (0, u64::MAX / params.m as u64);
        while level + 1 < MAX_LAYERS as u32 && *number < below {
            below /= params.m as u64;
            level += 1;
        }
        level
    };
    numbers.iter().map(level).collect()
}

/// The links of layer `number`.
fn links_of(
    space: &Space,
    parts: &[Vec<u32>],
    params: &Params,
    (number, width): (usize, usize),
    entry: u32,
    build: &Build<'_>,
) -> Result<Links, IndexError> {
    const STEPS: u64 = 5;
    let stop = || build.progress.is_interrupted();
    let step = |done| {
        if number == 0 { build.step("linking", done, STEPS) } else { build.step("layers", number as u64, 0) }
    };
    let alpha = params.alpha_squared();
    step(0)?;
    let links = first_links(space, parts, params, width, &stop);
    step(1)?;
    let links = links.mutual(space, width, alpha, &stop);
    step(2)?;
    let links = refine(space, &links, params, width, &stop);
    step(3)?;
    let mut links = links.mutual(space, width, alpha, &stop);
    step(4)?;
    connect(space, &mut links, entry);
    step(5)?;
    Ok(links)
}

impl Layer {
    /// Writes the records.
    fn write(
        &self,
        params: &Params,
        build: &Build<'_>,
        number: usize,
        writer: &mut ImageWriter<'_>,
    ) -> Result<(), IndexError> {
        let shape = Shape::new(params, build.rows.dim(), number);
        let nodes: Vec<u32> = (0..self.below.len() as u32).collect();
        for (done, chunks) in nodes.chunks(CHUNK * CHUNKS).enumerate() {
            build.step("writing", (done * CHUNK * CHUNKS) as u64, nodes.len() as u64)?;
            let parts: Vec<Vec<u8>> = chunks
                .par_chunks(CHUNK)
                .map(|chunk| {
                    let mut bytes = Vec::with_capacity(chunk.len() * shape.stride());
                    chunk.iter().for_each(|node| self.record(params, build, shape, *node, &mut bytes));
                    bytes
                })
                .collect();
            parts.iter().try_for_each(|part| writer.write(part))?;
        }
        Ok(())
    }

    /// Appends the record of `node`.
    fn record(&self, params: &Params, build: &Build<'_>, shape: Shape, node: u32, bytes: &mut Vec<u8>) {
        let end = bytes.len() + shape.stride();
        let mut head = match &self.space {
            Space::Numbers { coded, .. } => {
                let stored = coded.stored(node as usize);
                let start = bytes.len() + HEAD_BYTES;
                bytes.resize(start + shape.codes, 0);
                head(&stored, params.codes, build, &mut bytes[start..])
            }
            Space::Bits { bits, blocks } => {
                bytes.resize(bytes.len() + HEAD_BYTES, 0);
                let row = &bits[node as usize * blocks..][..*blocks];
                row.iter().for_each(|block| bytes.extend_from_slice(&block.0));
                Head {
                    square: F64::ZERO,
                    scale: F32::ZERO,
                    low: F32::ZERO,
                    sum: U32::ZERO,
                    below: U32::ZERO,
                    count: U16::ZERO,
                    reserved: [0; 6],
                }
            }
        };
        let links = self.links.of(node);
        head.below = U32::new(self.below[node as usize]);
        head.count = U16::new(links.len() as u16);
        let start = end - shape.stride();
        bytes[start..start + HEAD_BYTES].copy_from_slice(head.as_bytes());
        links.iter().for_each(|link| bytes.extend_from_slice(&link.to_le_bytes()));
        bytes.resize(end, 0);
    }
}

/// Codes a row of numbers into `codes`; what its head says of it.
fn head(row: &Stored<'_>, codes: Codes, build: &Build<'_>, to: &mut [u8]) -> Head {
    let from = row.codes.iter().flat_map(|block| block.0);
    let scale = if codes == Codes::Sq4 {
        // Steps of 4 bits in place of 7, each code that of the nearest.
        let narrow = |code: u8| ((u16::from(code) * 15 + 63) / 127) as u8;
        for (blocks, to) in row.codes.chunks(2).zip(to.chunks_exact_mut(32)) {
            let upper = blocks.get(1).map_or([0; 32], |block| block.0);
            for ((to, low), high) in to.iter_mut().zip(blocks[0].0).zip(upper) {
                *to = narrow(low) | narrow(high) << 4;
            }
        }
        row.scale * (127.0 / 15.0)
    } else {
        to.iter_mut().zip(from).for_each(|(to, code)| *to = code);
        row.scale
    };
    let (scale, low) = (scale as f32, row.low as f32);
    let (mut sum, mut squares) = (0u64, 0u64);
    let mut add = |code: u8| {
        sum += u64::from(code);
        squares += u64::from(code) * u64::from(code);
    };
    match codes {
        Codes::Sq4 => to.iter().for_each(|byte| [byte & 15, byte >> 4].into_iter().for_each(&mut add)),
        _ => to.iter().for_each(|byte| add(*byte)),
    }
    let square = match build.metric {
        Metric::L2 => {
            let (s, p, dim) = (f64::from(scale), f64::from(low), build.rows.dim() as f64);
            (s * s * squares as f64 + 2.0 * (s * p) * sum as f64 + p * p * dim).max(0.0)
        }
        _ => 0.0,
    };
    Head {
        square: F64::new(square),
        scale: F32::new(scale),
        low: F32::new(low),
        sum: U32::new(sum as u32),
        below: U32::ZERO,
        count: U16::ZERO,
        reserved: [0; 6],
    }
}
