//! What all flags promise: a line that fits the screen, a text where a line does not do, and no clash.

use clap::{Command, CommandFactory};

/// Longest first line of a flag's help, in characters.
const WIDTH: usize = 79;

fn commands() -> Vec<Command> {
    let mut commands = vec![
        mkfs_vexfs::args::Args::command(),
        fsck_vexfs::args::Args::command(),
        vexfs_import::args::Args::command(),
        vexfs_query::args::Args::command(),
        vexfs_dump::args::Args::command(),
        vexfs_tune::args::Args::command(),
        vexfs_bench::args::Args::command(),
    ];
    commands.iter_mut().for_each(Command::build);
    commands
}

#[test]
fn each_flag_is_explained_in_one_line_that_fits() {
    for command in commands() {
        for arg in command.get_arguments() {
            let (tool, flag) = (command.get_name(), arg.get_id());
            let help = arg.get_help().unwrap_or_else(|| panic!("{tool}: {flag} has no help")).to_string();
            assert!(!help.contains('\n') && help.chars().count() <= WIDTH, "{tool}: {flag}: {help}");
            assert!(!help.ends_with('.'), "{tool}: {flag}: {help}");
        }
    }
}

#[test]
fn no_two_flags_clash() {
    for command in commands() {
        command.debug_assert();
    }
}

#[test]
fn all_tools_have_the_flags_that_scripts_expect() {
    for command in commands() {
        for long in ["quiet", "verbose", "json", "help", "version"] {
            let found = command.get_arguments().any(|arg| arg.get_long() == Some(long));
            assert!(found, "{} has no --{long}", command.get_name());
        }
    }
}
