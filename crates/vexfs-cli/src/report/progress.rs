//! Progress: a bar on a terminal, a plain line every five seconds elsewhere, nothing with `-q`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Report, Style, print_beside};
use crate::size::format_size;

/// Drawings of the bar per second: smooth for the eye, nothing for the processor.
const BAR_HZ: u8 = 8;
/// Time between two plain lines: a log stays short, a watcher sees life.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What progress counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown as sizes.
    Bytes,
    /// Things with a name in the plural, such as `rows`, `groups`, `queries`.
    Count(&'static str),
}

/// Work under way. Threads may share it; adding to it is cheap enough for every block or batch of rows.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Nowhere,
    Bar { bar: ProgressBar, screen: Arc<Mutex<Option<ProgressBar>>> },
    Lines(Box<Lines>),
}

/// Progress as lines of text.
#[derive(Debug)]
struct Lines {
    what: String,
    unit: Unit,
    total: Option<u64>,
    done: AtomicU64,
    begun: Instant,
    /// Milliseconds after `begun` at which the next line is due.
    due_ms: AtomicU64,
    screen: Arc<Mutex<Option<ProgressBar>>>,
}

impl Progress {
    pub(super) fn new(report: &Report, what: &str, unit: Unit, total: Option<u64>) -> Self {
        let screen = Arc::clone(&report.bar);
        let shown = match report.style {
            Style::Silent => Shown::Nowhere,
            Style::Bar => {
                let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(BAR_HZ));
                bar.set_style(bar_style(unit, total));
                bar.set_message(what.to_owned());
                *screen.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
                Shown::Bar { bar, screen }
            }
            Style::Lines => Shown::Lines(Box::new(Lines {
                what: what.to_owned(),
                unit,
                total,
                done: AtomicU64::new(0),
                begun: Instant::now(),
                due_ms: AtomicU64::new(LINE_EVERY.as_millis() as u64),
                screen,
            })),
        };
        Self { shown }
    }

    /// `amount` more is done.
    pub fn add(&self, amount: u64) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar { bar, .. } => bar.inc(amount),
            Shown::Lines(lines) => {
                lines.done.fetch_add(amount, Ordering::Relaxed);
                lines.tick();
            }
        }
    }

    /// `amount` is done altogether.
    pub fn set(&self, amount: u64) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar { bar, .. } => bar.set_position(amount),
            Shown::Lines(lines) => {
                lines.done.store(amount, Ordering::Relaxed);
                lines.tick();
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar { bar, screen } = &self.shown {
            bar.finish_and_clear();
            *screen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Lines {
    /// Prints a line if one is due; of several threads, one.
    fn tick(&self) {
        let elapsed = self.begun.elapsed();
        let now_ms = elapsed.as_millis() as u64;
        let due_ms = self.due_ms.load(Ordering::Relaxed);
        let next_ms = now_ms + LINE_EVERY.as_millis() as u64;
        if now_ms >= due_ms
            && self.due_ms.compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let done = self.done.load(Ordering::Relaxed);
            print_beside(&self.screen, &line(&self.what, self.unit, done, self.total, elapsed));
        }
    }
}

/// Less than a hundredth of the whole says how long the rest takes only after this time: what comes first is often slower.
const TELLING: Duration = Duration::from_secs(30);

/// `writing vectors: 40 %, 1.2 GiB of 3 GiB, 250 MiB/s, 7 s left`
fn line(what: &str, unit: Unit, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let total = total.filter(|&total| total > 0);
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
    let (amount, speed) = match unit {
        Unit::Bytes => {
            let of = total.map_or(String::new(), |total| format!(" of {}", format_size(total)));
            (format!("{}{of}", format_size(done)), format!("{}/s", format_size(rate as u64)))
        }
        Unit::Count(name) => {
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            (format!("{done}{of} {name}"), format!("{rate:.0} {name}/s"))
        }
    };
    match total {
        Some(total) => {
            let percent = (100.0 * done as f64 / total as f64).min(100.0).floor();
            let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
            // Beyond a hundred days, or before anything to speak of is done, an estimate is none.
            let is_telling = percent >= 1.0 || elapsed >= TELLING;
            let left = if is_telling && left < 8.64e6 {
                format!(", {} left", duration(left))
            } else {
                String::new()
            };
            format!("{what}: {percent} %, {amount}, {speed}{left}")
        }
        None => format!("{what}: {amount}, {speed}"),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn bar_style(unit: Unit, total: Option<u64>) -> ProgressStyle {
    // That the templates parse is proven by a test below.
    ProgressStyle::with_template(&template(unit, total))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn template(unit: Unit, total: Option<u64>) -> String {
    match (unit, total) {
        (Unit::Bytes, Some(_)) => {
            "{msg} [{bar:24}] {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left".to_owned()
        }
        (Unit::Bytes, None) => "{msg}  {binary_bytes}  {binary_bytes_per_sec}".to_owned(),
        (Unit::Count(name), Some(_)) => {
            format!("{{msg}} [{{bar:24}}] {{percent:>3}} %  {{pos}} of {{len}} {name}  {{per_sec}}  {{eta}} left")
        }
        (Unit::Count(name), None) => format!("{{msg}}  {{pos}} {name}  {{per_sec}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_share_amount_rate_and_time_left() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            line("writing vectors", Unit::Bytes, 1 << 30, Some(4 << 30), ten),
            "writing vectors: 25 %, 1 GiB of 4 GiB, 102 MiB/s, 30 s left"
        );
        assert_eq!(
            line("pass 1", Unit::Count("groups"), 150, Some(14_904), ten),
            "pass 1: 1 %, 150 of 14904 groups, 15 groups/s, 16 min 24 s left"
        );
        let few = |elapsed| line("pass 5", Unit::Count("steps"), 16, Some(68_451), elapsed);
        assert_eq!(few(ten), "pass 5: 0 %, 16 of 68451 steps, 2 steps/s");
        assert_eq!(few(4 * ten), "pass 5: 0 %, 16 of 68451 steps, 0 steps/s, 47 h 31 min left");
    }

    #[test]
    fn without_a_total_or_a_rate_nothing_is_promised() {
        let ten = Duration::from_secs(10);
        assert_eq!(line("reading", Unit::Count("rows"), 70, None, ten), "reading: 70 rows, 7 rows/s");
        assert_eq!(
            line("reading", Unit::Count("rows"), 0, Some(9), ten),
            "reading: 0 %, 0 of 9 rows, 0 rows/s"
        );
        assert_eq!(line("reading", Unit::Bytes, 0, Some(0), ten), "reading: 0 bytes, 0 bytes/s");
    }

    #[test]
    fn the_templates_of_the_bars_parse() {
        for unit in [Unit::Bytes, Unit::Count("rows")] {
            for total in [None, Some(1)] {
                ProgressStyle::with_template(&template(unit, total)).expect("a template");
            }
        }
    }
}
