//! What all VexFS tools share, so that each tool is flags → options → work → exit code and nothing else.
//!
//! A tool defines its flags with clap, flattening the fragments of [`args`], and hands its work to [`run_tool`]:
//! that parses, prints help, maps every outcome (success, failure, wrong usage, interruption, panic, a closed pipe) to
//! the exit code its [`Family`] promises, and words errors alike everywhere. Results go to [`Output`], everything else
//! to [`Report`]; [`DeviceArgs`](args::DeviceArgs) finds the device that was meant.
//!
//! This crate does no work on filesystems: it opens the one that is meant, or reads a superblock to tell label and UUID.
//!
//! # Reading order
//! [`exit`], [`run`] and [`error`] are the frame of a tool; [`args`], [`size`] and [`extended`] its flags; [`device`] what they
//! name; [`output`] and [`report`] what comes out; [`signals`] how it is stopped, [`undo`] how its work is taken back;
//! [`index`] and [`memory`] are for those that build indexes.
//!
//! # Example
//! ```
//! use vexfs_cli::args::{DeviceArgs, OutputArgs};
//! use vexfs_cli::{Family, Output, Report, run_tool_from};
//!
//! /// Says hello.
//! #[derive(clap::Parser)]
//! #[command(name = "vexfs-hello", version)]
//! struct Args {
//!     #[command(flatten)]
//!     device: DeviceArgs,
//!     #[command(flatten)]
//!     output: OutputArgs,
//! }
//!
//! fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
//!     let report = Report::new("vexfs-hello", &args.output);
//!     report.detail("about to say it");
//!     out.line(format_args!("hello, world"))?;
//!     Ok(())
//! }
//!
//! let argv = ["vexfs-hello", "-q"].map(Into::into);
//! assert_eq!(run_tool_from(Family::Ordinary, argv, run), 0);
//! ```

pub mod args;
pub mod clock;
mod complete;
pub mod device;
pub mod error;
pub mod exit;
pub mod extended;
pub mod index;
pub mod memory;
pub mod output;
mod panic;
pub mod report;
pub mod run;
pub mod signals;
pub mod size;
pub mod undo;
pub mod volume;

pub use device::{DeviceSpec, Located};
pub use error::{Interrupted, Usage, WithHint, is_caused_by};
pub use exit::{Family, FsckStatus, Outcome};
pub use output::Output;
pub use report::{Progress, Report, Unit};
pub use run::{run_tool, run_tool_from};
