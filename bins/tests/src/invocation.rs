//! One run of a program.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing a test asks for takes this long; a run that does hangs, and is killed.
const HANG: Duration = Duration::from_secs(300);

/// A program with its arguments, not yet started.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    input: Vec<u8>,
}

/// What a run left.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; 128 + N if signal N ended the run, as shells say it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Invocation {
    pub(crate) fn of(program: &Path) -> Self {
        let mut command = Command::new(program);
        for variable in ["VEXFS_DEVICE", "VEXFS_COLLECTION", "SOURCE_DATE_EPOCH", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, input: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives the run something to read.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self.command.stdin(Stdio::piped());
        self
    }

    /// Sends standard output to this file.
    ///
    /// # Panics
    /// The file cannot be opened for writing.
    #[must_use]
    pub fn output_to(mut self, file: &Path) -> Self {
        self.command.stdout(File::options().write(true).open(file).expect("a file to write to"));
        self
    }

    /// Sends standard output to a pipe that nobody reads.
    ///
    /// # Panics
    /// The system has no pipe to give.
    #[must_use]
    pub fn output_to_nobody(mut self) -> Self {
        let (reader, writer) = io::pipe().expect("pipe");
        drop(reader);
        self.command.stdout(writer);
        self
    }

    /// The same run by way of a shell that first does `redirections`, such as `<&-` to close standard input.
    #[must_use]
    pub fn redirected(self, redirections: &str) -> Self {
        self.by_shell(&format!("exec \"$0\" \"$@\" {redirections}"))
    }

    /// The same run by a shell with this script, to which program and arguments are `"$0" "$@"`.
    fn by_shell(self, script: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script);
        shell.arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command: shell, input: self.input }
    }

    /// The same run with so many KiB of memory of its own: heap, stacks, and whatever else it maps to write to.
    #[must_use]
    pub fn within(self, kib: u64) -> Self {
        self.by_shell(&format!("ulimit -d {kib}; exec \"$0\" \"$@\""))
    }

    /// The same run on a terminal of so many columns, which is its standard input, output and error; `None` where script(1) is
    /// missing.
    pub fn on_terminal(self, columns: u16) -> Option<Self> {
        if Command::new("script").arg("--version").stdout(Stdio::null()).status().is_err() {
            return None;
        }
        let quoted = |word: &OsStr| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let words = words.map(quoted).collect::<Vec<_>>().join(" ");
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("stty cols {columns}; exec {words}"), "/dev/null"]);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => terminal.env(name, value),
                None => terminal.env_remove(name),
            };
        }
        terminal.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Some(Self { command: terminal, input: self.input })
    }

    /// Gives the run a pipe to read from, for whoever [starts](Self::start) it to write to.
    #[must_use]
    pub fn piped(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Starts the program and leaves it running.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(mut self) -> Child {
        self.command.spawn().expect("the program starts")
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// It does not start, or hangs.
    pub fn finish(self) -> Finished {
        let input = self.input.clone();
        let mut child = self.start();
        let feed = child.stdin.take();
        let feeder = thread::spawn(move || {
            if let Some(mut feed) = feed {
                // A program may end without reading everything.
                let _ = feed.write_all(&input);
            }
        });
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = wait(&mut child);
        feeder.join().expect("the feeder ends");
        Finished {
            code: code(status),
            stdout: stdout.join().expect("standard output ends"),
            stderr: String::from_utf8_lossy(&stderr.join().expect("standard error ends")).into_owned(),
        }
    }
}

impl Finished {
    /// Standard output as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Expects this exit code.
    ///
    /// # Panics
    /// It is another; the message has what the program said.
    #[track_caller]
    pub fn expect(self, code: impl Into<i32>) -> Self {
        let code = code.into();
        let printed = String::from_utf8_lossy(&self.stdout);
        assert!(
            self.code == code,
            "exit code {} instead of {code}\nstderr: {}\nstdout: {printed}",
            self.code,
            self.stderr
        );
        self
    }
}

fn collect(from: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            from.read_to_end(&mut bytes).expect("output can be read");
        }
        bytes
    })
}

fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status;
        }
        if begun.elapsed() > HANG {
            child.kill().expect("the child can be killed");
            panic!("the program hangs");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| Some(128 + status.signal()?)).expect("the program has ended")
}
