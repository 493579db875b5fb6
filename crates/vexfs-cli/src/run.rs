//! The frame around each tool: arguments in, exit code out, whatever happens in between.
//!
//! Descriptors 0 to 2 need no care here: before `main`, the Rust runtime opens `/dev/null` for those that the caller
//! closed (fsck's front end closes standard input), so that no device is opened as number 1 and written over by a message. The
//! runtime also ignores SIGPIPE: a closed pipe arrives as an error of [`Output`], which decides what it means.

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::complete;
use crate::error::{self, Interrupted, Usage};
use crate::exit::{Family, Outcome};
use crate::output::{Output, printable_lines, stdout_error};
use crate::panic;

/// Runs a tool on the arguments of this process; the whole body of its `main`.
///
/// `run` gets the parsed arguments and standard output, and returns `()` or, for fsck, a
/// [`FsckStatus`](crate::FsckStatus). Its errors are printed to standard error as `TOOL: message` with a line per cause
/// and hint.
///
/// The tool's name in messages is that of the clap command.
pub fn run_tool<A: Parser, R: Outcome>(
    family: Family,
    run: impl FnOnce(&A, &mut Output) -> anyhow::Result<R>,
) -> ExitCode {
    ExitCode::from(run_tool_from(family, std::env::args_os(), run))
}

/// [`run_tool`] on other arguments, the first of which is the name by which the tool was called. Returns the exit code.
pub fn run_tool_from<A: Parser, R: Outcome>(
    family: Family,
    argv: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(&A, &mut Output) -> anyhow::Result<R>,
) -> u8 {
    let name = A::command().get_name().to_owned();
    panic::install_hook(&name);
    let argv: Vec<OsString> = argv.into_iter().collect();
    if let Some((_, [flag, words @ ..])) = argv.split_first()
        && flag == complete::FLAG
    {
        // A shell that completes has no use for a panic either; the hook has said it on standard error.
        let _ = catch_unwind(AssertUnwindSafe(|| complete::print(&name, words)));
        return 0;
    }
    let guarded = AssertUnwindSafe(|| match A::try_parse_from(argv) {
        Ok(args) => work(family, &name, &args, run),
        Err(unparsed) => answer(family, &name, &unparsed),
    });
    // The hook has said what there is to say.
    catch_unwind(guarded).unwrap_or_else(|_| family.failed())
}

fn work<A, R: Outcome>(
    family: Family,
    name: &str,
    args: &A,
    run: impl FnOnce(&A, &mut Output) -> anyhow::Result<R>,
) -> u8 {
    let mut out = match Output::stdout(family) {
        Ok(out) => out,
        Err(source) => return fail(family, name, &stdout_error(&source).into()),
    };
    let outcome = run(args, &mut out);
    let flushed = out.flush();
    match (outcome, flushed) {
        (_, _) if out.reader_is_gone() => 0,
        (Ok(outcome), Ok(())) => outcome.code(),
        (Ok(_), Err(source)) => fail(family, name, &source.into()),
        (Err(error), _) => fail(family, name, &error),
    }
}

/// Prints help or version, or says what is wrong with the arguments.
fn answer(family: Family, name: &str, unparsed: &clap::Error) -> u8 {
    if matches!(unparsed.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match unparsed.print().and_then(|()| io::stdout().flush()) {
            Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
                fail(family, name, &stdout_error(&source).into())
            }
            _ => 0,
        };
    }
    let text = unparsed.render().to_string();
    say(&format!("{name}: {}", text.strip_prefix("error: ").unwrap_or(&text).trim_end()));
    family.usage()
}

fn fail(family: Family, name: &str, error: &anyhow::Error) -> u8 {
    say(&format!("{name}: {}", error::lines(error).join("\n")));
    if error::is_caused_by::<Usage>(error) {
        say(&format!("Try '{name} --help' for more information."));
        family.usage()
    } else if error::is_caused_by::<Interrupted>(error) {
        family.interrupted()
    } else {
        family.failed()
    }
}

/// One message on standard error; a standard error that cannot be written leaves the exit code to tell.
fn say(message: &str) {
    let _ = writeln!(io::stderr(), "{}", printable_lines(message));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::FsckStatus;

    #[derive(Parser)]
    #[command(name = "vexfs-sample", version)]
    struct Args {
        #[arg(short)]
        number: Option<u8>,
    }

    fn code<R: Outcome>(family: Family, argv: &[&str], outcome: fn() -> anyhow::Result<R>) -> u8 {
        let argv = ["vexfs-sample"].iter().chain(argv).map(OsString::from);
        run_tool_from(family, argv, |_: &Args, _| outcome())
    }

    #[test]
    fn each_outcome_has_the_exit_code_of_its_family() {
        for family in [Family::Ordinary, Family::Mkfs, Family::Fsck] {
            assert_eq!(code(family, &[], || Ok(())), 0);
            assert_eq!(code::<()>(family, &[], || anyhow::bail!("failed")), family.failed());
            assert_eq!(code::<()>(family, &[], || Err(Usage::new("wrong").into())), family.usage());
            assert_eq!(code::<()>(family, &[], || Err(Interrupted::new("x").into())), family.interrupted());
            assert_eq!(code(family, &["-n", "x"], || Ok(())), family.usage());
            assert_eq!(code(family, &["-n", "7", "--wrong"], || Ok(())), family.usage());
            assert_eq!(code(family, &["--help"], || Ok(())), 0);
        }
        assert_eq!(code(Family::Fsck, &[], || Ok(FsckStatus::UNCORRECTED)), 4);
    }

    #[test]
    fn a_panic_ends_as_an_operational_error() {
        let argv = || ["vexfs-sample".into()];
        let panics = |_: &Args, _: &mut Output| -> anyhow::Result<()> { panic!("on purpose") };
        assert_eq!(run_tool_from(Family::Ordinary, argv(), panics), 1);
        assert_eq!(run_tool_from(Family::Fsck, argv(), panics), 8);
    }
}
