//! docs/problems.md has a row for each problem that a check can find; `BLESS=1` writes it anew from the table.

use std::fmt::Write as _;
use std::path::Path;

use vexfs_fs::check::{Fix, Preen, table};

/// What stands before the rows of a pass.
const PASSES: [&str; 6] = [
    "superblock and journal",
    "groups, inodes, extents",
    "directories",
    "connectivity",
    "link counts",
    "bitmaps, counters, collections, data, indexes",
];

const HEAD: &str = "# What a check can find

The codes that `fsck.vexfs` prints, by the pass that finds them; they do not change. **At stake** is the worst that follows: a *notice* is no
damage, *derived* data can be computed again, a *structure* leads to objects, a *loss* concerns bytes that nothing else holds. **-p** says
whether a preening run repairs it without asking, goes on, or stops; **-y** is what a repair asks, which `-y` answers. Words in braces stand for what was found. This page is written from the table in
[table.rs](../crates/vexfs-fs/src/check/table.rs).
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (pass, name) in PASSES.iter().enumerate() {
        let _ = write!(
            page,
            "\n## Pass {pass}: {name}\n\n| code | at stake | -p | message | -y |\n|---|---|---|---|---|\n"
        );
        for kind in table::ALL.iter().filter(|kind| usize::from(kind.code.pass) == pass) {
            let preen = match kind.preen {
                Preen::Stop => "stops",
                Preen::Fix if kind.fix == Fix::Nothing => "goes on",
                Preen::Fix => "repairs",
            };
            let message = kind.message.replace('|', "\\|");
            let question = if kind.question.is_empty() { "–" } else { kind.question };
            let _ = writeln!(
                page,
                "| {} | {} | {preen} | {message} | {question} |",
                kind.code,
                kind.severity.name()
            );
        }
    }
    page
}

#[test]
fn each_problem_has_its_row() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let rows = page.lines().filter(|line| line.starts_with("| VX")).count();
    assert_eq!(rows, table::ALL.len());
    let stored = std::fs::read_to_string(&path).expect("docs/problems.md");
    assert!(stored == page, "docs/problems.md is not what the table says (BLESS=1 writes it anew)");
}
