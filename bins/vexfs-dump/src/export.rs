//! `export`: the vectors of a collection as a file of vectors, how they are called and what is known of them as texts.

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
use vexfs_fs::collection::payload::Payloads;
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
    payload: Option<BufWriter<File>>,
    /// What is known of rows, if that goes to the vectors or to a file of its own.
    payloads: Option<&'a Payloads>,
    written: u64,
    damaged: u64,
}

/// Files that take what stands beside the vectors.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Beside<'p> {
    /// For ids or keys.
    pub(crate) ids: Option<&'p Path>,
    /// For payload, which the file of vectors then has none of.
    pub(crate) payload: Option<&'p Path>,
}

/// Runs of rows with what is wrong with the first of each.
#[derive(Debug, Default)]
struct Runs(Vec<(Range<u64>, FsError)>);

impl Runs {
    fn add(&mut self, row: u64, error: FsError) {
        match self.0.last_mut() {
            Some((run, _)) if run.end == row => run.end += 1,
            _ => self.0.push((row..row + 1, error)),
        }
    }

    fn tell(self, dump: &mut Dump<'_>, left_out: &str) {
        for (run, error) in self.0 {
            match run.end - run.start {
                1 => dump.damage(format!("{left_out} {} is left out: {error}", run.start)),
                _ => dump.damage(format!("{left_out}s {}-{} are left out: {error}", run.start, run.end - 1)),
            }
        }
    }
}

/// A file that takes its name when it is complete.
struct Pending<'p> {
    path: &'p Path,
    file: NamedTempFile,
}

/// Writes the rows of collection `name` that are not deleted to `file`, in their order, and what stands beside them to the files
/// that are named for it.
///
/// A row that is damaged is named and left out, and so is payload.
pub(crate) fn run(
    dump: &mut Dump<'_>,
    name: &str,
    (file, format): (&Path, OutputFormat),
    beside: Beside<'_>,
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
    let names = beside.ids.map(Pending::create).transpose()?;
    let payload = beside.payload.map(Pending::create).transpose()?;
    let buffered = |file: &Pending<'_>| -> anyhow::Result<BufWriter<File>> {
        Ok(BufWriter::with_capacity(256 << 10, file.file.reopen()?))
    };
    let vectors = format.writer(array.file.reopen()?, file, target, collection.dim())?;
    let are_named = vectors.takes_names() || names.is_some();
    let identities = are_named.then(|| collection.identities(&dump.volume)).transpose()?;
    let has_payload = vectors.takes_payload() || payload.is_some();
    let payloads = if has_payload { collection.payloads(&dump.volume)? } else { None };
    let mut sink = Sink {
        vectors,
        names: names.as_ref().map(buffered).transpose()?,
        identities: identities.as_ref(),
        payload: payload.as_ref().map(buffered).transpose()?,
        payloads: payloads.as_ref(),
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
    for text in [&mut sink.names, &mut sink.payload].into_iter().flatten() {
        text.flush()?;
    }
    array.complete()?;
    for text in [names, payload].into_iter().flatten() {
        text.complete()?;
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
        let mut bad = Runs::default();
        let mut packed = Vec::new();
        let bytes: &[u8] = match rows.bytes(range.clone()) {
            Ok(bytes) if deletions.words().is_none() => {
                good.extend(range);
                bytes
            }
            Ok(bytes) => {
                for (row, bytes) in range.zip(bytes.chunks_exact(rows.row_bytes() as usize)) {
                    if !deletions.contains(row) {
                        packed.extend_from_slice(bytes);
                        good.push(row);
                    }
                }
                &packed
            }
            Err(_) => {
                let keep = |row, bytes: &[u8]| {
                    if !deletions.contains(row) {
                        packed.extend_from_slice(bytes);
                        good.push(row);
                    }
                };
                let leave_out = |row, error| {
                    if !deletions.contains(row) {
                        bad.add(row, error);
                        self.damaged += 1;
                    }
                };
                rows.salvage(range, keep, leave_out);
                &packed
            }
        };
        self.written += good.len() as u64;
        bad.tell(dump, "row");
        self.write(bytes, &good)?.tell(dump, "payload of row");
        Ok(())
    }

    /// Writes rows, given with their numbers, and what stands beside them. Returns those whose payload cannot be read.
    fn write(&mut self, bytes: &[u8], rows: &[u64]) -> anyhow::Result<Runs> {
        let mut unread = Runs::default();
        let payload: Vec<&str> = match self.payloads {
            Some(payloads) => {
                let of = |&row: &u64| payloads.get(row).map_err(|error| unread.add(row, error));
                rows.iter().map(of).map(Result::unwrap_or_default).collect()
            }
            None => Vec::new(),
        };
        let identities: Vec<Identity> = match self.identities {
            Some(identities) => rows.iter().map(|&row| identities.identity(row)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let names: Vec<RowName<'_>> = identities.iter().map(row_name).collect();
        // What has a file of its own is not written twice.
        let inline = if self.payload.is_some() { &[][..] } else { &payload };
        self.vectors.write_rows(bytes, &names, inline)?;
        if let Some(file) = &mut self.names {
            for name in names {
                match name {
                    RowName::Id(id) => writeln!(file, "{id}")?,
                    RowName::Key(key) => writeln!(file, "{key}")?,
                }
            }
        }
        if let Some(file) = &mut self.payload {
            for at in 0..rows.len() {
                match payload.get(at) {
                    // A line end of JSON lies between values.
                    Some(text) if !text.is_empty() => writeln!(file, "{}", text.replace(['\n', '\r'], " "))?,
                    _ => writeln!(file, "null")?,
                }
            }
        }
        Ok(unread)
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
