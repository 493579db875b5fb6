//! Every command of the guides works as it is printed.

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tool_tests::{Scratch, Tool};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides")
}

/// The commands of a page as a script that stops at the first one that does not end as it should.
fn script(page: &str) -> String {
    let mut script =
        "set -eu\nexpect() { wanted=$1; shift; code=0; \"$@\" || code=$?; [ $code = $wanted ]; }\n"
            .to_owned();
    let mut is_code = false;
    for line in page.lines() {
        match line {
            "```sh" => is_code = true,
            "```" => is_code = false,
            _ if is_code => {
                let shown = line.replace('\'', "'\\''");
                let line = match line.rsplit_once(" # exits with ") {
                    Some((command, code)) => format!("expect {code} {command}"),
                    None => line.to_owned(),
                };
                writeln!(script, "echo '$ {shown}' >&2\n{line}").expect("written");
            }
            _ => {}
        }
    }
    script.replace("/dev/sdb1", "sdb1.img")
}

fn run(page: &str) {
    let text = std::fs::read_to_string(docs().join(page)).expect("the page");
    let script = script(&text);
    assert!(script.lines().count() > 4, "{page} has commands");
    let scratch = Scratch::new();
    for tool in Tool::ALL {
        std::fs::create_dir_all(scratch.path("bin")).expect("a folder");
        symlink(tool.program(), scratch.path("bin").join(tool.name)).expect("a link");
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/demo");
    symlink(data.join("fashion-4000.npy"), scratch.path("embeddings.npy")).expect("a link");
    symlink(data.join("queries.npy"), scratch.path("queries.npy")).expect("a link");
    scratch.image("sdb1.img", 256 << 20);
    let path = format!("{}:{}", scratch.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(scratch.folder())
        .env("PATH", path)
        .env_remove("VEXFS_DEVICE")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{page}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

macro_rules! guides {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(concat!(stringify!($name), ".md"));
        })*

        #[test]
        fn every_guide_is_run_and_on_the_map() {
            let map = std::fs::read_to_string(docs().join("README.md")).expect("the map");
            let mut found: Vec<String> = std::fs::read_dir(docs())
                .expect("the guides")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
                .filter(|name| name != "README.md")
                .collect();
            found.sort();
            assert_eq!(found, [$(concat!(stringify!($name), ".md")),*]);
            assert!(found.iter().all(|name| map.contains(&format!("({name})"))));
        }
    };
}

guides!(administration install recovery troubleshooting tuning);
