//! Where the programs are, built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program of the tool `name`.
///
/// # Panics
/// The tools do not build, or are not where they should be.
pub(crate) fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let (folder, file) = match std::env::var_os("VEXFS_TOOLS_DIR") {
        Some(folder) => (PathBuf::from(folder), name.to_owned()),
        None => (BUILT.get_or_init(build).clone(), target(name)),
    };
    let path = folder.join(file);
    assert!(path.is_file(), "{} is missing", path.display());
    path
}

/// Name of the cargo package and target of a tool: cargo accepts no dot.
fn target(name: &str) -> String {
    name.replace('.', "-")
}

/// Builds all tools and returns the folder they are in.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    // TARGET/PROFILE/deps/TEST
    let folder = test.ancestors().nth(2).expect("the test lies in the target folder").to_owned();
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The whole workspace, so that libraries are built with the features that `cargo test --workspace` has built them with.
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--manifest-path"]).arg(manifest);
    cargo.args(["--profile", if profile == "debug" { "dev" } else { profile }]);
    cargo.arg("--target-dir").arg(folder.parent().expect("the target folder"));
    let status = cargo.status().expect("cargo");
    assert!(status.success(), "the tools do not build");
    folder
}
