//! The life of a volume: steps by chance, each looked at when it is done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;

use vexfs_device::{Device, MemDevice, Op, RecordDevice};
use vexfs_fs::check::repair::{Mode, RepairOptions, repair};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};
use vexfs_fs::{Volume, mkfs};

use crate::ask::ask;
use crate::change::{Change, Outcome};
use crate::choose::{choose, pick};
use crate::common::{options, spec};
use crate::crash_model::Random;
use crate::crash_model::audit::audit;
use crate::crash_model::session::open_options;
use crate::crash_model::torn::cut;
use crate::rows::Rows;
use crate::world::World;

/// Operations before the end of what was recorded among which half of the crashes lie: those of the last change.
const LATE_OPS: u64 = 40;
/// Length of the device in MiB: what lies behind the filesystem is space that it may grow into.
const DEVICE_MIB: u64 = 420;
/// Steps that are shown when one fails.
const SHOWN: usize = 12;

/// A volume, its model, and what was done.
pub struct Life {
    seed: u64,
    random: Random,
    volume: Option<Volume>,
    device: Arc<RecordDevice>,
    /// The device when the recording began.
    base: MemDevice,
    /// The model when the recording began, and after each change since then.
    states: Vec<World>,
    /// A number that nothing is called by.
    fresh: u64,
    /// What was done, in words.
    done: Vec<String>,
    lived: Lived,
}

/// What a life came to.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    pub changes: u64,
    pub refused: u64,
    pub growths: u64,
    pub crashes: u64,
    pub checks: u64,
    pub answers: u64,
    /// What indexes found, by kind.
    pub found: BTreeMap<String, Found>,
}

/// True neighbours that were wanted of an index, and how many of them it found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub wanted: u64,
    pub found: u64,
}

impl Found {
    pub fn share(&self) -> f64 {
        self.found as f64 / self.wanted.max(1) as f64
    }
}

impl Lived {
    /// Takes note of what an index of `kind` found.
    pub fn count(&mut self, kind: &str, wanted: usize, found: usize) {
        let of_kind = self.found.entry(kind.to_owned()).or_default();
        of_kind.wanted += wanted as u64;
        of_kind.found += found as u64;
    }

    pub fn merge(mut self, other: Self) -> Self {
        self.changes += other.changes;
        self.refused += other.refused;
        self.growths += other.growths;
        self.crashes += other.crashes;
        self.checks += other.checks;
        self.answers += other.answers;
        for (kind, found) in &other.found {
            self.count(kind, found.wanted as usize, found.found as usize);
        }
        self
    }
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, refused, growths, crashes, checks, answers, found } = self;
        write!(
            f,
            "{changes} changes, {refused} refused, {growths} growths, {crashes} crashes, {checks} checks, {answers} answers"
        )?;
        let mut kinds = found.iter();
        kinds.try_for_each(|(kind, found)| write!(f, "; {kind} {:.3} of {}", found.share(), found.wanted))
    }
}

impl Life {
    /// A fresh filesystem; the seed decides its block size too.
    pub fn begin(seed: u64) -> Self {
        let (mib, block_size) = if seed % 5 == 4 { (96, 65_536) } else { (24, 4096) };
        let mut options = options(mib << 20, block_size);
        options.geometry.journal_blocks = Some(256);
        options.extent = Some(mib << 20);
        let device = Arc::new(RecordDevice::new(MemDevice::new(DEVICE_MIB << 20)));
        mkfs::format(device.clone(), &options).expect("mkfs");
        let collections = [("/vectors".to_owned(), Rows::new(spec(8)))].into();
        device.take_log();
        let mut life = Self {
            seed,
            random: Random::new(seed),
            volume: None,
            base: device.inner().fork(),
            device,
            states: vec![World { collections, ..World::default() }],
            fresh: 0,
            done: Vec::new(),
            lived: Lived::default(),
        };
        life.open();
        life.states[0].blocks = life.volume().geometry().blocks;
        life
    }

    /// Lives so many steps to the end.
    pub fn run(mut self, steps: usize) -> Lived {
        self.take(steps);
        self.reopen();
        self.look();
        self.check();
        std::mem::take(&mut self.lived)
    }

