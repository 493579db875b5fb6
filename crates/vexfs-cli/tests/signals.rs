//! Signals, on a process that is there to receive them: this test program, started again.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Environment variable that makes [`victim`] do something.
const VICTIM: &str = "VEXFS_SIGNAL_VICTIM";

/// Not a test but the process that [`the_first_signal_is_polled_and_the_second_kills`] starts. It never ends by itself.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    vexfs_cli::signals::catch().expect("handlers");
    say("caught");
    while !vexfs_cli::signals::interrupted() {
        thread::sleep(Duration::from_millis(1));
    }
    say("interrupted");
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

fn say(word: &str) {
    // Not `println!`, which the test harness would keep to itself.
    writeln!(std::io::stderr(), "{word}").expect("standard error");
}

#[test]
fn the_first_signal_is_polled_and_the_second_kills() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "victim"])
            .env(VICTIM, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut next = || lines.next().expect("a line").expect("text");
        assert_eq!(next(), "caught");
        send(&child, signal);
        assert_eq!(next(), "interrupted");
        send(&child, signal);
        let status = child.wait().expect("the process ends");
        assert_eq!(status.signal(), Some(signal as i32));
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
    kill(pid, signal).expect("the process is there");
}
