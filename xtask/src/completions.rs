//! Completions for bash, zsh and fish.

use std::path::Path;

use clap_complete::Shell;

use crate::files::Generated;
use crate::tools;

/// Tools that take names of collections and indexes which the device has. They tell them when they are called with `--complete-names`.
const NAMING: [&str; 4] = ["vexfs-dump", "vexfs-import", "vexfs-query", "vexfs-tune"];

/// A script per tool and shell, named as the shells look for them.
pub(crate) fn scripts() -> Vec<Generated> {
    let mut scripts = Vec::new();
    for mut tool in tools::all() {
        let name = tool.name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut tool.command, &name, &mut text);
            let text = if NAMING.contains(&name.as_str()) { with_names(&name, shell, text) } else { text };
            scripts.push(Generated { path: Path::new("completions").join(file), text });
        }
    }
    scripts
}

/// A generated script that offers the names of the device first.
fn with_names(name: &str, shell: Shell, script: Vec<u8>) -> Vec<u8> {
    let script = String::from_utf8_lossy(&script).into_owned();
    let function = format!("_{}", name.replace('-', "__"));
    let script = match shell {
        Shell::Bash => {
            // The tool's names are data: nothing here expands them.
            let names = BASH.replace("FUNCTION", &function);
            let registered = script
                .replace(&format!("complete -F {function} "), &format!("complete -F {function}_names "));
            let at = registered.find("\nif [[").map_or(registered.len(), |at| at + 1);
            format!("{}{names}{}", &registered[..at], &registered[at..])
        }
        Shell::Zsh => {
            let is_named = |line: &str| {
                let names_index = name != "vexfs-import" && line.contains("--index=[");
                names_index || line.contains("-c+[") || line.contains("--collection=[")
            };
            let lines = script.split_inclusive('\n').map(|line| {
                if is_named(line) { line.replace(":_default", ":_vexfs_names") } else { line.to_owned() }
            });
            let script: String = lines.collect();
            script.replacen("\nautoload -U is-at-least\n", &format!("\nautoload -U is-at-least\n{ZSH}"), 1)
        }
        _ => {
            let index = if ["vexfs-query", "vexfs-tune"].contains(&name) { FISH_INDEX } else { "" };
            format!("{script}{}", format!("{FISH}{index}").replace("NAMES", FISH_NAMES).replace("TOOL", name))
        }
    };
    script.into_bytes()
}

const BASH: &str = r#"FUNCTION_names() {
    local name word="$2"
    [[ ${word} == "=" ]] && word=""
    COMPREPLY=()
    if [[ ${word} != -* ]]; then
        while IFS= read -r name; do
            [[ ${name} == "${word}"* ]] && COMPREPLY+=("$(printf '%q' "${name}")")
        done < <("$1" --complete-names "${COMP_WORDS[@]:1:COMP_CWORD-1}" 2>/dev/null)
    fi
    [[ ${#COMPREPLY[@]} -gt 0 ]] || FUNCTION "$@"
}

"#;

const ZSH: &str = r#"
(( $+functions[_vexfs_names] )) ||
_vexfs_names() {
    local -a before names
    before=(${(Q)words[2,CURRENT-1]} ${IPREFIX%=})
    names=("${(@f)$(${(Q)words[1]} --complete-names $before 2>/dev/null)}")
    names=(${names:#})
    if (( $#names )); then
        compadd -a names
    else
        _default
    fi
}
"#;

/// What stands before a name: the words in front of it, and a flag that is written into one word with it.
const FISH_NAMES: &str = "TOOL --complete-names (commandline -opc)[2..] \
     (string match -r -- '^(?:--[a-z-]+(?==)|-c)' (commandline -ct)) 2>/dev/null";

const FISH: &str = "complete -c TOOL -s c -l collection -x -a \"(NAMES)\"
complete -c TOOL -a \"(NAMES)\"
";

const FISH_INDEX: &str = "complete -c TOOL -l index -x -a \"(NAMES)\"
";
