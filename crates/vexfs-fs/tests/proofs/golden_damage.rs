//! Golden damage: what a repair says of each recipe, in its first run and in its second, word by word.
//!
//! testdata/golden/damage/README.md says what the files are; `BLESS=1` writes the expected output anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use vexfs_device::{Device, MemDevice};
use vexfs_format::BlockNo;
use vexfs_fs::check::repair::{Mode, RepairOptions, repair};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check, table};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{OpenOptions, Volume};

use crate::check_recipes::all;
use crate::fields::Place;
use crate::repair_support::Told;
use crate::sample::{SAMPLES, Sample};
use crate::totals::run;
use crate::verbs;

/// Problems and notes of one run that are written down.
const MAX_LINES: usize = 16;
/// Recipes that there are at least.
const LEAST: usize = 250;

/// A damaged device, and how it is repaired.
struct Case {
    file: &'static str,
    story: String,
    device: Arc<dyn Device>,
    superblock: Option<BlockNo>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden/damage")
}

/// The recipes that the tests of the check share.
fn recipes() -> Vec<Case> {
    let damaged = |recipe: crate::check_recipes::Recipe| {
        let image = recipe.damaged();
        image.device.remap_on_write();
        let (story, device) = (recipe.story.to_owned(), image.device);
        Case { file: "recipes", story, device, superblock: None }
    };
    all().into_iter().map(damaged).collect()
}

