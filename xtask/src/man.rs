//! Man pages: name, synopsis, description and options from the flags, the rest from the notes beside them.

use std::io::Write;
use std::path::Path;

use clap_mangen::Man;

use crate::files::Generated;
use crate::tools::{self, Tool};

/// A page per tool.
pub(crate) fn pages() -> anyhow::Result<Vec<Generated>> {
    tools::all().iter().map(page).collect()
}

fn page(tool: &Tool) -> anyhow::Result<Generated> {
    let man = Man::new(described(tool));
    let mut text = Vec::new();
    // The third field, the date, is empty: pages of the same sources are the same.
    let (title, version) = (tool.name().to_uppercase(), env!("CARGO_PKG_VERSION"));
    writeln!(text, ".TH \"{title}\" \"{}\" \"\" \"VexFS {version}\" \"VexFS\"", tool.section)?;
    man.render_name_section(&mut text)?;
    synopsis(tool, &mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    text.extend_from_slice(tool.notes.as_bytes());
    let file = format!("{}.{}", tool.name(), tool.section);
    Ok(Generated { path: Path::new("man").join(file), text })
}

/// The command with a long description that does not begin with the short one, which NAME has said.
fn described(tool: &Tool) -> clap::Command {
    let long = tool.command.get_long_about().map(ToString::to_string).unwrap_or_default();
    match long.split_once("\n\n") {
        Some((_, rest)) => tool.command.clone().long_about(rest.to_owned()),
        None => tool.command.clone(),
    }
}

/// The usage lines of `--help`: what clap would put together for the manual leaves out their alternatives.
fn synopsis(tool: &Tool, text: &mut Vec<u8>) -> anyhow::Result<()> {
    let usage = tool.command.clone().render_usage().to_string();
    writeln!(text, ".SH SYNOPSIS")?;
    for (number, line) in usage.trim_start_matches("Usage:").lines().enumerate() {
        let rest = line.trim().trim_start_matches(tool.name());
        let rest = rest.replace('-', "\\-").replace(['<', '>'], "");
        if number > 0 {
            writeln!(text, ".br")?;
        }
        writeln!(text, "\\fB{}\\fR{rest}", tool.name().replace('-', "\\-"))?;
    }
    Ok(())
}
