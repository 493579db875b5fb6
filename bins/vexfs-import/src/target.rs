//! What the rows become: the kind of the collection they go to, or of the one they create.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use vexfs_cli::args::{DEFAULT_COLLECTION, metric_for};
use vexfs_cli::{Usage, WithHint};
use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, InodeKind};
use vexfs_format::collection::DIM_MAX;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::index::Expected;
use vexfs_fs::path::{LastLink, resolve, split_last};
use vexfs_fs::{FsError, Volume};
use vexfs_io::{Beside, ElementType, NameKind, OpenOptions, Problem, RowSource, TargetType};

use crate::ahead::wait_for;
use crate::args::Args;
use crate::identity::Identities;
use crate::payload::Payloads;
use crate::resume::{Steps, Stored};
use crate::rows::UNTOUCHED;
use crate::slabs::Input;
use crate::{indexes, shown};

/// The collection that the rows go to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) spec: CollectionSpec,
    pub(crate) place: Place,
    /// Rows of the collection; `None` when it does not exist.
    rows: Option<u64>,
    pub(crate) steps: Steps,
}

/// Where the collection is, or is to be.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Existing(InodeNo),
    New { parent: InodeNo, name: String },
}

impl Target {
    /// Looks at the collection, or at the first file when there is none, and opens all files.
    pub(crate) fn open(args: &Args, volume: &Volume) -> anyhow::Result<(Self, Input)> {
        let name = args.collection.name();
        let mut paths = args.vectors.iter();
        let mut sources = Vec::new();
        let mut stored = None;
        let target = match Collection::open(volume, name) {
            Ok(collection) => {
                let spec = collection.spec();
                indexes::check(args, Expected::of(volume, &collection)?)?;
                agrees("--dtype", args.dtype, spec.dtype, name)?;
                agrees("--metric", args.metric, spec.metric, name)?;
                check_origin(args, &collection)?;
                let steps = Steps::of(args, Some(&collection))?;
                stored = Stored::open(volume, &collection, &steps)?;
                let place = Place::Existing(collection.inode.number());
                Self { spec, place, rows: Some(collection.rows()), steps }
            }
            Err(FsError::NotFound { .. }) => {
                let place = place_of_new(volume, name)?;
                let first = paths.next().ok_or_else(|| Usage::new("no file of vectors"))?;
                let source = open_file(args, first, args.dtype.map(target_type))?;
                let spec = spec_of(args, first, &*source)?;
                indexes::check(args, Expected::of_new(name, spec))?;
                sources.push((shown(first).into(), source));
                Self { spec, place, rows: None, steps: Steps::of(args, None)? }
            }
            Err(e) => return Err(e.into()),
        };
        // A collection whose rows have length 1 keeps that promise.
        let is_scaled = args.normalize || target.spec.normalized;
        if is_scaled && matches!(target.spec.dtype, DType::I8 | DType::U8 | DType::B1) {
            let dtype = target.spec.dtype;
            return Err(Usage::new(format!("--normalize: vectors of {dtype} cannot be scaled to length 1")))
                .hint("store them as f32, f16 or bf16: --dtype, with a collection that does not exist");
        }
        for path in paths {
            sources.push((shown(path).into(), target.open_fitting(args, path)?));
        }
        let identities = open_identities(args, &mut sources)?;
        let payload = match args.payload.clone() {
            Some(path) => Some(wait_for(UNTOUCHED, move || Payloads::open(&path))??),
            None => {
                let tables = sources.iter_mut().filter_map(|(_, source)| source.beside());
                tables.for_each(Beside::keep_payload);
                None
            }
        };
        let (dtype, dim) = (target.spec.dtype, target.spec.dim as usize);
        Ok((target, Input { sources, identities, payload, dtype, dim, is_scaled, stored }))
    }

    /// Opens a file whose rows fit.
    fn open_fitting(&self, args: &Args, path: &Path) -> anyhow::Result<Box<dyn RowSource>> {
        let source = open_file(args, path, Some(target_type(self.spec.dtype)))?;
        let (found, expected) = (source.dim(), self.spec.dim as usize);
        // Packed bits come in whole bytes; the collection says how many of the last one count.
        let is_packed = self.spec.dtype == DType::B1 && source.element() == ElementType::U8;
        if found != expected && !(is_packed && found == expected.next_multiple_of(8)) {
            let what = format!("collection {}", args.collection.name());
            let error = Err(FsError::WrongDimension { what, found, expected }).with_context(|| shown(path));
            return error.hint(self.way_out(args, found));
        }
        Ok(source)
    }

