//! The outcome in words.

use vexfs_fs::check::Summary;

/// What each pass is about, as headings say it.
pub(crate) const HEADINGS: [&str; 6] = [
    "Pass 0: Checking superblock and journal",
    "Pass 1: Checking inodes, blocks and extents",
    "Pass 2: Checking directories",
    "Pass 3: Checking connectivity",
    "Pass 4: Checking link counts",
    "Pass 5: Checking bitmaps, counters, collections and data",
];

/// What the steps of each pass are called.
pub(crate) const STEPS: [&str; 6] = ["steps", "groups", "inodes", "inodes", "inodes", "steps"];

/// The line that ends a run: `NAME: clean, 11/65536 inodes, 5120/262144 blocks, 3 collections, 1000000 vectors`.
pub(crate) fn summary_line(device: &str, state: &str, summary: &Summary, is_complete: bool) -> String {
    let Summary { inodes_used, inodes, blocks_used, blocks, collections, vectors } = summary;
    let some = if is_complete { "" } else { "at least " };
    format!(
        "{device}: {state}, {inodes_used}/{inodes} inodes, {blocks_used}/{blocks} blocks, \
         {some}{collections} collections, {some}{vectors} vectors"
    )
}

/// How a filesystem stands, in words: `clean`, `2 problems corrected`, `1 problem left`, or both.
pub(crate) fn state(corrected: u64, left: u64) -> String {
    let count = |count: u64, what| format!("{count} problem{} {what}", if count == 1 { "" } else { "s" });
    match (corrected, left) {
        (0, 0) => "clean".to_owned(),
        (0, left) => count(left, "left"),
        (corrected, 0) => count(corrected, "corrected"),
        (corrected, left) => format!("{}, {}", count(corrected, "corrected"), count(left, "left")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_one_that_scripts_know() {
        let summary = Summary {
            inodes_used: 11,
            inodes: 65_536,
            blocks_used: 5120,
            blocks: 262_144,
            collections: 3,
            vectors: 1_000_000,
        };
        assert_eq!(
            summary_line("/dev/sda1", "clean", &summary, true),
            "/dev/sda1: clean, 11/65536 inodes, 5120/262144 blocks, 3 collections, 1000000 vectors"
        );
    }
}
