//! Development tasks: what is generated from the flags of the tools, and the check that it is up to date.
//!
//! `cargo run -p xtask -- generate` writes `man/` and `completions/`; both are committed, so that a packager needs no second
//! build and a reviewer sees what a changed flag does to them. The output depends on nothing but the sources.

mod completions;
mod files;
mod man;
mod tools;

use std::process::ExitCode;

use clap::Parser;

/// Development tasks of the VexFS tools
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo run -p xtask --")]
enum Task {
    /// Write the man pages into man/
    Man,
    /// Write the completions of bash, zsh and fish into completions/
    Completions,
    /// Write both
    Generate,
    /// Fail if what is committed differs from what would be written
    Check,
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Man => files::write(&man::pages()?),
        Task::Completions => files::write(&completions::scripts()),
        Task::Generate => files::write(&[man::pages()?, completions::scripts()].concat()),
        Task::Check => files::check(&[man::pages()?, completions::scripts()].concat()),
    }
}