    /// What to do about rows of another dimension.
    fn way_out(&self, args: &Args, found: usize) -> String {
        let name = args.collection.name();
        match self.rows {
            Some(0) if name == DEFAULT_COLLECTION => format!(
                "name another collection, which is made from the data (-c NAME), or format again with mkfs.vexfs -D {found}"
            ),
            Some(_) => "name another collection, which is made from the data: -c NAME".to_owned(),
            None => "all files of one import have the same dimension".to_owned(),
        }
    }
}

/// Refuses vectors of another model, and rows of length 1 among others.
fn check_origin(args: &Args, collection: &Collection) -> anyhow::Result<()> {
    let name = args.collection.name();
    if let (Some(given), Some(known)) = (&args.model, collection.model())
        && !given.may_be(&known)
    {
        let problem = anyhow!("--model {given}: collection {name} holds vectors of {known}");
        return Err(problem).hint("name another collection, which is made from the data: -c NAME");
    }
    if args.normalize && !collection.spec().normalized && collection.rows() > 0 {
        let problem =
            anyhow!("--normalize: collection {name} holds vectors that were not scaled to length 1");
        return Err(problem).hint("leave the flag out, or name another collection with -c");
    }
    Ok(())
}

/// The identities: in a column that all files have, or in a file of their own.
fn open_identities(
    args: &Args,
    sources: &mut [(Arc<str>, Box<dyn RowSource>)],
) -> anyhow::Result<Identities> {
    let (ids, keys) = (args.ids.clone(), args.keys.clone());
    let kind = if ids.is_some() { NameKind::Id } else { NameKind::Key };
    let column = ids.as_deref().or(keys.as_deref()).and_then(Path::to_str);
    if let Some(identities) = Identities::in_column(sources, column, kind) {
        return Ok(identities);
    }
    let are_tables = sources.iter_mut().any(|(_, source)| source.beside().is_some());
    match wait_for(UNTOUCHED, move || Identities::open(ids.as_deref(), keys.as_deref()))? {
        Err(error) if are_tables && matches!(error.problem(), Problem::Missing) => {
            Err(error).hint("nor do all files of vectors have a column of that name")
        }
        opened => Ok(opened?),
    }
}

/// The collection that is made from the data.
fn spec_of(args: &Args, path: &Path, source: &dyn RowSource) -> anyhow::Result<CollectionSpec> {
    let dtype = dtype_of(source.target());
    let dim =
        u32::try_from(source.dim()).ok().filter(|dim| (1..=DIM_MAX).contains(dim)).with_context(|| {
            format!("{}: dimension {} is not between 1 and {DIM_MAX}", path.display(), source.dim())
        })?;
    Ok(CollectionSpec { dim, dtype, metric: metric_for(dtype, args.metric)?, normalized: args.normalize })
}

fn agrees<T: PartialEq + std::fmt::Display>(
    flag: &str,
    asked: Option<T>,
    has: T,
    name: &str,
) -> Result<(), Usage> {
    match asked {
        Some(asked) if asked != has => Err(Usage::new(format!(
            "{flag} {asked}: collection {name} exists with {has}; leave the flag out, or name another collection with -c"
        ))),
        _ => Ok(()),
    }
}

fn open_file(args: &Args, path: &Path, target: Option<TargetType>) -> anyhow::Result<Box<dyn RowSource>> {
    // Half for the slabs of a column-major file; the rest for the rows under way.
    let memory = usize::try_from(args.row_memory() / 2).unwrap_or(usize::MAX);
    let options = OpenOptions { format: args.format, target, memory, ..OpenOptions::default() };
    let path = path.to_owned();
    Ok(wait_for(UNTOUCHED, move || vexfs_io::open(&path, &options))??)
}

/// Directory and name of a collection that does not exist.
fn place_of_new(volume: &Volume, path: &str) -> anyhow::Result<Place> {
    let (parent, name) = split_last(path)?;
    let directory = resolve(volume, parent, LastLink::Follow)
        .with_context(|| format!("collection {path} does not exist"))
        .hint("its directory must exist before it")?;
    if directory.kind() != InodeKind::Directory {
        let found = directory.kind().name();
        return Err(FsError::WrongKind { path: parent.to_owned(), found, expected: "directory" }.into());
    }
    Ok(Place::New { parent: directory.number(), name: name.to_owned() })
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

fn dtype_of(target: TargetType) -> DType {
    match target {
        TargetType::F32 => DType::F32,
        TargetType::F16 => DType::F16,
        TargetType::BF16 => DType::BF16,
        TargetType::I8 => DType::I8,
        TargetType::U8 => DType::U8,
        TargetType::B1 => DType::B1,
    }
}
