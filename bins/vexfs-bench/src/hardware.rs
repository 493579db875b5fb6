//! The machine: what it is, and how fast its memory and its device are.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::{Deserialize, Serialize};
use vexfs_ann::Level;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, Output, signals};

use crate::args::Args;
use crate::volume;

const SCHEMA: Schema = Schema::new("vexfs-bench-hw", 1);
/// Bytes of memory that are read: far more than caches hold.
const MEMORY_BYTES: usize = 512 << 20;
/// Bytes that are written to and read from the device.
const DEVICE_BYTES: usize = 256 << 20;
/// Bytes of one transfer.
const TRANSFER_BYTES: usize = 4 << 20;
/// Times that memory is read; the fastest counts, because nothing makes it faster than it is.
const RUNS: usize = 5;

/// What can be said of a machine without measuring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    /// Processors that this process may use.
    pub(crate) processors: usize,
    /// Instructions that the kernels use.
    pub(crate) simd: String,
    /// Bytes of memory; 0 if the system does not say.
    pub(crate) memory: u64,
    pub(crate) system: String,
    pub(crate) version: String,
}

/// Bytes per second.
#[derive(Debug, Serialize)]
struct Bandwidth {
    #[serde(flatten)]
    machine: Machine,
    memory_read_one_thread: f64,
    memory_read_all_threads: f64,
    threads: usize,
    /// What was read, and written unless it is a device that was named.
    device: String,
    device_write: Option<f64>,
    device_read: f64,
}

impl Machine {
    /// This machine.
    pub(crate) fn here() -> Self {
        let field = |path: &str, name: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            line.unwrap_or_default().trim().to_owned()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            simd: Level::best().name().to_owned(),
            memory: kib * 1024,
            system: format!("{} {} {}", std::env::consts::OS, release.trim(), std::env::consts::ARCH),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Measures the machine and prints it.
pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    signals::catch()?;
    let threads = args.threads.count().get();
    let (device, device_write, device_read) = match args.device.named()? {
        Some(spec) => {
            let located = spec.locate()?;
            let mut file = File::open(&located.path).with_context(|| located.path.display().to_string())?;
            let name = located.path.display().to_string();
            (name, None, read(&mut file, located.offset).with_context(|| located.path.display().to_string())?)
        }
        None => {
            let directory = volume::directory(args);
            let (write, read) =
                write_and_read(&directory).with_context(|| directory.display().to_string())?;
            (directory.display().to_string(), Some(write), read)
        }
    };
    let memory = vec![1u8; MEMORY_BYTES];
    let found = Bandwidth {
        machine: Machine::here(),
        memory_read_one_thread: memory_read(&memory, 1),
        memory_read_all_threads: memory_read(&memory, threads),
        threads,
        device,
        device_write,
        device_read,
    };
    if args.output.json {
        write_document(out, SCHEMA, &found)?;
        return Ok(());
    }
    let rate = |bytes: f64| format!("{}/s", format_size(bytes as u64));
    let machine = &found.machine;
    out.line(format_args!("processor        {}, {} processors", machine.processor, machine.processors))?;
    out.line(format_args!("SIMD level       {}", machine.simd))?;
    out.line(format_args!("memory           {}", format_size(machine.memory)))?;
    out.line(format_args!("system           {}", machine.system))?;
    out.line(format_args!("memory, 1 thread {} read", rate(found.memory_read_one_thread)))?;
    out.line(format_args!("memory, {threads} threads {} read", rate(found.memory_read_all_threads)))?;
    if let Some(write) = found.device_write {
        out.line(format_args!("device           {} written, until durable ({})", rate(write), found.device))?;
    }
    out.line(format_args!(
        "device           {} read, past the page cache ({})",
        rate(found.device_read),
        found.device
    ))?;
    Ok(())
}

/// Bytes per second by which `threads` read `memory`, all together.
fn memory_read(memory: &[u8], threads: usize) -> f64 {
    let share = memory.len().div_ceil(threads.max(1)).max(1);
    let once = || {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            memory.chunks(share).for_each(|part| _ = scope.spawn(move || black_box(sum(part))));
        });
        begun.elapsed().as_secs_f64()
    };
    let least = (0..RUNS).map(|_| once()).fold(f64::INFINITY, f64::min);
    memory.len() as f64 / least
}

/// Reads every byte, by the widest loads that portable code gets.
fn sum(bytes: &[u8]) -> u64 {
    let mut lanes = [0u64; 32];
    for block in bytes.as_chunks::<256>().0 {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane ^= u64::from_ne_bytes(*word);
        }
    }
    lanes.iter().fold(0, |a, b| a ^ b)
}

/// Bytes per second of writing a file in `directory`, flushed, and of reading it back.
fn write_and_read(directory: &Path) -> anyhow::Result<(f64, f64)> {
    let mut file = tempfile::tempfile_in(directory)?;
    // Not zeros: some devices store those as nothing.
    let mut state = 1u64;
    let buffer: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(TRANSFER_BYTES)
    .collect();
    let begun = Instant::now();
    for _ in 0..DEVICE_BYTES / TRANSFER_BYTES {
        go_on()?;
        file.write_all(&buffer)?;
    }
    file.sync_all()?;
    let write = DEVICE_BYTES as f64 / begun.elapsed().as_secs_f64();
    Ok((write, read(&mut file, 0)?))
}

/// Bytes per second of reading from byte `offset` on, after the page cache was asked to forget the file.
fn read(file: &mut File, offset: u64) -> anyhow::Result<f64> {
    posix_fadvise(&*file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    file.seek(std::io::SeekFrom::Start(offset))?;
    let mut buffer = vec![0; TRANSFER_BYTES];
    let (mut bytes, begun) = (0, Instant::now());
    while bytes < DEVICE_BYTES {
        go_on()?;
        match file.read(&mut buffer)? {
            0 => break,
            count => bytes += count,
        }
    }
    Ok(bytes as f64 / begun.elapsed().as_secs_f64())
}

fn go_on() -> Result<(), Interrupted> {
    if signals::interrupted() { Err(Interrupted::new("nothing was changed")) } else { Ok(()) }
}
