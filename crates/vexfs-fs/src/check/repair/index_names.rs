//! Pass 3: files of indexes that have lost their names. What they hold says what they are.
//!
//! An index follows from the rows, but not what it was asked to be: so its files go back to their index rather than to lost+found, or
//! away. An image says of which kind it is and which rows it covers, a description of which kind. An index none of whose files has
//! kept a name is called by its kind. Only files in a directory of index images are looked at; what is neither image nor
//! description nor calibration is kept in lost+found.

use std::collections::BTreeMap;
use std::ops::Range;

use vexfs_ann::calibrate::{self, Calibration};
use vexfs_ann::index::image::Image;
use vexfs_ann::index::{IndexSpec, Kind};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;

use super::super::context::{CollectionInfo, Context};
use super::super::{pass5, paths};
use crate::collection::Collection;
use crate::error::Result;
use crate::index::files::{CALIBRATION, IndexFiles, SPEC, SPEC_MAX, file_name};

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It gets this name in its directory.
    Named(String),
    /// It is set free: nobody can tell which index was measured.
    Dropped,
}

/// A file of an index, by its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Image(Kind, Range<u64>),
    Spec(Kind),
    Calibration,
}

/// An index as far as it is known.
#[derive(Debug, Default)]
struct Known {
    name: String,
    /// Unknown where neither an image nor a description says it.
    kind: Option<Kind>,
    /// The rows that its parts cover, by their numbers.
    parts: BTreeMap<u32, Range<u64>>,
    has_spec: bool,
    has_calibration: bool,
}

impl Known {
    fn may_be(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|known| known == kind)
    }

    /// The number of a part that covers `rows`, if there is room for one.
    fn number(&self, rows: &Range<u64>) -> Option<u32> {
        let before = self.parts.iter().rfind(|(_, part)| part.start < rows.start);
        let after = self.parts.iter().find(|(_, part)| part.start >= rows.start);
        let number = before.map_or(Some(0), |(number, _)| number.checked_add(1))?;
        let fits = before.is_none_or(|(_, part)| part.end <= rows.start)
            && after.is_none_or(|(next, part)| rows.end <= part.start && number < *next);
        fits.then_some(number)
    }
}

/// Takes the files of indexes out of `orphans`, and says what becomes of each, with its directory.
pub(super) fn take(
    ctx: &mut Context<'_>,
    orphans: &mut Vec<InodeNo>,
) -> Result<Vec<(InodeNo, InodeNo, Fate)>> {
    let with_index = ctx.collections.iter().enumerate().filter(|(_, info)| info.index > 0);
    let directories: BTreeMap<u64, usize> = with_index.map(|(index, info)| (info.index, index)).collect();
    let mut lost: BTreeMap<u64, Vec<(InodeNo, What)>> = BTreeMap::new();
    orphans.retain(|&ino| {
        let parent = ctx.inodes.get(ino.get()).map_or(0, |info| info.parent);
        let what = directories.get(&parent).and_then(|_| what(ctx, ino));
        what.map(|what| lost.entry(parent).or_default().push((ino, what))).is_none()
    });
    let mut fates = Vec::new();
    for (directory, files) in lost {
        let info = ctx.collections[directories[&directory]].clone();
        let fate = name_all(known(ctx, &info), &files);
        let path = paths::find(ctx, info.ino).unwrap_or_else(|| format!("inode {}", info.ino));
        for ((ino, _), fate) in files.iter().zip(fate) {
            ctx.reporter.note(match &fate {
                Fate::Named(name) => format!("inode {ino} is {name} of the indexes of {path}"),
                Fate::Dropped => format!("inode {ino} is a calibration of an index of {path}, and dropped"),
            })?;
            fates.push((*ino, InodeNo(directory), fate));
        }
    }
    Ok(fates)
}

/// What a stream holds, if it is a file of an index.
fn what(ctx: &Context<'_>, ino: InodeNo) -> Option<What> {
    let inode = ctx.read_inode(ino.get()).filter(|inode| inode.kind() == InodeKind::Stream)?;
    let view = ctx.volume.view(&inode).ok()?;
    if let Ok(image) = Image::open(&view) {
        let header = image.header();
        return Some(What::Image(header.kind, header.rows.clone()));
    }
    let start = view.bytes(0..calibrate::MAX_BYTES as u64).ok()?;
    if Calibration::from_bytes(start).is_ok() {
        return Some(What::Calibration);
    }
    let text = Some(start).filter(|_| inode.size.get() <= SPEC_MAX)?;
    let spec: IndexSpec = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(What::Spec(spec.kind))
}

/// The indexes that have kept names.
fn known(ctx: &Context<'_>, info: &CollectionInfo) -> Vec<Known> {
    let Some((collection, all)) = pass5::indexes::open(ctx, info) else { return Vec::new() };
    all.into_iter().map(|files| known_by(ctx, &collection, files)).collect()
}

