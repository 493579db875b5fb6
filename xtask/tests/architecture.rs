//! ARCHITECTURE.md says the truth: who imports whom, and which files may hold unsafe code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Our own crates among the dependencies of a package, those for its tests left out.
fn imports(package: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("manifest");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split("\n[").next().unwrap_or_default();
    dependencies
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| name.starts_with("vexfs-"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_arrow_is_in_the_table() {
    let none: &[&str] = &[];
    let leaves_and_trunk = ["vexfs-device", "vexfs-format", "vexfs-ann", "vexfs-fs"];
    for (package, allowed) in [
        ("crates/vexfs-device", none),
        ("crates/vexfs-format", none),
        ("crates/vexfs-ann", none),
        ("crates/vexfs-io", none),
        ("crates/vexfs-fs", &leaves_and_trunk[..3]),
        ("crates/vexfs-cli", &["vexfs-device", "vexfs-format", "vexfs-fs"]),
    ] {
        for import in imports(package) {
            assert!(allowed.contains(&import.as_str()), "{package} imports {import}");
        }
    }
    for tool in fs::read_dir(root().join("bins")).expect("bins").map(|e| e.expect("entry").file_name()) {
        let tool = tool.to_str().expect("UTF-8");
        for import in imports(&format!("bins/{tool}")) {
            let is_crate = root().join("crates").join(&import).is_dir();
            assert!(is_crate || tool == "tests", "bins/{tool} imports the tool {import}");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_rooms_with_unsafe_code_are_those_that_are_listed() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let section = architecture.split("## Rooms with unsafe code").nth(1).expect("the section");
    let listed: BTreeSet<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|path| path.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    let mut files = Vec::new();
    for folder in ["crates", "bins"] {
        sources(&root().join(folder), &mut files);
    }
    let allowing: BTreeSet<String> = files
        .iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("source");
            text.contains("allow(unsafe_code)")
        })
        .map(|path| path.strip_prefix(root()).expect("below the root").display().to_string())
        .filter(|path| path.contains("/src/"))
        .collect();
    assert_eq!(allowing, listed);
}
