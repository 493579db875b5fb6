//! Completions for bash, zsh and fish.

use std::path::Path;

use clap_complete::Shell;

use crate::files::Generated;
use crate::tools;

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
            scripts.push(Generated { path: Path::new("completions").join(file), text });
        }
    }
    scripts
}
