//! Choosing how to answer: which index, how hard to try, or none.

use std::sync::OnceLock;

use vexfs_ann::index::{Index, Kind};

use super::{Limit, Searcher, cost};
use crate::error::{FsError, Result};
use crate::index::{Indexes, StoredIndex, of_index};

/// Bytes of rows below which every row is compared when nobody asks for an index: that takes about as long as opening one.
const SMALL_BYTES: u64 = 1 << 20;
/// Recall that is aimed at when nobody says anything and the index is calibrated.
const DEFAULT_RECALL: f64 = 0.95;

/// A distance to a row among others that do not match costs as much as so many to rows in a row.
const SCATTER: f64 = 2.0;

/// Which index is to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that is expected to cost least, as far as that was measured; none for a small collection, or if comparing every row
    /// costs less.
    #[default]
    Auto,
    /// None: every row is compared.
    Exact,
    /// The index of this name, or the best of this kind.
    Named(String),
}

/// How hard the index is to try.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Effort {
    /// As hard as a recall of 0.95 takes, if the index is calibrated; else as its kind thinks right.
    #[default]
    Default,
    /// As hard as this recall takes.
    Recall(f64),
    /// As these numbers say.
    Given {
        /// The effort and what the kinds that have it call it: `ef`, `nprobe`, `probes`.
        effort: Option<(&'static str, u32)>,
        /// Candidates that are compared by their full rows.
        rerank: Option<u32>,
    },
}

/// How queries are to be answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Which index.
    pub choice: Choice,
    /// How hard it tries.
    pub effort: Effort,
}

/// How queries will be answered: an index that is open, or none.
pub struct Plan<'s> {
    pub(super) searcher: &'s Searcher,
    pub(super) limit: Limit,
    pub(super) route: Option<Route<'s>>,
    warnings: Vec<String>,
    /// Why the index was given up.
    pub(super) given_up: OnceLock<String>,
}

/// An index on the way to an answer.
pub(super) struct Route<'s> {
    pub(super) stored: &'s StoredIndex,
    pub(super) parts: Vec<Box<dyn Index + 's>>,
    pub(super) effort: Effort,
    /// What is known to lead to the recall that is wanted.
    pub(super) calibrated: Option<vexfs_ann::index::Effort>,
    /// What a query is expected to cost, in bytes compared one after the other; `None` if nobody has measured how much of the index
    /// it takes.
    cost: Option<f64>,
}

impl Searcher {
    /// Chooses how to answer queries that want `limit` neighbours.
    ///
    /// An index that cannot be used is a warning, not an error: another one answers, or the exact search does.
    ///
    /// # Errors
    /// [`FsError::BadIndex`] for an effort that the index named does not have, for a recall that is none, and for a recall when
    /// no index that may answer is calibrated.
    pub fn plan<'s>(
        &'s self,
        indexes: &'s Indexes,
        request: &Request,
        limit: impl Into<Limit>,
    ) -> Result<Plan<'s>> {
        let limit = limit.into();
        let mut plan =
            Plan { searcher: self, limit, route: None, warnings: Vec::new(), given_up: OnceLock::new() };
        if let Effort::Recall(recall) = request.effort
            && !(0.0..=1.0).contains(&recall)
        {
            return Err(FsError::BadIndex(format!("a recall of {recall} is not between 0 and 1")));
        }
        if request.choice == Choice::Exact {
            return Ok(plan);
        }
        let bytes = self.rows.len().saturating_mul(self.rows.row_bytes());
        let is_small = bytes <= SMALL_BYTES && request.effort == Effort::Default;
        if request.choice == Choice::Auto && is_small {
            return Ok(plan);
        }
        let (candidates, mut unusable) = indexes.candidates(&request.choice);
        let is_missing = candidates.is_empty() && unusable.is_empty();
        let mut routes = Vec::new();
        let mut uncalibrated = Vec::new();
        let mut too_weak = Vec::new();
        for stored in candidates {
            match Route::open(self, stored, request, limit) {
                Ok(Found::Route(route)) => routes.push(route),
                Ok(Found::TooWeak) => too_weak.push(stored.name()),
                Ok(Found::NotCalibrated) => uncalibrated.push(stored.name()),
                Ok(Found::OtherEffort(has)) => {
                    if let Choice::Named(_) = request.choice {
                        return Err(other_effort(stored, has, request.effort));
                    }
                }
                Err(error) => {
                    let problem = of_index(&self.path, stored.name(), &error);
                    unusable.push((stored.name().to_owned(), problem));
                }
            }
        }
        let scatter = if self.matches.is_some() { SCATTER } else { 1.0 };
        let exact = cost::of_rows(self.findable(), self.rows.row_bytes()) * scatter;
        // Whoever names an index or says how hard it is to try wants it whatever it costs.
        let is_wanted =
            matches!(request.choice, Choice::Named(_)) || matches!(request.effort, Effort::Given { .. });
        // But where few rows match, comparing them all is both less work and exact.
        let is_wanted = |cost: Option<f64>| is_wanted && (self.matches.is_none() || cost.is_none());
        routes.retain(|route| is_wanted(route.cost) || route.cost.is_some_and(|cost| cost < exact));
        let cost = |route: &Route<'_>| route.cost.unwrap_or(f64::INFINITY);
        plan.route = routes.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        if plan.route.is_none() && too_weak.is_empty() && !uncalibrated.is_empty() {
            return Err(FsError::BadIndex(format!(
                "{}: index {} is not calibrated, so nobody knows what a recall takes; run vexfs-tune --calibrate",
                self.path,
                uncalibrated.join(", "),
            )));
        }
        if plan.route.is_some() {
            // The few rows that decide lie here and there, as what is read of an index does.
            self.rows.view().advise_random();
        }
        plan.warn(&request.choice, is_missing, &too_weak, unusable);
        Ok(plan)
    }
}