/// The recipes of fields.recipes, a line each.
fn fields() -> Vec<Case> {
    let text = std::fs::read_to_string(folder().join("fields.recipes")).expect("fields.recipes");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut wrong = String::new();
    let mut cases = Vec::new();
    for line in lines {
        match read_line(line) {
            Ok(case) => cases.push(case),
            Err(what) => wrong += &format!("{what} in: {line}\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    cases
}

/// `story | state | structure [path] [number] | field | verb [raw] [-b BLOCK]`
fn read_line(line: &str) -> Result<Case, &'static str> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [story, state, structure, field, verb] = parts[..] else { return Err("not five parts") };
    let sample = match state {
        "clean" => &SAMPLES.clean,
        "unclean" => &SAMPLES.unclean,
        _ => return Err("no such state"),
    };
    let place = find(sample, structure).ok_or("no such structure")?;
    let field = place.fields.iter().find(|known| known.name == field).ok_or("no such field")?;
    let (verb, superblock) = match verb.split_once(" -b ") {
        Some((verb, block)) => (verb, Some(BlockNo(block.parse().map_err(|_| "no block")?))),
        None => (verb, None),
    };
    let (verb, sealed) = verb.strip_suffix(" raw").map_or((verb, true), |verb| (verb, false));
    let mut old = vec![0; field.size];
    sample.image.read_at(place.at + field.offset as u64, &mut old).map_err(|_| "outside")?;
    let new = match verb.strip_prefix("= ") {
        Some(value) => {
            let value: u64 = value.parse().map_err(|_| "no number")?;
            let mut new = value.to_le_bytes().to_vec();
            new.resize(field.size, 0);
            new
        }
        None => verbs::every(&old).into_iter().find(|(name, _)| *name == verb).ok_or("no such verb")?.1,
    };
    if new == old {
        return Err("nothing changes");
    }
    let image: MemDevice = sample.image.fork();
    sample.places.set(&image, &place, field, &new, sealed);
    let story = format!("{story} ({state}: {structure}: {}: {})", field.name, parts[4]);
    Ok(Case { file: "fields", story, device: Arc::new(image), superblock })
}

/// The structure that words name: its name, the path of the object it belongs to, and its number among those alike.
fn find(sample: &Sample, words: &str) -> Option<Place> {
    let mut words: Vec<&str> = words.split(' ').collect();
    let number = match words.last().and_then(|word| word.parse::<usize>().ok()) {
        Some(number) => {
            words.pop();
            number
        }
        None => 0,
    };
    let mut owner = 0;
    if words.last().is_some_and(|word| word.starts_with('/')) {
        let volume = Volume::open(Arc::new(sample.image.fork()), &OpenOptions::default()).ok()?;
        owner = resolve(&volume, words.pop()?, LastLink::Keep).ok()?.number().get();
    }
    let name = words.join(" ");
    let alike = sample.places.all.iter().filter(|place| place.name == name && place.owner == owner);
    alike.copied().nth(number)
}

/// The codes that a check finds, each once.
fn checked(case: &Case, codes: &mut BTreeSet<String>) -> String {
    let options =
        CheckOptions { data: DataLevel::Full, superblock: case.superblock, ..CheckOptions::default() };
    let mut problems: Vec<Problem> = Vec::new();
    let error = check(case.device.clone(), &options, &mut problems).err();
    let mut text: BTreeSet<String> = problems.iter().map(|problem| problem.code().to_string()).collect();
    codes.extend(text.iter().cloned());
    text.extend(error.map(|error| error.to_string()));
    text.into_iter().collect::<Vec<_>>().join(" ")
}

/// One run of a repair: what it says, and the exit status of `fsck.vexfs -y`.
fn one_run(case: &Case, superblock: Option<BlockNo>, codes: &mut BTreeSet<String>) -> String {
    let check = CheckOptions { data: DataLevel::Full, superblock, ..CheckOptions::default() };
    let options = RepairOptions { check, mode: Mode::Yes, now_ns: 2_000, ..RepairOptions::default() };
    let mut told = Told::default();
    let (status, error) = match repair(case.device.clone(), &options, &mut told) {
        Ok(report) if !report.is_clean() => (4, None),
        Ok(report) => (u8::from(report.is_changed()), None),
        Err(error) => (8, Some(error.to_string())),
    };
    codes.extend(told.problems.iter().map(|problem| problem.code().to_string()));
    let lines: Vec<String> = told.text().lines().map(str::to_owned).chain(error).collect();
    let mut text = format!("exit {status}\n");
    lines.iter().take(MAX_LINES).for_each(|line| {
        let _ = writeln!(text, "  {}", line.trim_start_matches("sample: "));
    });
    if lines.len() > MAX_LINES {
        let _ = writeln!(text, "  … and {} more", lines.len() - MAX_LINES);
    }
    text
}

#[test]
fn each_recipe_says_what_it_said() {
    let mut cases = recipes();
    cases.extend(fields());
    assert!(cases.len() >= LEAST, "only {}", cases.len());
    let stories: BTreeSet<&str> = cases.iter().map(|case| case.story.as_str()).collect();
    assert_eq!(stories.len(), cases.len(), "two recipes have one story");
    let results: Mutex<Vec<(usize, String)>> = Mutex::default();
    let codes: Mutex<BTreeSet<String>> = Mutex::default();
    let numbered: Vec<(usize, Case)> = cases.into_iter().enumerate().collect();
    run(&numbered, |(number, case), _| {
        let mut found = BTreeSet::new();
        let found_codes = checked(case, &mut found);
        let first = one_run(case, case.superblock, &mut found);
        let second = one_run(case, None, &mut BTreeSet::new());
        // What is left the first time is left the second time; everything else is mended in one run.
        let is_over = second.starts_with("exit 0") || !first.starts_with("exit 1");
        assert!(is_over, "{}:\n{first}{second}", case.story);
        codes.lock().expect("no panic").extend(found);
        let text =
            format!("== {}\ncheck: {found_codes}\nfirst run: {first}second run: {second}\n", case.story);
        results.lock().expect("no panic").push((*number, text));
    });
    let mut results = results.into_inner().expect("no panic");
    results.sort_unstable_by_key(|(number, _)| *number);
    for file in ["recipes", "fields"] {
        let of_file = results.iter().zip(&numbered).filter(|(_, (_, case))| case.file == file);
        let text: String = of_file.map(|((_, text), _)| text.as_str()).collect();
        compare(file, &text);
    }
    let found = codes.into_inner().expect("no panic");
    // That an index is to be built anew is no damage.
    let kinds = table::ALL.iter().filter(|kind| **kind != table::INDEX_ASKED);
    let missing: Vec<String> =
        kinds.map(|kind| kind.code.to_string()).filter(|code| !found.contains(code)).collect();
    assert!(missing.is_empty(), "no recipe has {missing:?}");
}

fn compare(file: &str, text: &str) {
    let path = folder().join(format!("{file}.txt"));
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(&path, text).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let pairs = text.split("\n\n").zip(expected.split("\n\n").chain(std::iter::repeat("")));
    let other = pairs.into_iter().find(|(found, expected)| found != expected);
    if let Some((found, expected)) = other {
        panic!("{file}.txt, expected:\n{expected}\nfound:\n{found}\n(BLESS=1 writes the files anew)");
    }
    assert_eq!(text.len(), expected.len(), "{file}.txt has other cases (BLESS=1 writes the files anew)");
}