    /// Takes so many steps.
    pub fn take(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.random.below(14) {
                0 => self.reopen(),
                1 => self.leave(),
                2 => self.crash(),
                3 => self.check(),
                _ => self.change(),
            }
            self.look();
        }
    }

    /// Whether the volume holds what the model says.
    ///
    /// # Errors
    /// Where they differ.
    pub fn compare(&self) -> Result<(), String> {
        let found = World::read(self.volume()).map_err(|e| e.to_string())?;
        if found == *self.world() { Ok(()) } else { Err(found.difference(self.world())) }
    }

    /// Deletes a row without telling the model.
    pub fn delete_behind_its_back(&mut self) {
        let name_in = |(path, rows): (&String, &Rows)| {
            let (_, row) = rows.live().next()?;
            Some(Change::Delete(path.clone(), vec![row.name.clone()]))
        };
        let change = self.world().collections.iter().find_map(name_in).expect("there are rows");
        change.apply(self.volume.as_mut().expect("open")).expect("deleted");
    }

    fn world(&self) -> &World {
        self.states.last().expect("there is always a state")
    }

    fn volume(&self) -> &Volume {
        self.volume.as_ref().expect("open")
    }

    fn open(&mut self) {
        self.volume = None;
        self.volume = Some(Volume::open(self.device.clone(), &open_options()).expect("the volume opens"));
    }

    /// Compares everything, and asks something of two collections.
    fn look(&mut self) {
        if let Err(problem) = self.compare() {
            panic!("{problem}");
        }
        for _ in 0..2 {
            let world = self.states.last().expect("there is always a state");
            let asked = pick(&mut self.random, world.collections.keys());
            let Some((path, rows)) = asked.and_then(|path| world.collections.get_key_value(path)) else {
                return;
            };
            let volume = self.volume.as_ref().expect("open");
            if let Err(problem) = ask(volume, path, rows, &mut self.random, &mut self.lived) {
                panic!("{problem}");
            }
        }
    }

    fn change(&mut self) {
        self.fresh += 1;
        let mut world = self.world().clone();
        let most_blocks = (DEVICE_MIB << 20) / u64::from(self.volume().geometry().block_size);
        let chosen = choose(&mut self.random, &world, self.fresh, most_blocks);
        self.done.push(format!("{:.300}", format!("{:?}", chosen.change)));
        let outcome = chosen.change.apply(self.volume.as_mut().expect("open")).expect("the change");
        let may_be_refused = matches!(chosen.change, Change::Index(..));
        match outcome {
            Outcome::Refused if chosen.is_impossible || may_be_refused => self.lived.refused += 1,
            Outcome::Done if !chosen.is_impossible => {
                chosen.change.model(&mut world);
                if matches!(chosen.change, Change::Grow(_)) {
                    let before = std::mem::replace(&mut world.blocks, self.volume().geometry().blocks);
                    self.lived.growths += u64::from(world.blocks > before);
                }
                self.states.push(world);
                self.device.mark((self.states.len() - 1).to_string());
                self.lived.changes += 1;
            }
            _ => panic!("impossible is {}, and it is {outcome:?}", chosen.is_impossible),
        }
    }

    /// Closes the volume, which copies everything home, and opens it again.
    fn reopen(&mut self) {
        self.done.push("reopen".to_owned());
        self.volume.take().expect("open").close().expect("closed");
        self.open();
    }

    /// Leaves the volume as a killed tool does, and opens it again.
    fn leave(&mut self) {
        self.done.push("leave".to_owned());
        self.open();
    }

    /// Cuts what was recorded at a random operation, loses some of those that no flush made durable, and goes on with what is left.
    fn crash(&mut self) {
        self.volume = None;
        let log = self.device.take_log();
        let all = log.len() as u64;
        let among = if self.random.below(2) == 0 { all.min(LATE_OPS) } else { all };
        let end = (all - self.random.below(among + 1)) as usize;
        let durable = log[..end].iter().rposition(|op| *op == Op::Flush).map_or(0, |at| at + 1);
        self.done.push(format!(
            "crash: {end} of {all} operations, of which the last {} may be lost",
            end - durable
        ));
        let image = self.base.fork();
        log[..durable].iter().for_each(|op| op.apply(&image).expect("the log fits"));
        for op in &log[durable..end] {
            match self.random.below(4) {
                0 => {}
                1 => cut(op, &mut self.random).iter().for_each(|op| op.apply(&image).expect("the log fits")),
                _ => op.apply(&image).expect("the log fits"),
            }
        }
        let acknowledged = log[..end].iter().rev().find_map(|op| match op {
            Op::Mark(state) => Some(state.parse::<usize>().expect("a number")),
            _ => None,
        });
        let acknowledged = acknowledged.unwrap_or(0);
        self.base = image.fork();
        self.device = Arc::new(RecordDevice::new(image));
        self.open();
        let found = World::read(self.volume()).expect("all of it is read");
        let allowed = &self.states[acknowledged..self.states.len().min(acknowledged + 2)];
        let difference: Vec<String> = allowed.iter().map(|state| found.difference(state)).collect();
        assert!(allowed.contains(&found), "neither the state before nor after:\n{}", difference.join("or\n"));
        self.states = vec![found];
        self.lived.crashes += 1;
    }

    /// Checks the volume as it lies there, and repairs a copy, which must find nothing to do.
    fn check(&mut self) {
        self.done.push("check".to_owned());
        assert_eq!(audit(self.volume()), [""; 0], "the audit");
        let options = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
        let image: Arc<dyn Device> = Arc::new(self.device.inner().fork());
        let mut found: Vec<Problem> = Vec::new();
        check(image.clone(), &options, &mut found).expect("the check comes to its end");
        assert!(found.is_empty(), "{found:?}");
        let options =
            RepairOptions { check: options, mode: Mode::Preen, now_ns: 2_000, ..RepairOptions::default() };
        let report = repair(image.clone(), &options, &mut found).expect("the repair comes to its end");
        assert!(found.is_empty() && report.is_clean() && !report.is_changed(), "{found:?} {report:?}");
        let volume = Volume::open(image, &open_options()).expect("the repaired volume opens");
        let mended = World::read(&volume).expect("all of it is read");
        assert!(mended == *self.world(), "{}", mended.difference(self.world()));
        self.lived.checks += 1;
    }
}

impl Drop for Life {
    /// Says what led to a failure.
    fn drop(&mut self) {
        if thread::panicking() {
            let steps = self.done.len();
            let last: Vec<&str> =
                self.done[steps.saturating_sub(SHOWN)..].iter().map(String::as_str).collect();
            eprintln!("life {}, after {steps} steps, the last of them:\n  {}", self.seed, last.join("\n  "));
        }
    }
}
