//! Completions tell the collections and indexes of the device that is named, in bash and in whatever other shells there are.

mod image;

use std::path::{Path, PathBuf};
use std::process::Command;

use image::Image;
use tool_tests::Tool;

/// An image whose collections are called as no shell would like it.
fn filled() -> Image {
    let image = Image::new(2);
    let rows = image.scratch.npy("rows.npy", 2, &[1.0, 2.0, 3.0, 4.0]);
    image
        .import()
        .args(["-q", "--index", "flat,name=quick", "--index", "flat,name=quiet"])
        .arg(&rows)
        .finish()
        .expect(0);
    for name in ["two words", "$(touch ran)", "items"] {
        image.import().args(["-q", "-c", name, "--index", "hnsw"]).arg(&rows).finish().expect(0);
    }
    image
}

fn completions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../completions")
}

/// What a shell answers to a program; `None` if the machine has not that shell.
fn ask(shell: &str, image: &Image, program: &str) -> Option<String> {
    let tools = image.scratch.path("bin");
    std::fs::create_dir_all(&tools).expect("a folder");
    for tool in Tool::ALL {
        let _ = std::os::unix::fs::symlink(tool.program(), tools.join(tool.name));
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let image_path = image.path.display().to_string();
    let mut command = Command::new(shell);
    command.current_dir(image.scratch.folder()).env("PATH", path).env("HOME", image.scratch.folder());
    command.env_remove("VEXFS_DEVICE").env_remove("VEXFS_COLLECTION").env("IMG", image_path);
    let Ok(output) = command.env("COMPLETIONS", completions()).args(["-c", program]).output() else {
        println!("skipped: there is no {shell}");
        return None;
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}: {program}");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What bash offers for the last of `words`.
fn bash(image: &Image, words: &[&str]) -> Vec<String> {
    let list = words.join(" ");
    let (tool, last) = (words[0], words[words.len() - 1]);
    let function = format!("_{}_names", tool.replace('-', "__"));
    let program = format!(
        "source $COMPLETIONS/{tool}.bash; complete -p {tool} | grep -q {function} || echo unregistered
        COMP_WORDS=({list}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        {function} {tool} {last} \"${{COMP_WORDS[COMP_CWORD-1]}}\"
        printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    ask("bash", image, &program).expect("bash").lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_collections_and_indexes_of_the_device() {
    let image = filled();
    let all = ["\\$\\(touch\\ ran\\)", "items", "two\\ words", "vectors"];
    for tool in ["vexfs-query", "vexfs-import", "vexfs-dump", "vexfs-tune"] {
        assert_eq!(bash(&image, &[tool, "-d", "$IMG", "-c", "''"]), all, "{tool}");
    }
    assert_eq!(bash(&image, &["vexfs-dump", "$IMG", "ls", "--collection", "''"]), all);
    assert_eq!(bash(&image, &["vexfs-query", "--device", "=", "$IMG", "--collection", "="]), all);
    assert_eq!(bash(&image, &["vexfs-query", "-d", "$IMG", "-c", "it"]), ["items"]);
    assert_eq!(bash(&image, &["vexfs-query", "-d", "$IMG", "--index", "qui"]), ["quick", "quiet"]);
    assert_eq!(bash(&image, &["vexfs-query", "-d", "$IMG", "-c", "items", "--index", "''"]), ["hnsw"]);
    assert_eq!(bash(&image, &["vexfs-tune", "$IMG", "--index", "drop", "''"]), ["quick", "quiet"]);
    // What the tools cannot tell, the flags do, and nobody hears of it.
    assert_eq!(bash(&image, &["vexfs-query", "--exa"]), ["--exact"]);
    assert!(bash(&image, &["vexfs-query", "-d", "nothing", "-c", "zz"]).concat().is_empty());
    let writer = image.volume_for_writing();
    assert!(bash(&image, &["vexfs-query", "-d", "$IMG", "-c", "it"]).concat().is_empty());
    drop(writer);
    assert!(!image.scratch.path("ran").exists(), "a name was run");
}

#[test]
fn fish_and_zsh_take_the_scripts() {
    let image = filled();
    let program = "source $COMPLETIONS/vexfs-query.fish; complete -C \"vexfs-query -d $IMG -c \"";
    if let Some(told) = ask("fish", &image, program) {
        let names: Vec<&str> = told.lines().map(|line| line.split('\t').next().unwrap_or(line)).collect();
        assert!(names.contains(&"items") && names.contains(&"two words"), "{told}");
        for (flag, expected) in
            [("--collection=", "--collection=items"), ("--index=", "--index=quick"), ("-c", "-citems")]
        {
            let program =
                format!("source $COMPLETIONS/vexfs-query.fish; complete -C \"vexfs-query -d $IMG {flag}\"");
            let told = ask("fish", &image, &program).expect("fish");
            assert!(told.lines().any(|line| line.split('\t').next() == Some(expected)), "{flag}: {told}");
        }
        let program = "source $COMPLETIONS/vexfs-tune.fish; complete -C \"vexfs-tune $IMG --index drop q\"";
        let told = ask("fish", &image, program).expect("fish");
        assert!(told.contains("quick") && told.contains("quiet"), "{told}");
    }
    // Completion needs a terminal there: the function is asked without one.
    let program = "compdef() {}; autoload() {}; compadd() { print -rl -- ${(P)2} }; _default() { print none }
        source $COMPLETIONS/_vexfs-query; words=(vexfs-query -d $IMG -c ''); CURRENT=5; _vexfs_names
        words=(vexfs-query -d nothing -c ''); _vexfs_names";
    if let Some(told) = ask("zsh", &image, program) {
        assert_eq!(told, "$(touch ran)\nitems\ntwo words\nvectors\nnone\n");
    }
    assert!(!image.scratch.path("ran").exists(), "a name was run");
}