impl Plan<'_> {
    /// What the person who asked should know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Name of the index that answers; `None` if every row is compared.
    pub fn index(&self) -> Option<&str> {
        self.route.as_ref().filter(|_| self.given_up.get().is_none()).map(|route| route.stored.name())
    }

    /// The efforts that the index which answers proposes, from little to much, each with what it is called: `ef`, `nprobe`,
    /// `probes`, or nothing. Empty if every row is compared.
    pub fn efforts(&self) -> Vec<(&'static str, vexfs_ann::index::Effort)> {
        let Some(part) = self.route.as_ref().and_then(|route| route.parts.first()) else { return Vec::new() };
        let k = self.limit.k.min(usize::try_from(self.searcher.rows.len()).unwrap_or(usize::MAX));
        part.efforts(k).into_iter().map(|effort| (part.effort_name(), effort)).collect()
    }

    fn warn(
        &mut self,
        choice: &Choice,
        is_missing: bool,
        too_weak: &[&str],
        unusable: Vec<(String, String)>,
    ) {
        let instead = match (&self.route, choice) {
            (Some(route), _) => format!("index {} answers instead", route.stored.name()),
            (None, _) => "every vector is compared".to_owned(),
        };
        if let (Choice::Named(name), true) = (choice, is_missing) {
            self.warnings.push(format!("{}: there is no index {name}; {instead}", self.searcher.path));
        }
        if let (None, Choice::Named(_), [_, ..]) = (&self.route, choice, too_weak) {
            self.warnings.push(format!(
                "{}: no effort of index {} is known to find so large a share of the neighbours; {instead}",
                self.searcher.path,
                too_weak.join(", "),
            ));
        }
        for (_, problem) in unusable {
            self.warnings.push(format!("{problem}; {instead}"));
        }
    }
}

/// What came of looking at an index.
enum Found<'s> {
    Route(Route<'s>),
    /// It calls its effort otherwise.
    OtherEffort(&'static str),
    NotCalibrated,
    /// No effort is known to reach the recall: only the exact search does.
    TooWeak,
}

impl<'s> Route<'s> {
    fn open(
        searcher: &Searcher,
        stored: &'s StoredIndex,
        request: &Request,
        limit: Limit,
    ) -> Result<Found<'s>> {
        let parts = stored.searchable()?;
        let Some(first) = parts.first() else { return Ok(Found::OtherEffort("")) };
        if let Effort::Given { effort: Some((name, _)), .. } = request.effort
            && first.effort_name() != name
        {
            return Ok(Found::OtherEffort(first.effort_name()));
        }
        let is_exact = parts.iter().all(|part| part.is_exact());
        let wanted = match request.effort {
            Effort::Recall(recall) => Some(recall),
            Effort::Default => Some(DEFAULT_RECALL),
            Effort::Given { .. } => None,
        };
        let calibration = if is_exact { None } else { stored.calibration()? };
        let k = limit.k.min(usize::try_from(searcher.rows.len()).unwrap_or(usize::MAX)).max(1);
        let choice = calibration.as_ref().zip(wanted).and_then(|(known, recall)| known.choose(k, recall));
        if matches!(request.effort, Effort::Recall(_)) && !is_exact && choice.is_none() {
            return Ok(if calibration.is_some() { Found::TooWeak } else { Found::NotCalibrated });
        }
        let (rows, row_bytes) = (searcher.rows.len(), searcher.rows.row_bytes());
        let uncovered: u64 = stored.uncovered(rows).iter().map(|gap| gap.end - gap.start).sum();
        let usual = || calibration.as_ref().and_then(|known| known.choose(k, DEFAULT_RECALL));
        let counted = choice.or_else(usual);
        let is_known = is_exact || counted.is_some();
        let cost = is_known.then(|| {
            cost::of_index(stored, counted.as_ref(), row_bytes) + cost::of_rows(uncovered, row_bytes)
        });
        // A kind that looks for the nearest goes on until it has met as many rows that may be found; a sweep meets them all.
        let is_sweep = matches!(stored.kind(), Kind::Flat | Kind::Pq);
        let more = searcher
            .matches
            .as_ref()
            .filter(|_| !is_sweep)
            .map_or(1.0, |matches| rows as f64 / matches.rows.max(1) as f64);
        let cost = cost.map(|cost| cost * more);
        Ok(Found::Route(Self {
            stored,
            parts,
            effort: request.effort,
            calibrated: choice.map(|choice| choice.effort),
            cost,
        }))
    }

    /// How hard part `part` tries for `k` neighbours.
    pub(super) fn effort(&self, part: &dyn Index, k: usize) -> vexfs_ann::index::Effort {
        let mut effort = self.calibrated.unwrap_or_else(|| part.default_effort(k));
        if let Effort::Given { effort: given, rerank } = self.effort {
            effort.effort = given.map_or(effort.effort, |(_, number)| number);
            effort.rerank = rerank.unwrap_or(effort.rerank);
        }
        effort
    }
}

fn other_effort(stored: &StoredIndex, has: &str, asked: Effort) -> FsError {
    let asked = match asked {
        Effort::Given { effort: Some((name, _)), .. } => name,
        _ => "such effort",
    };
    let has = if has.is_empty() { "rerank alone".to_owned() } else { has.to_owned() };
    FsError::BadIndex(format!("index {} ({}) has no {asked}; it has {has}", stored.name(), stored.kind()))
}
