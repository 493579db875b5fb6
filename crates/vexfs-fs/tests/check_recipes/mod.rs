//! Recipes of damage: what is done to a sound filesystem, and exactly which kinds of problems a check finds then.

#![allow(unreachable_pub)] // shared by tests

mod bitmaps;
mod collections;
mod data;
mod directories;
mod groups;
mod indexes;
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
    /// The sound filesystem.
    pub sound: fn() -> Image,
    /// What is done.
    pub damage: fn(&Image),
}

impl Recipe {
    /// The filesystem to which it was done.
    pub fn damaged(&self) -> Image {
        let image = (self.sound)();
        (self.damage)(&image);
        image
    }
}

/// All of them, or those of whose stories the environment variable `ONLY` is a part.
pub fn all() -> Vec<Recipe> {
    let only = std::env::var("ONLY").unwrap_or_default();
    let plain = [
        superblock::RECIPES,
        journal::RECIPES,
        groups::RECIPES,
        objects::RECIPES,
        directories::RECIPES,
        tree::RECIPES,
        bitmaps::RECIPES,
        collections::RECIPES,
        data::RECIPES,
    ];
    let plain = plain.into_iter().flatten().map(|entry| (entry, Image::new as fn() -> Image));
    let indexed = indexes::RECIPES.iter().map(|entry| (entry, Image::with_indexes as fn() -> Image));
    plain
        .chain(indexed)
        .map(|(&(story, codes, damage), sound)| Recipe { story, codes, sound, damage })
        .filter(|recipe| recipe.story.contains(&only))
        .collect()
}

/// A recipe as the lists write it: story, codes, damage.
type Entry = (&'static str, &'static str, fn(&Image));
