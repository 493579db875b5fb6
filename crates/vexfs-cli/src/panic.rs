//! A panic is a bug: the user gets a report to send instead of a backtrace.

use std::panic;

use human_panic::{Metadata, PanicStyle, handle_dump, print_msg};

/// Makes a panic of the tool `name` write a report file and say where it is.
///
/// In debug builds and where `RUST_BACKTRACE` is set, the usual message of Rust stays.
///
/// This is `human_panic::setup_panic!` but for two points: the name is that of the tool, and a standard error
/// that nobody reads does not turn the panic into an abort, which would lose the exit code.
pub(crate) fn install_hook(name: &str) {
    if PanicStyle::default() != PanicStyle::Human {
        return;
    }
    let metadata = Metadata::new(name.to_owned(), env!("CARGO_PKG_VERSION"));
    panic::set_hook(Box::new(move |info| {
        let file = handle_dump(&metadata, info);
        // Nobody is left to be told when this fails.
        let _ = print_msg(file, &metadata);
    }));
}
