//! `export`: the vectors of a collection as a NumPy array, and how they are called as a text.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use tempfile::NamedTempFile;
use vexfs_cli::output::json::Schema;
use vexfs_cli::{Interrupted, Unit, signals};
use vexfs_format::codes::DType;
use vexfs_fs::FsError;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::{Identities, Identity};
use vexfs_fs::collection::rows::{Deletions, Rows};
use vexfs_io::{ArraySpec, NpyWriter, TargetType};

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-export", 1);
/// Bytes verified and written at a time.
const CHUNK_BYTES: u64 = 4 << 20;

#[derive(Debug, Serialize)]
struct Exported {
    collection: String,
    file: String,
    /// Rows written.
    rows: u64,
    /// Rows left out because they are damaged.
    damaged_rows: u64,
    dim: usize,
    dtype: &'static str,
}

/// What the rows go to.
struct Sink<'a> {
    npy: NpyWriter<BufWriter<File>>,
    names: Option<(BufWriter<File>, &'a Identities)>,
    written: u64,
    damaged: u64,
}

/// A file that takes its name when it is complete.
struct Pending<'p> {
    path: &'p Path,
    file: NamedTempFile,
}

/// Writes the rows of collection `name` that are not deleted to `file`, in their order, and their ids or keys to `ids`.
///
/// A row that is damaged is named and left out.
pub(crate) fn run(dump: &mut Dump<'_>, name: &str, file: &Path, ids: Option<&Path>) -> anyhow::Result<()> {
    // The files that are not complete are removed on the way out.
    signals::catch().context("cannot catch signals")?;
    let collection = Collection::open(&dump.volume, name)?;
    let deletions = collection.deletions(&dump.volume)?;
    let rows = collection.open_rows(&dump.volume)?;
    let identities = ids.map(|_| collection.identities(&dump.volume)).transpose()?;
    let dtype = collection.desc.dtype();
    let spec = ArraySpec::packed(target_type(dtype), collection.dim());

    let array = Pending::create(file)?;
    let names = ids.map(Pending::create).transpose()?;
    let buffered = |file: &Pending<'_>| -> anyhow::Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(256 << 10, file.file.reopen()?))
    };
    let mut sink = Sink {
        npy: NpyWriter::counting(buffered(&array)?, &file.display().to_string(), spec)?,
        names: match (&names, &identities) {
            (Some(names), Some(identities)) => Some((buffered(names)?, identities)),
            _ => None,
        },
        written: 0,
        damaged: 0,
    };
    let progress = dump.report.progress("exporting", Unit::Count("rows"), Some(rows.len()));
    let chunk = (CHUNK_BYTES / rows.row_bytes()).max(1);
    rows.view().advise_sequential();
    let mut at = 0;
    while at < rows.len() {
        if signals::interrupted() {
            return Err(Interrupted::new("no file was written").into());
        }
        let end = (at + chunk).min(rows.len());
        sink.copy(dump, &rows, &deletions, at..end)?;
        progress.add(end - at);
        at = end;
    }
    drop(progress);
    let exported = Exported {
        collection: collection.path.clone(),
        file: file.display().to_string(),
        rows: sink.written,
        damaged_rows: sink.damaged,
        dim: collection.dim(),
        dtype: dtype.name(),
    };
    sink.npy.finish()?;
    if let Some((mut names, _)) = sink.names {
        names.flush()?;
    }
    array.complete()?;
    if let Some(names) = names {
        names.complete()?;
    }
    if dump.json {
        return dump.document(SCHEMA, &exported);
    }
    let Exported { rows, dim, dtype, .. } = exported;
    dump.report.message(format!("exported {rows} rows of {dim} {dtype} to {}", file.display()));
    Ok(())
}

impl Sink<'_> {
    fn copy(
        &mut self,
        dump: &mut Dump<'_>,
        rows: &Rows,
        deletions: &Deletions,
        range: Range<u64>,
    ) -> anyhow::Result<()> {
        let mut good = Vec::new();
        let mut bad: Vec<(Range<u64>, FsError)> = Vec::new();
        match (rows.bytes(range.clone()), deletions.words()) {
            (Ok(bytes), None) => {
                self.npy.write_rows(bytes)?;
                good.extend(range);
            }
            (Ok(bytes), Some(_)) => {
                for (row, bytes) in range.zip(bytes.chunks_exact(rows.row_bytes() as usize)) {
                    if !deletions.contains(row) {
                        self.npy.write_rows(bytes)?;
                        good.push(row);
                    }
                }
            }
            (Err(_), _) => {
                let mut packed = Vec::new();
                let keep = |row, bytes: &[u8]| {
                    if !deletions.contains(row) {
                        packed.extend_from_slice(bytes);
                        good.push(row);
                    }
                };
                let leave_out = |row, error| match bad.last_mut() {
                    _ if deletions.contains(row) => {}
                    Some((run, _)) if run.end == row => run.end += 1,
                    _ => bad.push((row..row + 1, error)),
                };
                rows.salvage(range, keep, leave_out);
                self.npy.write_rows(&packed)?;
            }
        }
        self.written += good.len() as u64;
        if let Some((file, identities)) = &mut self.names {
            for row in good {
                match identities.identity(row)? {
                    Identity::Id(id) => writeln!(file, "{id}")?,
                    Identity::Key(key) => writeln!(file, "{key}")?,
                }
            }
        }
        for (run, error) in bad {
            self.damaged += run.end - run.start;
            match run.end - run.start {
                1 => dump.damage(format!("row {} is left out: {error}", run.start)),
                _ => dump.damage(format!("rows {}-{} are left out: {error}", run.start, run.end - 1)),
            }
        }
        Ok(())
    }
}

impl<'p> Pending<'p> {
    fn create(path: &'p Path) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".vexfs-dump-")
            // Whoever may read what is exported is told by the umask, as for any file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, file })
    }

    fn complete(self) -> anyhow::Result<()> {
        self.file.persist(self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        Ok(())
    }
}

fn target_type(dtype: DType) -> TargetType {
    match dtype {
        DType::F32 => TargetType::F32,
        DType::F16 => TargetType::F16,
        DType::BF16 => TargetType::BF16,
        DType::I8 => TargetType::I8,
        DType::U8 => TargetType::U8,
        DType::B1 => TargetType::B1,
    }
}
