//! SIGINT and SIGTERM as a flag that work loops poll.
//!
//! Writing tools call [`catch`] before they touch the device and poll [`interrupted`] where stopping is safe. Tools that
//! only read leave the signals alone: dying at once is right for them.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on the first SIGINT or SIGTERM sets the flag; the second kills, as it would have without this call.
///
/// The second matters when the work hangs in a device that does not answer. Calling this again changes nothing.
///
/// # Errors
/// The system's answer, if it refuses a handler.
pub fn catch() -> io::Result<()> {
    let mut first = false;
    let flag = FLAG.get_or_init(|| {
        first = true;
        Arc::default()
    });
    if first {
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag unset and only sets it.
            flag::register_conditional_default(signal, Arc::clone(flag))?;
            flag::register(signal, Arc::clone(flag))?;
        }
    }
    Ok(())
}

/// Whether a signal asked the tool to stop. Cheap enough for every step of a loop.
pub fn interrupted() -> bool {
    FLAG.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    // That the second one kills is proven on a process of its own, in tests/signals.rs.
    #[test]
    fn a_signal_sets_the_flag_instead_of_killing() {
        assert!(!interrupted());
        catch().expect("handlers");
        catch().expect("again");
        assert!(!interrupted());
        signal_hook::low_level::raise(SIGTERM).expect("raise");
        assert!(interrupted());
    }
}
