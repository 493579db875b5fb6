//! Building: centroids of a sample, the list of each row, then the lists.

use std::io::Write;

use zerocopy::IntoBytes;

use super::layout::{
    CENTRES, CENTROIDS, CODEBOOKS, DIRECTORY, GIANTS, GROUPS, LISTS, MEAN, REACH, Shape, TURN,
};
use super::params::{Params, Wanted, check_rows};
use super::train::Lists;
use crate::index::image::ImageWriter;
use crate::index::{Build, IndexError, IndexSpec, Kind};

/// Bytes for each row, whatever its dimension: its number, its list, its place in the list.
pub(super) const ROW_BYTES: u64 = 12;

/// Least room for lists on their way out, and for training.
pub(super) const LEAST_ROOM: u64 = 4 << 20;

/// How many rows one image can cover within the memory: half of it is for rows, the other half for lists.
pub(crate) fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    check_rows(spec, build)?;
    let wanted = Wanted::of(spec, build.rows.dim())?;
    // A list is written at once: the only one of `pq` has to fit the memory.
    let of_list =
        if spec.kind == Kind::Pq { Shape::list(64, build.rows.dim(), wanted.codes).bytes() / 64 } else { 0 };
    Ok((build.memory / 2 / (ROW_BYTES + of_list)).max(1))
}

/// Builds the image of an `ivf`, `pq` or `ivf-pq`.
///
/// # Determinism
/// By rows, spec and seed; neither threads nor instruction sets nor memory change a byte, unless the memory is too small for the
/// training set.
pub(crate) fn build(spec: &IndexSpec, build: &Build<'_>, out: &mut dyn Write) -> Result<(), IndexError> {
    check_rows(spec, build)?;
    let wanted = Wanted::of(spec, build.rows.dim())?;
    let live = build.live();
    let nlist = wanted.nlist(live.len());
    let lists = Lists::train(build, &live, nlist, &wanted)?;
    let (assigned, giants) = lists.assign(build, &live)?;

    let mut writer = ImageWriter::new(out);
    writer.section(MEAN)?;
    for value in &lists.space.mean {
        writer.write(&value.to_le_bytes())?;
    }
    writer.section(CENTROIDS)?;
    writer.write(&lists.stored)?;
    let places = lists.places(&assigned);
    writer.section(DIRECTORY)?;
    writer.write(places.as_bytes())?;
    writer.section(LISTS)?;
    lists.write(build, &live, &assigned, &places, &mut writer)?;
    writer.section(GIANTS)?;
    for giant in &giants {
        writer.write(&giant.to_le_bytes())?;
    }
    if let Some(codebooks) = &lists.codebooks {
        writer.section(CODEBOOKS)?;
        for value in codebooks.values() {
            writer.write(&value.to_le_bytes())?;
        }
    }
    if !lists.turn.is_empty() {
        writer.section(TURN)?;
        writer.write(&lists.turn)?;
    }
    let grouped = &lists.grouped;
    if grouped.count() > 0 {
        writer.section(CENTRES)?;
        writer.write(&lists.centres)?;
        writer.section(GROUPS)?;
        for start in &grouped.starts {
            writer.write(&start.to_le_bytes())?;
        }
        writer.section(REACH)?;
        for reach in &lists.reach {
            writer.write(&reach.to_le_bytes())?;
        }
    }
    let params = Params {
        nlist: lists.count(),
        groups: grouped.count(),
        exponent: lists.space.exponent,
        giants: giants.len(),
        codes: wanted.codes,
        opq: wanted.opq,
    };
    writer.finish(&build.header(spec.kind, live.len() as u64, params.bytes()))
}
