//! What the sessions do: a written-out story that visits every part of the format, and seeded random stories.

use super::Random;
use super::action::{Action, Names};
use super::session::Step;
use super::tree::{Node, Tree};

fn path(text: &str) -> String {
    text.to_owned()
}

fn names(ids: &[u64]) -> Vec<String> {
    ids.iter().map(u64::to_string).collect()
}

/// Every kind of change at least once: imports with automatic ids, given ids and keys, upserts and compactions, half-filled last blocks, files made
/// and replaced, a directory that splits its blocks, moves, removals, deleted rows, an abandoned transaction, clean and
/// unclean openings. The names of one commit and the commits together are enough to go round a journal of 256 blocks.
pub fn story() -> Vec<Step> {
    use Action::*;
    let mut steps = vec![
        Step::Commit(vec![Append(path("/vectors"), vec![100], Names::Auto, 1)]),
        Step::Commit(vec![Append(path("/vectors"), vec![30, 1, 400], Names::Auto, 2)]),
        Step::Commit(vec![MakeDirectory(path("/models")), Write(path("/models/card.md"), 11, 3)]),
        Step::Commit(vec![Append(path("/vectors"), vec![70], Names::Ids(5_000), 4)]),
        Step::Commit(vec![Write(path("/models/card.md"), 9_000, 5)]),
        Step::Commit(vec![MakeCollection(path("/models/keyed"), 3), MakeDirectory(path("/many"))]),
        Step::Commit(vec![Append(path("/models/keyed"), vec![40, 2], Names::Keys, 6)]),
        Step::Reopen,
        Step::Commit(vec![ManyNames(path("/many"), 0..110)]),
        Step::Commit(vec![Append(path("/models/keyed"), vec![200], Names::Keys, 7)]),
        Step::Commit(vec![DeleteRows(path("/vectors"), vec![3, 99, 100, 600, 7_777])]),
        Step::Abandon(vec![
            Append(path("/vectors"), vec![50], Names::Auto, 8),
            Write(path("/abandoned"), 5_000, 9),
            Remove(path("/models/keyed")),
        ]),
        Step::Replay,
        Step::Commit(vec![Append(path("/vectors"), vec![90], Names::Auto, 10)]),
        Step::Commit(vec![
            MakeLink(path("/short"), path("models/card.md")),
            MakeLink(path("/long"), format!("/models/{}", "x".repeat(300))),
            Rename(path("/models/card.md"), path("/README")),
        ]),
        Step::Commit(vec![Rename(path("/models"), path("/many/models"))]),
        Step::Commit(vec![ManyNames(path("/many"), 110..150)]),
        Step::Commit(vec![RemoveNames(path("/many"), (0..150).step_by(2).collect())]),
        Step::Commit(vec![Write(path("/blob"), 150_000, 11)]),
        Step::Replay,
        Step::Commit(vec![Rename(path("/blob"), path("/README"))]),
        Step::Commit(vec![DeleteRows(path("/many/models/keyed"), vec![0, 1, 2])]),
        Step::Commit(vec![Upsert(path("/vectors"), names(&[5_003, 7, 90_000, 5_001]), 15)]),
        Step::Commit(vec![Upsert(
            path("/many/models/keyed"),
            vec![path("key-7-5"), path("key-6-0"), path("key-6-9")],
            16,
        )]),
        Step::Commit(vec![Compact(path("/vectors"))]),
        Step::Commit(vec![
            Compact(path("/many/models/keyed")),
            Append(path("/many/models/keyed"), vec![9], Names::Keys, 17),
        ]),
        Step::Commit(vec![Remove(path("/long")), Remove(path("/README"))]),
        Step::Commit(vec![Write(path("/blob"), 150_000, 12)]),
    ];
    // A file and a collection that grow in turn: extents that do not touch, until they need a tree.
    for n in 0..7 {
        steps.push(Step::Commit(vec![Append(path("/vectors"), vec![129], Names::Auto, 20 + n)]));
        steps.push(Step::Commit(vec![Write(format!("/between-{n}"), 100, n)]));
    }
    steps.extend([
        Step::Commit(vec![RemoveNames(path("/many"), (1..150).step_by(2).collect())]),
        Step::Commit(vec![Remove(path("/many/models/keyed"))]),
        Step::Commit(vec![
            Write(path("/last"), 20_000, 13),
            Append(path("/vectors"), vec![5], Names::Auto, 14),
        ]),
    ]);
    steps
}

/// A few steps of every kind, for tests that repeat them many times.
pub fn short_story() -> Vec<Step> {
    use Action::*;
    vec![
        Step::Commit(vec![Append(path("/vectors"), vec![100], Names::Auto, 1)]),
        Step::Commit(vec![MakeDirectory(path("/models")), Write(path("/models/card.md"), 9_000, 2)]),
        Step::Replay,
        Step::Commit(vec![Append(path("/vectors"), vec![30, 300], Names::Ids(900), 3)]),
        Step::Commit(vec![
            Write(path("/models/card.md"), 5_000, 4),
            DeleteRows(path("/vectors"), vec![5, 6]),
        ]),
        Step::Reopen,
        Step::Commit(vec![Remove(path("/models/card.md")), Remove(path("/models"))]),
    ]
}

