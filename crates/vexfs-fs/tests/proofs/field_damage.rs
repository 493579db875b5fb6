//! Every field of every structure, changed in every way, with the checksums as they were and with them brought up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use vexfs_device::Device;
use vexfs_format::field::FieldLayout;
use vexfs_format::group_desc::GroupDesc;
use zerocopy::FromBytes;

use crate::fields::Place;
use crate::sample::{SAMPLES, Sample};
use crate::totals::{Totals, run, sample};
use crate::verdict::judge;
use crate::{excuses, verbs};

/// Structures that are tried of those that are alike.
const ALIKE: usize = 6;
/// Cases in the short form.
const FEW: usize = 700;

/// One change of one field.
pub struct Case {
    pub sample: &'static Sample,
    pub place: Place,
    pub field: &'static FieldLayout,
    pub verb: &'static str,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
    pub sealed: bool,
}

impl Case {
    /// The kind of object that the structure belongs to.
    pub fn owner_kind(&self) -> &'static str {
        self.sample.tree.kind(self.place.owner).map_or("none", |kind| kind.name())
    }

    /// The descriptor of a group as it is, where that is what is damaged.
    pub fn group(&self) -> Option<GroupDesc> {
        let mut bytes = [0; GroupDesc::SIZE];
        self.sample.image.read_at(self.place.at, &mut bytes).expect("inside the image");
        (self.place.name == "group").then(|| GroupDesc::read_from_bytes(&bytes).expect("its size"))
    }

    fn story(&self) -> String {
        let Self { sample, place, field, verb, old, new, sealed } = self;
        let kind = self.owner_kind();
        let (old, new) = (short(old), short(new));
        let checksum = if *sealed { "sealed" } else { "checksum wrong" };
        let (name, owner) = (place.name, place.owner);
        format!(
            "{}: {name} (owner {owner}, a {kind}): {} {verb}: {old} → {new}, {checksum}",
            sample.name, field.name
        )
    }
}

fn short(bytes: &[u8]) -> String {
    let number = excuses::number(bytes);
    if bytes.len() > 8 { format!("{number}… ({} bytes)", bytes.len()) } else { number.to_string() }
}

/// The structures that are damaged: of those that are alike the first, the last, and some between them.
///
/// A check tells those that are alike apart by their place only: the edges of a list, of a block, of a tree.
fn places(sample: &Sample) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    let mut alike: BTreeMap<Alike, Vec<Place>> = BTreeMap::new();
    for place in sample.places.all.iter().filter(|place| seen.insert((place.at, place.name))) {
        // Objects of one collection are not alike: each means something else.
        let owner = sample.tree.collection_of(place.owner).map(|_| place.owner);
        let kind = sample.tree.kind(place.owner).map(|kind| kind.name());
        alike.entry((place.name, kind, owner)).or_default().push(*place);
    }
    alike.into_values().flat_map(spread).collect()
}

/// Name of a structure, the kind of object that it belongs to, and the object where it matters.
type Alike = (&'static str, Option<&'static str>, Option<u64>);

/// About [`ALIKE`] of a list, its first and last among them.
fn spread(list: Vec<Place>) -> Vec<Place> {
    let last = list.len() - 1;
    let picked: BTreeSet<usize> = (0..ALIKE).map(|n| n * last / (ALIKE - 1)).collect();
    picked.into_iter().map(|n| list[n]).collect()
}

fn cases(sample: &'static Sample) -> Vec<Case> {
    let mut cases = Vec::new();
    for place in places(sample) {
        for field in place.fields {
            let mut old = vec![0; field.size];
            sample.image.read_at(place.at + field.offset as u64, &mut old).expect("inside the image");
            for (verb, new) in verbs::all(&old) {
                for sealed in [false, true] {
                    // A checksum that is the field is never brought up to date.
                    if !(sealed && field.name == "checksum") {
                        let (old, new) = (old.clone(), new.clone());
                        cases.push(Case { sample, place, field, verb, old, new, sealed });
                    }
                }
            }
        }
    }
    cases
}

fn try_one(case: &Case, totals: &Mutex<Totals>) {
    let image = case.sample.image.fork();
    case.sample.places.set(&image, &case.place, case.field, &case.new, case.sealed);
    let mut touched: BTreeSet<u64> = case.sample.reach(case.place.owner).into_iter().collect();
    if case.place.is_in_log() {
        touched.extend(case.sample.logged.iter().flat_map(|ino| case.sample.reach(*ino)));
    }
    let verdict = judge(&image, &case.sample.tree, &touched);
    let excuse = excuses::of(case);
    let row = format!("{}, {}", case.place.name, case.sample.name);
    totals.lock().expect("no case panics").verdict(&row, &case.story(), verdict, excuse);
}

#[test]
fn each_field_of_each_structure() {
    let mut all = cases(&SAMPLES.clean);
    all.extend(cases(&SAMPLES.unclean));
    let some = sample(all, FEW);
    run(&some, try_one).finish("fields", &["cases", "mended", "meaningless", "refused"]);
}
