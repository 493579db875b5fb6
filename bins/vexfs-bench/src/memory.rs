//! How much memory a piece of work takes.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Time between two looks: a build that is shorter takes little memory.
const INTERVAL: Duration = Duration::from_millis(5);

/// Does `work`, and returns besides its result the most bytes of anonymous memory that this process had more than before; 0 if the
/// system does not say.
pub(crate) fn most_during<T>(work: impl FnOnce() -> T) -> (T, u64) {
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

    #[test]
    fn memory_that_is_used_is_seen() {
        let (sum, most) = most_during(|| {
            let bytes = vec![1_u8; 64 << 20];
            std::hint::black_box(&bytes).iter().map(|&byte| u64::from(byte)).sum::<u64>()
        });
        assert_eq!(sum, 64 << 20);
        assert!(most == 0 || most > 32 << 20, "{most}");
    }
}
