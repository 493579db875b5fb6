//! Each recipe of damage is found, and called what it is; what is intact is not called damaged.

mod check_recipes;
mod check_support;
mod common;

use std::collections::BTreeSet;

use check_recipes::{Recipe, all};
use check_support::image::{BLOCK, Image};
use check_support::{check_full, lines};
use vexfs_fs::check::{Problem, table};

/// The kinds of problems, each once, in order.
fn codes(problems: &[Problem]) -> String {
    let codes: BTreeSet<String> = problems.iter().map(|problem| problem.code().to_string()).collect();
    codes.into_iter().collect::<Vec<_>>().join(" ")
}

/// What a check says of a damaged filesystem.
fn found(recipe: &Recipe) -> Vec<Problem> {
    check_full(recipe.damaged().device).1
}

#[test]
fn the_image_is_sound_before_it_is_damaged() {
    let (report, problems) = check_full(Image::new().device);
    assert!(report.is_clean() && problems.is_empty(), "{}", lines(&problems));
}

#[test]
fn each_damage_is_found_and_nothing_else() {
    let mut wrong = String::new();
    for recipe in all() {
        let problems = found(&recipe);
        if codes(&problems) != recipe.codes {
            let text: Vec<&str> = lines(&problems).lines().take(12).map(|l| &*l.to_owned().leak()).collect();
            wrong += &format!(
                "{}\n  expected {}\n  found    {}\n    {}\n",
                recipe.story,
                recipe.codes,
                codes(&problems),
                text.join("\n    ")
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_kind_of_problem_has_a_recipe() {
    // Found in no image of this size: more inodes than the list of a kind shows, and a device that was cut off. An index that is
    // to be built anew is no damage.
    let elsewhere = [
        table::MARKED_DAMAGED,
        table::UNKNOWN_FEATURES,
        table::DEVICE_SHORT,
        table::PRIMARY_DIFFERS,
        table::INDEX_ASKED,
    ];
    let in_recipes: String = all().iter().map(|recipe| recipe.codes).collect::<Vec<_>>().join(" ");
    let missing: Vec<String> = table::ALL
        .iter()
        .filter(|kind| !elsewhere.contains(kind))
        .filter(|kind| !in_recipes.contains(&kind.code.to_string()))
        .map(|kind| format!("{}: {}", kind.code, kind.message))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn each_problem_says_where_it_is_and_leaves_no_blank() {
    for recipe in all() {
        for problem in found(&recipe) {
            let (line, place) = (problem.to_string(), &problem.place);
            assert!(!problem.message().contains('?'), "{}: {line}", recipe.story);
            assert!(!problem.question().trim_end_matches('?').contains('?'), "{}: {line}", recipe.story);
            assert!(line.starts_with("sample: VX"), "{line}");
            let is_somewhere = place.block.is_some()
                || place.inode.is_some()
                || place.group.is_some()
                || problem.code() == table::DEVICE_SHORT.code;
            assert!(is_somewhere, "{line}");
            if let Some(block) = place.block {
                let byte = place.byte.expect("a byte offset beside the block");
                assert_eq!(byte / BLOCK as u64, block, "{line}");
            }
        }
    }
}