fn known_by(ctx: &Context<'_>, collection: &Collection, files: IndexFiles) -> Known {
    let mut kind = files.read_spec(&ctx.volume, collection).ok().map(|spec| spec.kind);
    let mut parts = BTreeMap::new();
    for (number, ino) in files.parts {
        let rows = match what(ctx, ino) {
            Some(What::Image(of, rows)) => {
                kind = kind.or(Some(of));
                rows
            }
            // Nothing fits beside a part that covers nobody knows what.
            _ => 0..u64::MAX,
        };
        parts.insert(number, rows);
    }
    let (has_spec, has_calibration) = (files.spec.is_some(), files.calibration.is_some());
    Known { name: files.name, kind, parts, has_spec, has_calibration }
}

/// The fate of each of `files`, which lie in one directory beside the indexes `all`.
fn name_all(mut all: Vec<Known>, files: &[(InodeNo, What)]) -> Vec<Fate> {
    let mut fates: BTreeMap<usize, Fate> = BTreeMap::new();
    for (at, (_, what)) in files.iter().enumerate() {
        if let What::Spec(kind) = what {
            let index = find_or_add(&mut all, *kind, |index| !index.has_spec);
            (index.has_spec, index.kind) = (true, Some(*kind));
            fates.insert(at, Fate::Named(file_name(&index.name, SPEC)));
        }
    }
    let mut images: Vec<(usize, Kind, &Range<u64>)> = Vec::new();
    for (at, (_, what)) in files.iter().enumerate() {
        if let What::Image(kind, rows) = what {
            images.push((at, *kind, rows));
        }
    }
    images.sort_by_key(|(_, _, rows)| rows.start);
    for (at, kind, rows) in images {
        let index = find_or_add(&mut all, kind, |index| index.number(rows).is_some());
        // A fresh index has room.
        let number = index.number(rows).unwrap_or(0);
        index.kind = Some(kind);
        index.parts.insert(number, rows.clone());
        fates.insert(at, Fate::Named(file_name(&index.name, number)));
    }
    let measured: Vec<usize> = (0..files.len()).filter(|&at| files[at].1 == What::Calibration).collect();
    let mut without = all.iter().filter(|index| !index.has_calibration && !index.parts.is_empty());
    let only = without.next().filter(|_| without.next().is_none() && measured.len() == 1);
    for at in measured {
        let name = only.map(|index| file_name(&index.name, CALIBRATION));
        fates.insert(at, name.map_or(Fate::Dropped, Fate::Named));
    }
    fates.into_values().collect()
}

/// The first index of this kind that has room, or a new one with a name that is free.
fn find_or_add(all: &mut Vec<Known>, kind: Kind, has_room: impl Fn(&Known) -> bool) -> &mut Known {
    let found = all.iter().position(|index| index.may_be(kind) && has_room(index));
    let at = found.unwrap_or_else(|| {
        let is_free = |name: &String| all.iter().all(|index| index.name != *name);
        let numbered = (2..=u64::MAX).map(|n| format!("{kind}-{n}"));
        let name = std::iter::once(kind.to_string()).chain(numbered).find(is_free).unwrap_or_default();
        all.push(Known { name, kind: Some(kind), ..Known::default() });
        all.len() - 1
    });
    &mut all[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(all: Vec<Known>, files: &[What]) -> Vec<String> {
        let files: Vec<(InodeNo, What)> = (20..).map(InodeNo).zip(files.iter().cloned()).collect();
        let text = |fate| match fate {
            Fate::Named(name) => name,
            Fate::Dropped => "dropped".to_owned(),
        };
        name_all(all, &files).into_iter().map(text).collect()
    }

    fn ivf(rows: Range<u64>) -> What {
        What::Image(Kind::Ivf, rows)
    }

    #[test]
    fn an_index_without_any_name_is_called_by_its_kind() {
        let files = [ivf(500..900), What::Calibration, ivf(0..500), What::Spec(Kind::Ivf)];
        assert_eq!(named(vec![], &files), ["ivf.1", "ivf.calibration", "ivf.0", "ivf.spec"]);
    }

    #[test]
    fn images_of_the_same_rows_are_of_two_indexes() {
        let spec = || What::Spec(Kind::Ivf);
        let files = [
            spec(),
            ivf(0..9),
            What::Calibration,
            spec(),
            ivf(0..9),
            What::Calibration,
            What::Spec(Kind::Flat),
        ];
        let names = ["ivf.spec", "ivf.0", "dropped", "ivf-2.spec", "ivf-2.0", "dropped", "flat.spec"];
        assert_eq!(named(vec![], &files), names);
    }

    #[test]
    fn a_file_goes_back_to_the_index_that_lacks_it() {
        let lists = || Known {
            name: "lists".to_owned(),
            kind: Some(Kind::Ivf),
            parts: BTreeMap::from([(0, 0..500), (2, 800..900)]),
            has_spec: false,
            has_calibration: true,
        };
        assert_eq!(named(vec![lists()], &[What::Spec(Kind::Ivf)]), ["lists.spec"]);
        assert_eq!(named(vec![lists()], &[What::Spec(Kind::Flat)]), ["flat.spec"]);
        assert_eq!(named(vec![lists()], &[ivf(500..800)]), ["lists.1"]);
        assert_eq!(named(vec![lists()], &[ivf(900..950)]), ["lists.3"]);
        assert_eq!(named(vec![lists()], &[ivf(400..800)]), ["ivf.0"]);
        assert_eq!(named(vec![lists()], &[What::Calibration]), ["dropped"]);
    }
}
