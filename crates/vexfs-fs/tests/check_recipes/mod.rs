//! Recipes of damage: what is done to a sound filesystem, and exactly which kinds of problems a check finds then.

#![allow(unreachable_pub)] // shared by tests

mod bitmaps;
mod collections;
mod data;
mod directories;
mod groups;
mod journal;
mod objects;
mod superblock;
mod tree;

use crate::check_support::image::Image;

/// One kind of damage.
pub struct Recipe {
    /// What has happened, as a sentence.
    pub story: &'static str,
    /// The kinds of problems that are found, in order, each once.
    pub codes: &'static str,
    /// What is done.
    pub damage: fn(&Image),
}

/// All of them.
pub fn all() -> Vec<Recipe> {
    [
        superblock::RECIPES,
        journal::RECIPES,
        groups::RECIPES,
        objects::RECIPES,
        directories::RECIPES,
        tree::RECIPES,
        bitmaps::RECIPES,
        collections::RECIPES,
        data::RECIPES,
    ]
    .into_iter()
    .flatten()
    .map(|&(story, codes, damage)| Recipe { story, codes, damage })
    .collect()
}

/// A recipe as the lists write it: story, codes, damage.
type Entry = (&'static str, &'static str, fn(&Image));