/// `count` random steps that `seed` decides; they fit on a volume of 8 MiB.
pub fn random_story(seed: u64, count: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut tree: Tree = [(path("/vectors"), Node::Rows(super::tree::RowsOf::empty(8)))].into();
    let mut steps = Vec::new();
    let mut next = 0;
    while steps.len() < count {
        if random.below(12) == 0 {
            steps.push(if random.below(3) == 0 { Step::Reopen } else { Step::Replay });
            continue;
        }
        let mut after = tree.clone();
        let mut actions = Vec::new();
        for _ in 0..=random.below(3) {
            if let Some(action) = random_action(&mut random, &after, &mut next) {
                action.model(&mut after);
                actions.push(action);
            }
        }
        if random.below(10) == 0 {
            steps.push(Step::Abandon(actions));
        } else {
            steps.push(Step::Commit(actions));
            tree = after;
        }
    }
    steps
}

fn random_action(random: &mut Random, tree: &Tree, next: &mut u64) -> Option<Action> {
    *next += 1;
    let (seed, fresh) = (*next, *next);
    let pick = |random: &mut Random, want: fn(&Node) -> bool| {
        let all: Vec<&String> = tree.iter().filter(|(_, node)| want(node)).map(|(path, _)| path).collect();
        (!all.is_empty()).then(|| all[random.below(all.len() as u64) as usize].clone())
    };
    let directory = pick(random, |node| matches!(node, Node::Directory))
        .filter(|path| path.matches('/').count() < 4 && random.below(2) == 0)
        .unwrap_or_default();
    let is_full = tree.len() > 60;
    Some(match random.below(14) {
        0 if !is_full => Action::MakeDirectory(format!("{directory}/d{fresh}")),
        1 if !is_full => Action::MakeCollection(format!("{directory}/c{fresh}"), 1 + random.below(40) as u32),
        2 if !is_full => {
            Action::MakeLink(format!("{directory}/l{fresh}"), "t".repeat(1 + random.below(400) as usize))
        }
        3 if !is_full => Action::Write(format!("{directory}/f{fresh}"), random.below(40_000) as usize, seed),
        4 => {
            Action::Write(pick(random, |n| matches!(n, Node::File(_)))?, random.below(20_000) as usize, seed)
        }
        5 => {
            let from = pick(random, |node| !matches!(node, Node::Rows(rows) if rows.dim == 8))?;
            if directory == from || directory.starts_with(&format!("{from}/")) {
                return None;
            }
            Action::Rename(from, format!("{directory}/r{fresh}"))
        }
        6 => {
            let from = pick(random, |node| matches!(node, Node::File(_) | Node::Link(_)))?;
            let to = pick(random, |node| matches!(node, Node::File(_) | Node::Link(_)))?;
            if from == to {
                return None;
            }
            Action::Rename(from, to)
        }
        7 => {
            let victim = pick(random, |node| !matches!(node, Node::Rows(rows) if rows.dim == 8))?;
            let below = format!("{victim}/");
            if tree.keys().any(|path| path.starts_with(&below)) {
                return None;
            }
            Action::Remove(victim)
        }
        8..=10 => {
            let target = pick(random, |node| matches!(node, Node::Rows(_)))?;
            let Some(Node::Rows(rows)) = tree.get(&target) else { return None };
            if rows.rows.len() > 100_000 {
                return Some(Action::DeleteRows(target, vec![random.below(rows.names.len() as u64 + 9)]));
            }
            let names = match random.below(3) {
                _ if rows.names.first().is_some_and(|name| name.starts_with("key")) => Names::Keys,
                0 => Names::Ids(rows.next_id + random.below(9)),
                1 if rows.names.is_empty() => Names::Keys,
                _ => Names::Auto,
            };
            let most = 12_000 / (u64::from(rows.dim) * 4);
            let batches = (0..=random.below(2)).map(|_| 1 + random.below(most) as usize).collect();
            Action::Append(target, batches, names, seed)
        }
        11 => Action::Compact(pick(random, |node| matches!(node, Node::Rows(_)))?),
        12 => {
            let target = pick(random, |node| matches!(node, Node::Rows(_)))?;
            let Some(Node::Rows(rows)) = tree.get(&target) else { return None };
            let names: Vec<String> = rows.live_names().map(|(_, name)| name.clone()).collect();
            let some = names.into_iter().filter(|_| random.below(4) == 0).take(9);
            let some: Vec<String> = some.collect();
            if some.is_empty() {
                return None;
            }
            Action::Upsert(target, some, seed)
        }
        _ => {
            let target = pick(random, |node| matches!(node, Node::Rows(_)))?;
            let Some(Node::Rows(rows)) = tree.get(&target) else { return None };
            let count = rows.names.len() as u64 + 5;
            Action::DeleteRows(target, (0..random.below(9)).map(|_| random.below(count)).collect())
        }
    })
}
