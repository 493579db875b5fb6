//! How much memory a build may take when nobody says.

use std::fs;

/// Taken when the system does not say what is available.
const UNKNOWN: u64 = 1 << 30;

/// Half of what is available to this process, in bytes: the rest is for the page cache, through which rows are read.
pub fn for_builds() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let group = number("memory.max").map(|most| most.saturating_sub(number("memory.current").unwrap_or(0)));
    machine.into_iter().chain(group).min().unwrap_or(UNKNOWN) / 2
}

/// MemAvailable of /proc/meminfo, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        let text = "MemTotal:       32769 kB\nMemAvailable:     8192 kB\n";
        assert_eq!(available(text), Some(8 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert!(for_builds() > 0);
    }
}
