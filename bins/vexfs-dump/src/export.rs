//! `export`: the vectors of a collection as a file of vectors, and how they are called as a text.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use tempfile::NamedTempFile;
use vexfs_cli::output::json::Schema;
use vexfs_cli::{Interrupted, Unit, Usage, signals};
use vexfs_format::codes::DType;
use vexfs_fs::FsError;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::{Identities, Identity};
use vexfs_fs::collection::rows::{Deletions, Rows};
use vexfs_io::{OutputFormat, RowName, RowWriter, TargetType};

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
    vectors: Box<dyn RowWriter>,
    names: Option<BufWriter<File>>,
    /// How rows are called, if that goes to either.
    identities: Option<&'a Identities>,
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
pub(crate) fn run(
    dump: &mut Dump<'_>,
    name: &str,
    (file, format): (&Path, OutputFormat),
    ids: Option<&Path>,
) -> anyhow::Result<()> {
    // The files that are not complete are removed on the way out.
    signals::catch().context("cannot catch signals")?;
    let collection = Collection::open(&dump.volume, name)?;
    let deletions = collection.deletions(&dump.volume)?;
    let rows = collection.open_rows(&dump.volume)?;
    let dtype = collection.desc.dtype();
    let target = target_type(dtype);
    if !format.holds(target) {
        let shown = file.display();
        return Err(
            Usage::new(format!("'{shown}' cannot hold rows of {dtype}; .npy holds every type")).into()
        );
    }

    let array = Pending::create(file)?;
    let names = ids.map(Pending::create).transpose()?;
    let buffered = |file: &Pending<'_>| -> anyhow::Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(256 << 10, file.file.reopen()?))
    };
    let vectors =
        format.writer(array.file.reopen()?, &file.display().to_string(), target, collection.dim())?;
    let are_named = vectors.takes_names() || names.is_some();
    let identities = are_named.then(|| collection.identities(&dump.volume)).transpose()?;
    let mut sink = Sink {
        vectors,
        names: names.as_ref().map(buffered).transpose()?,
        identities: identities.as_ref(),
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
    sink.vectors.finish()?;
    if let Some(mut names) = sink.names {
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
        let mut good: Vec<u64> = Vec::new();
        let mut bad: Vec<(Range<u64>, FsError)> = Vec::new();
        let mut packed = Vec::new();
        match rows.bytes(range.clone()) {
            Ok(bytes) if deletions.words().is_none() => {
                good.extend(range);
                self.write(bytes, &good)?;
            }
            Ok(bytes) => {
                for (row, bytes) in range.zip(bytes.chunks_exact(rows.row_bytes() as usize)) {
                    if !deletions.contains(row) {
                        packed.extend_from_slice(bytes);
                        good.push(row);
                    }
                }
                self.write(&packed, &good)?;
            }
            Err(_) => {
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
                self.write(&packed, &good)?;
            }
        }
        self.written += good.len() as u64;
        for (run, error) in bad {
            self.damaged += run.end - run.start;
            match run.end - run.start {
                1 => dump.damage(format!("row {} is left out: {error}", run.start)),
                _ => dump.damage(format!("rows {}-{} are left out: {error}", run.start, run.end - 1)),
            }
        }
        Ok(())
    }

    /// Writes rows, given with their numbers, and how they are called.
    fn write(&mut self, bytes: &[u8], rows: &[u64]) -> anyhow::Result<()> {
        let Some(identities) = self.identities else {
            return Ok(self.vectors.write_rows(bytes, &[])?);
        };
        let identities: Vec<Identity> =
            rows.iter().map(|&row| identities.identity(row)).collect::<Result<_, _>>()?;
        let names: Vec<RowName<'_>> = identities.iter().map(row_name).collect();
        self.vectors.write_rows(bytes, &names)?;
        if let Some(file) = &mut self.names {
            for name in names {
                match name {
                    RowName::Id(id) => writeln!(file, "{id}")?,
                    RowName::Key(key) => writeln!(file, "{key}")?,
                }
            }
        }
        Ok(())
    }
}

fn row_name(identity: &Identity) -> RowName<'_> {
    match identity {
        Identity::Id(id) => RowName::Id(*id),
        Identity::Key(key) => RowName::Key(key),
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
