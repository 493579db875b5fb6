//! What is done next, by chance: anything that a person could do to what is there, and some things that must be refused.

use vexfs_ann::index::Kind;
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::create::CollectionSpec;

use crate::change::{Change, Rowful};
use crate::crash_model::Random;
use crate::payload::random_payload;
use crate::rows::{Names, Rows};
use crate::world::World;

/// Collections there may be.
const MOST_COLLECTIONS: usize = 4;
/// Rows of a collection beyond which none are added.
const MOST_ROWS: usize = 700;
/// Ordinary files there may be.
const MOST_FILES: usize = 6;

/// A change, and whether it must be refused.
pub struct Chosen {
    pub change: Change,
    pub is_impossible: bool,
}

impl From<Change> for Chosen {
    fn from(change: Change) -> Self {
        Self { change, is_impossible: false }
    }
}

/// Chooses a change; `fresh` is a number that nothing is called by, and the device has `most_blocks`.
pub fn choose(random: &mut Random, world: &World, fresh: u64, most_blocks: u64) -> Chosen {
    let path = pick(random, world.collections.keys());
    let Some((path, rows)) = path.and_then(|path| world.collections.get_key_value(path)) else {
        return make(random, fresh).into();
    };
    let path = path.clone();
    let index = pick(random, rows.indexes.keys()).cloned();
    let file = pick(random, world.files.keys()).cloned();
    match (random.below(40), index, file) {
        (0..2, ..) if world.collections.len() < MOST_COLLECTIONS => make(random, fresh).into(),
        (2, ..) => Change::Remove(path).into(),
        (3..15, ..) if rows.rows.len() < MOST_ROWS => add(random, path, rows, fresh),
        (15..19, ..) => replace(random, path, rows, fresh).into(),
        (19..22, ..) => Change::Delete(path, some_names(random, rows)).into(),
        (22..24, ..) => Change::Compact(path).into(),
        (24..28, ..) => {
            let kind = Kind::ALL[random.below(Kind::ALL.len() as u64) as usize];
            let name = format!("{kind}-{fresh}");
            Change::Index(path, kind, name).into()
        }
        (28, Some(index), _) => Change::Drop(path, index).into(),
        (29, Some(index), _) => Change::Rebuild(path, index).into(),
        // What a compaction has dropped is to be built, not extended.
        (30..33, Some(index), _) if rows.indexes[&index] > 0 => Change::Extend(path, index).into(),
        (33, Some(index), _) if rows.indexes[&index] > 0 => Change::Calibrate(path, index).into(),
        (34, _, Some(file)) => Change::Unlink(file).into(),
        (35, _, Some(file)) => Change::Write(file, random.below(90_000) as usize, fresh).into(),
        (36, ..) if world.files.len() < MOST_FILES => {
            Change::Write(format!("file-{fresh}"), random.below(90_000) as usize, fresh).into()
        }
        (37, ..) if world.blocks < most_blocks => {
            // A little, or to several times its size.
            let some = random.below(most_blocks - world.blocks) >> (2 * random.below(5));
            Change::Grow(world.blocks + 1 + some).into()
        }
        _ if rows.rows.len() < MOST_ROWS => add(random, path, rows, fresh),
        _ => Change::Compact(path).into(),
    }
}

/// One of `all`, if there is any.
pub fn pick<'a, T>(random: &mut Random, all: impl ExactSizeIterator<Item = &'a T>) -> Option<&'a T> {
    let count = all.len() as u64;
    let mut all = all;
    if count == 0 { None } else { all.nth(random.below(count) as usize) }
}

fn make(random: &mut Random, fresh: u64) -> Change {
    const DTYPES: [DType; 6] = [DType::F32, DType::F32, DType::F16, DType::BF16, DType::I8, DType::U8];
    const METRICS: [Metric; 3] = [Metric::L2, Metric::InnerProduct, Metric::Cosine];
    let (dtype, metric) = match random.below(8) {
        0 => (DType::B1, Metric::Hamming),
        _ => (DTYPES[random.below(6) as usize], METRICS[random.below(3) as usize]),
    };
    let dim = if dtype == DType::B1 { 20 + random.below(60) } else { 2 + random.below(20) } as u32;
    Change::Make(format!("/c{fresh}"), CollectionSpec { dim, dtype, metric, normalized: false })
}

