//! `indexes`: what indexes the collections have.

use serde::Serialize;
use vexfs_ann::calibrate::{Calibration, Curve};
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::size::format_size;
use vexfs_fs::collection::Collection;
use vexfs_fs::index::{self, IndexFiles, StoredIndex};

use crate::collections;
use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-indexes", 1);
/// Neighbours whose recall the table shows, if it was measured for so many.
pub(crate) const SHOWN_K: u32 = 10;

/// One index.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IndexInfo {
    pub(crate) collection: String,
    pub(crate) name: String,
    pub(crate) kind: Option<&'static str>,
    /// Kind and parameters as they were asked for.
    spec: Option<String>,
    parts: Vec<PartInfo>,
    /// Bytes of all images.
    pub(crate) bytes: u64,
    /// Rows of the collection that no part covers.
    pub(crate) uncovered: u64,
    calibration: Option<CalibrationInfo>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
struct PartInfo {
    number: u32,
    inode: u64,
    first_row: u64,
    end_row: u64,
    /// Rows in it: those that were not deleted when it was built.
    indexed: u64,
    generation: u64,
    seed: u64,
    bytes: u64,
}

/// Recall against effort.
#[derive(Clone, Debug, Serialize)]
struct CalibrationInfo {
    queries: u32,
    curves: Vec<CurveInfo>,
}

#[derive(Clone, Debug, Serialize)]
struct CurveInfo {
    k: u32,
    points: Vec<PointInfo>,
}

#[derive(Clone, Debug, Serialize)]
struct PointInfo {
    effort: u32,
    rerank: u32,
    /// Recall@k as it was measured.
    recall: f64,
    /// Distances computed per query.
    distance_computations: f64,
}

#[derive(Serialize)]
struct Indexes {
    indexes: Vec<IndexInfo>,
}

impl IndexInfo {
    /// The indexes of a collection; what is damaged is told and kept as a problem.
    pub(crate) fn of(dump: &mut Dump<'_>, collection: &Collection) -> anyhow::Result<Vec<Self>> {
        let place = format!("{}/index", collection.path);
        let listed = index::list(&dump.volume, collection);
        let files = dump.intact(&place, listed)?.unwrap_or_default();
        Ok(files.iter().map(|files| Self::load(dump, collection, files)).collect())
    }

    fn load(dump: &mut Dump<'_>, collection: &Collection, files: &IndexFiles) -> Self {
        let inodes = &files.parts;
        let mut info = Self {
            collection: collection.path.clone(),
            name: files.name.clone(),
            kind: None,
            spec: None,
            parts: Vec::new(),
            bytes: 0,
            uncovered: collection.rows(),
            calibration: None,
            problem: None,
        };
        let mut problems = Vec::new();
        match files.read_spec(&dump.volume, collection) {
            Ok(spec) => info.spec = Some(spec.to_string()),
            Err(e) => problems.push(e.to_string()),
        }
        match StoredIndex::open(&dump.volume, collection, files) {
            Ok(stored) => {
                info.kind = Some(stored.kind().name());
                info.bytes = stored.bytes();
                info.uncovered =
                    stored.uncovered(collection.rows()).iter().map(|gap| gap.end - gap.start).sum();
                info.parts = stored
                    .parts()
                    .iter()
                    .map(|part| PartInfo {
                        number: part.number(),
                        inode: inodes.get(&part.number()).map_or(0, |ino| ino.get()),
                        first_row: part.header().rows.start,
                        end_row: part.header().rows.end,
                        indexed: part.header().indexed,
                        generation: part.header().generation,
                        seed: part.header().seed,
                        bytes: part.view().len(),
                    })
                    .collect();
                match stored.calibration() {
                    Ok(calibration) => info.calibration = calibration.as_ref().map(CalibrationInfo::of),
                    Err(e) => problems.push(e.to_string()),
                }
            }
            Err(e) => problems.push(e.to_string()),
        }
        for problem in &problems {
            dump.damage(format!("{}: index {}: {problem}", collection.path, files.name));
        }
        info.problem = problems.into_iter().next();
        info
    }

    /// The least and the most recall that was measured.
    fn recall(&self) -> String {
        let least = self.recalls().reduce(f64::min);
        least
            .zip(self.most_recall())
            .map_or("-".to_owned(), |(least, most)| format!("{least:.3} to {most:.3}"))
    }

    /// The most recall@[`SHOWN_K`] that was measured.
    pub(crate) fn most_recall(&self) -> Option<f64> {
        self.recalls().reduce(f64::max)
    }

    fn recalls(&self) -> impl Iterator<Item = f64> + '_ {
        let curves = self.calibration.iter().flat_map(|calibration| &calibration.curves);
        let points = curves.filter(|curve| curve.k == SHOWN_K).flat_map(|curve| &curve.points);
        points.map(|point| point.recall)
    }
}

impl CalibrationInfo {
    fn of(calibration: &Calibration) -> Self {
        let queries = calibration.queries;
        let curve = |curve: &Curve| CurveInfo {
            k: curve.k,
            points: curve
                .points
                .iter()
                .map(|point| PointInfo {
                    effort: point.effort.effort,
                    rerank: point.effort.rerank,
                    recall: curve.recall(point, queries),
                    distance_computations: point.distance_computations as f64 / f64::from(queries.max(1)),
                })
                .collect(),
        };
        Self { queries, curves: calibration.curves.iter().map(curve).collect() }
    }
}

/// Shows the indexes of all collections.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let collections = collections::gather(dump)?;
    let indexes: Vec<IndexInfo> = collections.into_iter().flat_map(|collection| collection.indexes).collect();
    if dump.json {
        return dump.document(SCHEMA, &Indexes { indexes });
    }
    if indexes.is_empty() {
        return Ok(dump.out.line(format_args!("No indexes"))?);
    }
    write_text(dump, indexes.iter())
}

/// Writes indexes as a table.
pub(crate) fn write_text<'i>(
    dump: &mut Dump<'_>,
    indexes: impl Iterator<Item = &'i IndexInfo>,
) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("collection", Align::Left),
        ("index", Align::Left),
        ("built as", Align::Left),
        ("rows", Align::Right),
        ("parts", Align::Right),
        ("uncovered", Align::Right),
        ("size", Align::Right),
        ("recall@10", Align::Left),
        ("state", Align::Left),
    ]);
    for index in indexes {
        let rows: u64 = index.parts.iter().map(|part| part.end_row - part.first_row).sum();
        table.row([
            index.collection.clone(),
            index.name.clone(),
            index.spec.clone().or(index.kind.map(str::to_owned)).unwrap_or_else(|| "?".to_owned()),
            rows.to_string(),
            index.parts.len().to_string(),
            index.uncovered.to_string(),
            format_size(index.bytes),
            index.recall(),
            if index.problem.is_some() { "damaged" } else { "ready" }.to_owned(),
        ]);
    }
    Ok(table.write(dump.out)?)
}
