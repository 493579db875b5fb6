//! The last line of defence for mapped bytes: a SIGBUS becomes a message and an exit code.
//!
//! Code that uses a mapping populates it first ([`Mapping::populate`](crate::Mapping::populate)) and gets an error. What is
//! evicted from memory after that and then cannot be read again arrives as a signal; here it is turned into one line
//! on standard error and an orderly exit status. The handler runs inside the signal, so all it reads is atomics and memory
//! that is never freed while a fault in it is possible, and all it calls is `write` and `_exit`.
#![allow(unsafe_code)]

use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use crate::map::Segments;

/// Live mappings that the handler can name. A tool maps a few dozen files; beyond this number a fault ends the process by signal.
const SLOTS: usize = 1024;

/// One live mapping, or none while `start` is [`FREE`] or [`CLAIMED`].
///
/// `start` is written last when a slot is filled and first when it is emptied, so a reader that finds the same `start`
/// before and after has read `end` and `segments` of one mapping.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    segments: AtomicPtr<Segments>,
}

/// `start` of an unused slot; no mapping begins at address 0.
const FREE: usize = 0;
/// `start` of a slot that is being filled; no mapping begins at the last address.
const CLAIMED: usize = usize::MAX;

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        start: AtomicUsize::new(FREE),
        end: AtomicUsize::new(0),
        segments: AtomicPtr::new(ptr::null_mut()),
    }
}; SLOTS];

/// What the handler says and returns; set once, before it is installed.
static HANDLER: OnceLock<(String, i32)> = OnceLock::new();

/// The entry of one mapping in the table, removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    slot: &'static Slot,
    /// Keeps what the slot points to.
    _segments: Arc<Segments>,
}

/// Enters the mapping of `len` bytes at address `start`; `None` if the table is full.
pub(crate) fn register(start: usize, len: usize, segments: Arc<Segments>) -> Option<Registration> {
    let slot = TABLE.iter().find(|slot| {
        let claim = slot.start.compare_exchange(FREE, CLAIMED, Ordering::SeqCst, Ordering::Relaxed);
        claim.is_ok()
    })?;
    slot.end.store(start.saturating_add(len), Ordering::SeqCst);
    slot.segments.store(Arc::as_ptr(&segments).cast_mut(), Ordering::SeqCst);
    slot.start.store(start, Ordering::SeqCst);
    Some(Registration { slot, _segments: segments })
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.slot.start.store(FREE, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({:#x}..{:#x})", self.start.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed))
    }
}

/// The mapping that contains `address`, and where in it that is.
///
/// The reference is good for as long as that mapping lives: the caller has just faulted in it.
fn find(address: usize) -> Option<(&'static Segments, usize)> {
    TABLE.iter().find_map(|slot| {
        let start = slot.start.load(Ordering::SeqCst);
        if start == FREE || start == CLAIMED || address < start {
            return None;
        }
        let end = slot.end.load(Ordering::SeqCst);
        let segments = slot.segments.load(Ordering::SeqCst);
        if address >= end || slot.start.load(Ordering::SeqCst) != start {
            return None;
        }
        // SAFETY: the slot was filled when `start` was read and still (or again) when it was read after `segments`. Live
        // mappings do not overlap and this one contains the address, so it is the one in which the caller has faulted: a
        // thread is inside it, therefore its `Mapping` with the `Registration` and the `Arc` it keeps has not been dropped.
        Some((unsafe { &*segments }, address - start))
    })
}

/// Turns a fault in a mapping into a line on standard error and `exit_code`, for the whole process.
///
/// The line is `TOOL: DEVICE: a mapped block cannot be read (byte offset N)`, where TOOL is the name by which the
/// process was called. Any other SIGBUS ends the process as if there were no handler. Only the first call counts.
///
/// # Errors
/// The system's answer, if it refuses the handler.
pub fn install_bus_error_handler(exit_code: i32) -> io::Result<()> {
    let tool = std::env::args_os().next().unwrap_or_default();
    let tool = std::path::Path::new(&tool).file_name().unwrap_or("vexfs".as_ref());
    if HANDLER.set((tool.to_string_lossy().into_owned(), exit_code)).is_err() {
        return Ok(());
    }
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK;
    let action = SigAction::new(SigHandler::SigAction(on_bus_error), flags, SigSet::empty());
    // SAFETY: the handler is async-signal-safe (it reads atomics and memory kept alive by the faulting thread, and calls
    // only `write`, `_exit`, `sigaction` and `raise`); the previous action is not used again.
    unsafe { sigaction(Signal::SIGBUS, &action) }.map(drop).map_err(io::Error::from)
}

extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo_t; for a SIGBUS of its own (positive code) the address is set.
    let fault = unsafe { ((*info).si_code > 0).then(|| (*info).si_addr().addr()) };
    if let (Some((segments, position)), Some((tool, exit_code))) = (fault.and_then(find), HANDLER.get()) {
        let mut line = Line::default();
        for part in [tool.as_str(), ": ", segments.device(), ": a mapped block cannot be read (byte offset "]
        {
            line.push(part.as_bytes());
        }
        line.push_number(segments.device_offset(position));
        line.push(b")\n");
        // SAFETY: the line is initialised memory of this length; nothing can be done about a failure. `_exit` does not return
        // and runs no destructor, which is what a signal handler may do.
        unsafe {
            libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len);
            libc::_exit(*exit_code);
        }
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action runs no code of this process. The raised signal is pending until this handler returns.
    let _ = unsafe { sigaction(Signal::SIGBUS, &default) };
    let _ = raise(Signal::SIGBUS);
}

/// A line of text without an allocator; what does not fit is cut off.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }
}

impl Line {
    fn push(&mut self, text: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text[..taken]);
        self.len += taken;
    }

    fn push_number(&mut self, mut number: u64) {
        let mut digits = [b'0'; 20];
        let mut first = digits.len() - 1;
        loop {
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
            first -= 1;
        }
        self.push(&digits[first..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Run;

    fn segments(name: &str) -> Arc<Segments> {
        Arc::new(Segments::new(name, &[Run { offset: 8192, len: 4096 }, Run { offset: 0, len: 4096 }]))
    }

    #[test]
    fn an_address_is_found_while_its_mapping_is_registered() {
        // Addresses at the very top, where nothing is mapped in user space.
        let base = usize::MAX - (1 << 30);
        let (low, high) = (
            register(base, 8192, segments("low")).expect("slot"),
            register(base + 8192, 8192, segments("high")).expect("slot"),
        );
        let at = |address| find(address).map(|(segments, position)| (segments.device(), position));
        assert_eq!(at(base), Some(("low", 0)));
        assert_eq!(at(base + 8191), Some(("low", 8191)));
        assert_eq!(at(base + 8192), Some(("high", 0)));
        assert_eq!(at(base + 16384), None);
        assert_eq!(find(base + 4097).map(|(segments, at)| segments.device_offset(at)), Some(1));
        drop(low);
        assert!(find(base).is_none());
        drop(high);
    }

    #[test]
    fn numbers_and_long_lines_are_written_without_an_allocator() {
        let mut line = Line::default();
        line.push_number(0);
        line.push(b" ");
        line.push_number(u64::MAX);
        assert_eq!(&line.bytes[..line.len], b"0 18446744073709551615");
        line.push(&[b'x'; 1000]);
        assert_eq!(line.len, 512);
    }
}
