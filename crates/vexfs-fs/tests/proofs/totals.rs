//! Running many cases at once, and counting what became of them; `make prove` runs all and writes the counts into docs/proofs.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::verdict::Verdict;

/// Wrong cases that a failing proof lists, unless `VEXFS_PROVE_SHOWN` says another number.
const SHOWN: usize = 12;

/// Whether everything is tried, and the totals are written down.
pub fn is_all() -> bool {
    std::env::var("VEXFS_PROVE").is_ok_and(|value| value == "all")
}

/// About `few` of the cases, from all over the list; `VEXFS_PROVE` says another number, or all.
pub fn sample<T>(cases: Vec<T>, few: usize) -> Vec<T> {
    let few = match std::env::var("VEXFS_PROVE") {
        Ok(value) if value == "all" => usize::MAX,
        Ok(value) => value.parse().expect("VEXFS_PROVE is a number, or all"),
        Err(_) => few,
    };
    // An odd step meets all verbs in turn.
    let step = (cases.len() / few).max(1) | 1;
    cases.into_iter().step_by(step).collect()
}

/// Counts by row of a table and column.
#[derive(Default)]
pub struct Totals {
    rows: BTreeMap<String, BTreeMap<&'static str, u64>>,
    wrong: Vec<String>,
}

impl Totals {
    pub fn count(&mut self, row: &str, column: &'static str) {
        self.count_many(row, column, 1);
    }

    pub fn count_many(&mut self, row: &str, column: &'static str, count: u64) {
        *self.rows.entry(row.to_owned()).or_default().entry(column).or_default() += count;
    }

    /// Takes other counts in.
    pub fn add(&mut self, other: Self) {
        for (row, counts) in other.rows {
            for (column, count) in counts {
                *self.rows.entry(row.clone()).or_default().entry(column).or_default() += count;
            }
        }
        self.wrong.extend(other.wrong);
    }

    pub fn wrong(&mut self, text: String) {
        self.wrong.push(text);
    }

    /// Takes a verdict into account; damage that no check sees is wrong unless `excuse` says why nothing can see it.
    pub fn verdict(&mut self, row: &str, story: &str, verdict: Verdict, excuse: Option<&str>) {
        self.count(row, "cases");
        match (verdict, excuse) {
            (Verdict::Mended, _) => self.count(row, "mended"),
            (Verdict::Refused, _) => self.count(row, "refused"),
            (Verdict::Unseen, Some(_)) => self.count(row, "meaningless"),
            (Verdict::Unseen, None) => self.wrong(format!("{story}: nothing was found\n")),
            (Verdict::Wrong(text), _) => self.wrong(format!("{story}: {text}\n")),
        }
    }

    /// A table with these columns.
    fn table(&self, columns: &[&'static str]) -> String {
        let mut text = format!("| | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()));
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (row, counts) in &self.rows {
            let _ = write!(text, "| {row} |");
            for column in columns {
                let count = counts.get(column).copied().unwrap_or_default();
                *sums.entry(column).or_default() += count;
                let _ = write!(text, " {count} |");
            }
            text.push('\n');
        }
        let sums: String = columns.iter().map(|column| format!(" **{}** |", sums[column])).collect();
        text + "| **all** |" + &sums + "\n"
    }

    /// Fails if anything was wrong; writes the table called `name` in docs/proofs.md if everything was tried.
    pub fn finish(self, name: &str, columns: &[&'static str]) {
        let shown =
            std::env::var("VEXFS_PROVE_SHOWN").ok().and_then(|text| text.parse().ok()).unwrap_or(SHOWN);
        let first: String = self.wrong.iter().take(shown).cloned().collect();
        assert!(self.wrong.is_empty(), "{} cases are wrong, the first:\n{first}", self.wrong.len());
        assert!(!self.rows.is_empty(), "nothing was tried");
        if is_all() {
            write_table(name, &self.table(columns));
        }
    }
}

/// Replaces what is between the marks of a table.
fn write_table(name: &str, table: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().expect("no table is half written");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proofs.md");
    let page = std::fs::read_to_string(&path).expect("docs/proofs.md");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{begin} is in docs/proofs.md"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is in docs/proofs.md"));
    std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).expect("docs/proofs.md");
}

/// Does `work` with each case, on as many threads as there are processors.
pub fn run<T: Sync>(cases: &[T], work: impl Fn(&T, &Mutex<Totals>) + Sync) -> Totals {
    let totals = Mutex::new(Totals::default());
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(case, &totals);
                }
            });
        }
    });
    totals.into_inner().expect("no case panics")
}
