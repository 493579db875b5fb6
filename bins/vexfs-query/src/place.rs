//! Where neighbours are looked for: a collection on a device, or several that answer together.

use anyhow::{Context, anyhow, bail};
use vexfs_cli::{Report, Usage, WithHint, volume};
use vexfs_format::InodeNo;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::collection::model::Model;
use vexfs_fs::collection::payload::Payloads;
use vexfs_fs::index::Indexes;
use vexfs_fs::search::{Limit, Plan, Searcher};
use vexfs_fs::{FsError, Volume};

use crate::args::Args;

/// A collection that is searched.
pub(crate) struct Place {
    /// The device as it was named, if there are several.
    pub(crate) device: Option<String>,
    /// The collection as it was named, if there are several.
    pub(crate) collection: Option<String>,
    pub(crate) searcher: Searcher,
    /// `None` if the rows have none, or nobody asks for it.
    pub(crate) payloads: Option<Payloads>,
    /// Rows of which nobody knows whether they fulfil the filter, because their payload is damaged.
    pub(crate) undecided: u64,
    indexes: Indexes,
    spec: CollectionSpec,
    model: Option<Model>,
    inode: InodeNo,
}

/// Opens the collections that the flags name, devices in the order given and on each the collections in theirs.
///
/// # Errors
/// [`Usage`] for one that is named twice; collections that cannot be compared with each other; a filter or `--payload` where no row
/// has payload; those of opening a device and a collection.
pub(crate) fn open(args: &Args, report: &Report) -> anyhow::Result<Vec<Place>> {
    let (devices, collections) = (args.devices()?, args.collections());
    let mut located = Vec::new();
    let mut places: Vec<Place> = Vec::new();
    for device in &devices {
        let at = device.locate()?;
        let at = (at.path.canonicalize().unwrap_or(at.path), at.offset);
        let name = device.device.as_ref().map(ToString::to_string);
        if located.contains(&at) {
            return Err(Usage::new(format!("device {} is named twice", at.0.display())).into());
        }
        located.push(at);
        let name = name.filter(|_| devices.len() > 1);
        let volume = volume::open_for_reading(device, report);
        let volume = with_name(volume, name.as_deref())?;
        let first = places.len();
        for collection in &collections {
            let place = Place::open(args, &volume, name.clone(), collection);
            let mut place = with_name(place, name.as_deref())?;
            if places[first..].iter().any(|other| other.inode == place.inode) {
                return Err(Usage::new(format!("collection {collection} is named twice")).into());
            }
            place.collection = place.collection.filter(|_| collections.len() > 1);
            places.push(place);
        }
    }
    agree(&places)?;
    let is_payload_wanted = args.filter.is_some() || args.payload;
    if is_payload_wanted && places.iter().all(|place| place.payloads.is_none()) {
        bail!("{}: its rows have no payload; vexfs-import --payload stores it", collections.join(", "));
    }
    let filtered = places.into_iter().map(|place| place.filtered(args, report));
    filtered.collect()
}

/// An error with the name of the device in front, where there are several.
fn with_name<T>(result: anyhow::Result<T>, device: Option<&str>) -> anyhow::Result<T> {
    match device {
        Some(device) => result.with_context(|| device.to_owned()),
        None => result,
    }
}

/// Refuses collections whose distances mean different things.
fn agree(places: &[Place]) -> anyhow::Result<()> {
    let Some((first, others)) = places.split_first() else { return Ok(()) };
    for other in others {
        let (a, b) = (first.spec, other.spec);
        let differs = [
            ("dimension", a.dim.to_string(), b.dim.to_string()),
            ("element type", a.dtype.to_string(), b.dtype.to_string()),
            ("metric", a.metric.to_string(), b.metric.to_string()),
        ];
        if let Some((what, a, b)) = differs.into_iter().find(|(_, a, b)| a != b) {
            let (first, other) = (first.name(), other.name());
            bail!("{first} has {what} {a} and {other} {b}: they cannot be searched together");
        }
        if let (Some(a), Some(b)) = (&first.model, &other.model)
            && !a.may_be(b)
        {
            let (first, other) = (first.name(), other.name());
            bail!("{first} holds vectors of {a} and {other} of {b}: they cannot be searched together");
        }
    }
    Ok(())
}

/// Refuses queries of another model than the vectors are of.
fn check_model(args: &Args, collection: &Collection) -> anyhow::Result<()> {
    if let (Some(given), Some(known)) = (&args.model, collection.model())
        && !given.may_be(&known)
    {
        let problem = anyhow!("--model {given}: collection {} holds vectors of {known}", collection.path);
        return Err(problem).hint("make the queries with that model, or search another collection: -c NAME");
    }
    Ok(())
}

impl Place {
    fn open(args: &Args, volume: &Volume, device: Option<String>, name: &str) -> anyhow::Result<Self> {
        let collection = Collection::open(volume, name)?;
        check_model(args, &collection)?;
        let is_payload_wanted = args.filter.is_some() || args.payload;
        let payloads = if is_payload_wanted { collection.payloads(volume)? } else { None };
        Ok(Self {
            device,
            collection: Some(name.to_owned()),
            searcher: Searcher::open(volume, &collection)?,
            payloads,
            undecided: 0,
            indexes: Indexes::open(volume, &collection, &args.request().choice),
            spec: collection.spec(),
            model: collection.model(),
            inode: collection.inode.number(),
        })
    }

    /// Lets only the rows that fulfil the filter be found.
    fn filtered(mut self, args: &Args, report: &Report) -> anyhow::Result<Self> {
        let Some(filter) = &args.filter else { return Ok(self) };
        let deleted = self.searcher.deletions();
        let matches = match &self.payloads {
            Some(payloads) => filter.apply(payloads, deleted, args.threads.count().get(), &|| false)?,
            None => filter.apply_to_none(self.searcher.rows().len(), deleted),
        };
        for (row, reason) in &matches.unreadable {
            report.warning(format!("{} is left out: {reason}", self.row(*row)));
        }
        self.undecided = matches.unreadable_rows;
        self.searcher = self.searcher.only(matches);
        Ok(self)
    }

    /// Chooses how queries are answered here.
    ///
    /// # Errors
    /// [`Usage`] for an effort or a recall that no index can be asked for.
    pub(crate) fn plan(&self, args: &Args, limit: Limit) -> anyhow::Result<Plan<'_>> {
        self.searcher.plan(&self.indexes, &args.request(), limit).map_err(|e| match e {
            FsError::BadIndex(problem) => match self.device.as_deref() {
                Some(device) => Usage::new(format!("{device}: {problem}")).into(),
                None => Usage::new(problem).into(),
            },
            other => anyhow::Error::from(other),
        })
    }

    /// The place in words, as far as it must be told from others.
    pub(crate) fn name(&self) -> String {
        match (&self.collection, &self.device) {
            (Some(collection), Some(device)) => format!("{collection} on {device}"),
            (Some(name), None) | (None, Some(name)) => name.clone(),
            (None, None) => "the collection".to_owned(),
        }
    }

    /// A row in words.
    pub(crate) fn row(&self, row: u64) -> String {
        if self.collection.is_none() && self.device.is_none() {
            format!("row {row}")
        } else {
            format!("row {row} of {}", self.name())
        }
    }
}
