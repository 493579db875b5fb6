//! How much memory a piece of work takes.
#![allow(unsafe_code)]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Time between two looks: a build that is shorter takes little memory.
const INTERVAL: Duration = Duration::from_millis(5);

/// Does `work`, and returns besides its result the most bytes of anonymous memory that this process had more than before; 0 if the
/// system does not say.
pub(crate) fn most_during<T>(work: impl FnOnce() -> T) -> (T, u64) {
    give_back();
    let before = anonymous();
    let (most, is_done) = (AtomicU64::new(before), AtomicBool::new(false));
    let look = || most.fetch_max(anonymous(), Ordering::Relaxed);
    let result = thread::scope(|scope| {
        let watch = || {
            while !is_done.load(Ordering::Relaxed) {
                look();
                thread::sleep(INTERVAL);
            }
        };
        // A thread that the system does not give costs a figure, not the work.
        let _ = thread::Builder::new().spawn_scoped(scope, watch);
        let result = work();
        look();
        is_done.store(true, Ordering::Relaxed);
        result
    });
    (result, most.into_inner() - before)
}

/// Gives the system what was freed: work that takes it from what earlier work has left would look as if it took none.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: It has no conditions: only memory that nobody holds is given back.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of anonymous memory that this process has; 0 if the system does not say.
fn anonymous() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: what the process has is seen, whichever test has it.
    #[test]
    fn memory_that_is_used_is_seen_also_if_it_was_used_and_freed_before() {
        let (sum, most) = most_during(|| {
            let bytes = vec![1_u8; 64 << 20];
            std::hint::black_box(&bytes).iter().map(|&byte| u64::from(byte)).sum::<u64>()
        });
        assert_eq!(sum, 64 << 20);
        let is_seen = |most| anonymous() == 0 || most > 32 << 20;
        assert!(is_seen(most), "{most}");

        let pieces = || (0..64 << 10).map(|at| vec![at as u8; 1000]).collect::<Vec<_>>();
        let first = pieces();
        // What is behind the pieces keeps the allocator from shrinking the heap when they are freed.
        let behind = std::hint::black_box(vec![1_u8; 1000]);
        drop(first);
        let (_, most) = most_during(|| drop(std::hint::black_box(pieces())));
        assert!(is_seen(most), "{most}");
        drop(behind);
    }
}
