//! Questions, and what makes their answers right: exact ones are those of brute force over the model; of an index each neighbour
//! is a live row at its true distance, as many come as there are, and how many are the true ones is counted.

use vexfs_fs::Volume;
use vexfs_fs::collection::Collection;
use vexfs_fs::index::Indexes;
use vexfs_fs::search::{Choice, Effort, Filter, Limit, Request, Searcher};

use crate::choose::pick;
use crate::crash_model::Random;
use crate::life::Lived;
use crate::payload::Condition;
use crate::rows::{Rows, pack};

/// Queries that are asked together.
const QUERIES: usize = 3;

/// What is asked.
#[derive(Debug)]
struct Question {
    queries: Vec<Vec<i32>>,
    k: Option<usize>,
    radius: Option<f64>,
    condition: Option<Condition>,
    choice: Choice,
}

/// Asks something of the collection at `path`, which holds `rows`.
///
/// # Errors
/// What is wrong with the answer.
pub fn ask(
    volume: &Volume,
    path: &str,
    rows: &Rows,
    random: &mut Random,
    lived: &mut Lived,
) -> Result<(), String> {
    let question = Question::random(rows, random);
    question.put(volume, path, rows, lived).map_err(|problem| format!("{path}: {problem}\nof {question:?}"))
}

impl Question {
    fn random(rows: &Rows, random: &mut Random) -> Self {
        let live: Vec<_> = rows.live().map(|(_, row)| row).collect();
        let query = |random: &mut Random| match pick(random, live.iter()) {
            Some(row) if random.below(3) == 0 => row.elements.clone(),
            _ => rows.random_elements(random),
        };
        let queries: Vec<Vec<i32>> = (0..QUERIES).map(|_| query(random)).collect();
        let some_row = pick(random, live.iter()).filter(|_| random.below(4) == 0);
        let radius = some_row.map(|row| rows.distance(&queries[0], row));
        let k = [1, 3, 10, 10, 1000][random.below(5) as usize];
        let index = pick(random, rows.indexes.keys());
        Self {
            k: (radius.is_none() || random.below(2) == 0).then_some(k),
            radius,
            condition: (rows.has_payload && random.below(2) == 0).then(|| Condition::random(random)),
            choice: match (random.below(4), index) {
                (0, _) => Choice::Exact,
                (1, _) | (_, None) => Choice::Auto,
                (_, Some(name)) => Choice::Named(name.clone()),
            },
            queries,
        }
    }

    fn put(&self, volume: &Volume, path: &str, rows: &Rows, lived: &mut Lived) -> Result<(), String> {
        let text = |e: vexfs_fs::FsError| e.to_string();
        let collection = Collection::open(volume, path).map_err(text)?;
        let mut searcher = Searcher::open(volume, &collection).map_err(text)?;
        if let Some(condition) = &self.condition {
            let payloads = collection.payloads(volume).map_err(text)?.ok_or("there is no payload")?;
            let filter: Filter = condition.text.parse().map_err(|e| format!("{e}"))?;
            let matches = filter.apply(&payloads, searcher.deletions(), 1, &|| false).map_err(text)?;
            searcher = searcher.only(matches);
        }
        let limit = match self.radius {
            Some(radius) => Limit::within(radius, self.k),
            None => Limit::from(self.k.unwrap_or(1)),
        };
        let indexes = Indexes::open(volume, &collection, &self.choice);
        let request = Request { choice: self.choice.clone(), effort: Effort::Default };
        let plan = searcher.plan(&indexes, &request, limit).map_err(text)?;
        let is_unbuilt = rows.indexes.values().any(|&covered| covered == 0);
        if !plan.warnings().is_empty() && !is_unbuilt {
            return Err(format!("warnings {:?}", plan.warnings()));
        }
        let dim = rows.spec.dim as usize;
        let queries = if searcher.is_binary() {
            let packed: Vec<u8> = self.queries.iter().flat_map(|q| pack(rows.spec.dtype, q)).collect();
            searcher.bit_queries(&packed, dim)
        } else {
            let values: Vec<f32> = self.queries.iter().flatten().map(|&e| e as f32).collect();
            searcher.queries(&values, dim)
        };
        let answer = plan.search(&queries.map_err(text)?, 1, &|| false).map_err(text)?;
        if answer.fallback.is_some() || answer.damaged_rows > 0 || !answer.survived.is_empty() {
            return Err(format!("damage where there is none: {answer:?}"));
        }
        let kind = plan.index().and_then(|name| name.rsplit_once('-')).map_or("none", |(kind, _)| kind);
        for (query, hits) in self.queries.iter().zip(&answer.hits) {
            let found: Vec<(f64, u64)> = hits.iter().map(|hit| (hit.distance, hit.row)).collect();
            let all = self.near(rows, query);
            let wanted = &all[..all.len().min(limit.k)];
            if answer.is_exact {
                if found != wanted {
                    return Err(format!("exact by {kind}: {found:?}, expected {wanted:?}"));
                }
            } else {
                self.check_found(&found, &all, limit.k).map_err(|e| format!("{kind}: {e}"))?;
                lived.count(kind, wanted.len(), found.iter().filter(|hit| wanted.contains(hit)).count());
            }
            lived.answers += 1;
        }
        Ok(())
    }

    /// All rows that may be found, nearest first, ties by lower row.
    fn near(&self, rows: &Rows, query: &[i32]) -> Vec<(f64, u64)> {
        let may =
            rows.live().filter(|(_, row)| self.condition.as_ref().is_none_or(|c| c.holds(&row.payload)));
        let all = may.map(|(number, row)| (rows.distance(query, row), number));
        let mut all: Vec<_> =
            all.filter(|(distance, _)| self.radius.is_none_or(|r| *distance <= r)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all
    }

    /// Whether an answer is one that an index may give: `all` are the rows that there are.
    fn check_found(&self, found: &[(f64, u64)], all: &[(f64, u64)], k: usize) -> Result<(), String> {
        if let Some(wrong) = found.iter().find(|hit| !all.contains(hit)) {
            return Err(format!("{wrong:?} is no neighbour"));
        }
        if !found.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)) {
            return Err(format!("not nearest first, or twice: {found:?}"));
        }
        if self.radius.is_none() && found.len() != all.len().min(k) {
            return Err(format!("{} neighbours, and there are {}", found.len(), all.len().min(k)));
        }
        Ok(())
    }
}