/// Rows that nobody is called like, or, now and then, one whose name is taken.
fn add(random: &mut Random, path: String, rows: &Rows, fresh: u64) -> Chosen {
    let batches: Vec<usize> = (0..1 + random.below(3)).map(|_| 1 + random.below(60) as usize).collect();
    let count = batches.iter().sum::<usize>();
    let may_have_keys = rows.has_keys || (rows.rows.is_empty() && random.below(3) == 0);
    let names = match random.below(3) {
        _ if may_have_keys => Names::Keys((0..count).map(|n| format!("key {fresh}.{n}")).collect()),
        0 => {
            let first = rows.next_id + random.below(20);
            Names::Ids((first..first + count as u64).rev().collect())
        }
        _ => Names::Auto,
    };
    let taken =
        (random.below(12) == 0).then(|| pick(random, rows.live().collect::<Vec<_>>().iter()).copied());
    let names = match (names, taken.flatten()) {
        (Names::Ids(mut ids), Some((_, row))) => {
            ids[count / 2] = row.name.parse().expect("an id");
            Names::Ids(ids)
        }
        (Names::Keys(mut keys), Some((_, row))) => {
            keys[count / 2].clone_from(&row.name);
            Names::Keys(keys)
        }
        (names, _) => names,
    };
    let is_taken = |name: &String| rows.find(name).is_some();
    let is_impossible = match &names {
        Names::Auto => false,
        Names::Ids(ids) => ids.iter().any(|id| is_taken(&id.to_string())),
        Names::Keys(keys) => keys.iter().any(is_taken),
    };
    let change = Change::Add(Rowful {
        path,
        elements: (0..count).map(|_| rows.random_elements(random)).collect(),
        payload: payloads(random, rows, count),
        batches,
        names,
        replaces: false,
    });
    Chosen { change, is_impossible }
}

/// Rows in place of some that are there, and of some that are not or no longer.
fn replace(random: &mut Random, path: String, rows: &Rows, fresh: u64) -> Change {
    let mut names = some_names(random, rows);
    let gone = rows.rows.iter().filter(|row| row.is_deleted && rows.find(&row.name).is_none());
    names.extend(gone.map(|row| row.name.clone()).filter(|_| random.below(8) == 0).take(5));
    // A name that was deleted twice is given once.
    names.sort_unstable();
    names.dedup();
    let is_keyed = rows.has_keys || (rows.rows.is_empty() && fresh.is_multiple_of(2));
    let names = if is_keyed {
        names.extend((0..random.below(9)).map(|n| format!("key {fresh}.{n}")));
        Names::Keys(names)
    } else {
        let new = (0..random.below(9)).map(|n| rows.next_id + 3 * n);
        Names::Ids(names.iter().map(|name| name.parse().expect("an id")).chain(new).collect())
    };
    let count = match &names {
        Names::Ids(ids) => ids.len(),
        Names::Keys(keys) => keys.len(),
        Names::Auto => 0,
    };
    Change::Add(Rowful {
        path,
        batches: vec![count],
        elements: (0..count).map(|_| rows.random_elements(random)).collect(),
        payload: payloads(random, rows, count),
        names,
        replaces: true,
    })
}

/// Payload for `count` rows: mostly where rows have some already, else rarely, because it is for ever.
fn payloads(random: &mut Random, rows: &Rows, count: usize) -> Option<Vec<crate::payload::Payload>> {
    let is_given = if rows.has_payload { random.below(3) > 0 } else { random.below(6) == 0 };
    is_given.then(|| (0..count).map(|_| random_payload(random)).collect())
}

/// Names of rows that are there: a few, now and then most.
fn some_names(random: &mut Random, rows: &Rows) -> Vec<String> {
    let share = if random.below(6) == 0 { 9 } else { 1 };
    rows.live().filter(|_| random.below(10) < share).map(|(_, row)| row.name.clone()).collect()
}
