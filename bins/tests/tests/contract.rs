//! What all tools promise: each promise is written once and held against each tool.

mod image;

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use image::Image;
use tool_tests::{Scratch, Tool};

/// Instantiates the promises for a tool.
macro_rules! keeps_the_contract {
    ($($module:ident: $tool:ident, [$($promise:ident),* $(,)?];)*) => {$(
        mod $module {
            $(#[test] fn $promise() { super::$promise(super::Tool::$tool); })*
        }
    )*};
}

/// All promises, for all tools.
macro_rules! all_keep_the_contract {
    ($($module:ident: $tool:ident;)*) => {
        keeps_the_contract! {$(
            $module: $tool, [
                help_and_version_are_results,
                an_unknown_option_is_wrong_usage,
                a_device_that_does_not_exist_is_an_error,
                a_directory_is_no_device,
                a_device_that_may_not_be_read_is_an_error,
                a_tiny_file_is_an_error_and_stays_as_it_is,
                a_corrupt_filesystem_is_no_crash_and_stays_as_it_is,
                closed_standard_streams_harm_nothing,
                nobody_reading_is_success,
                a_full_disk_under_the_output_is_an_error,
                messages_do_not_command_the_terminal,
            ];
        )*}
    };
}

all_keep_the_contract! {
    mkfs: MKFS;
    fsck: FSCK;
    import: IMPORT;
    query: QUERY;
    dump: DUMP;
    tune: TUNE;
    bench: BENCH;
}

// Random bytes are nothing that mkfs has to keep.
keeps_the_contract! {
    fsck_of_noise: FSCK, [random_bytes_are_an_error_and_stay_as_they_are];
    import_of_noise: IMPORT, [random_bytes_are_an_error_and_stay_as_they_are];
    query_of_noise: QUERY, [random_bytes_are_an_error_and_stay_as_they_are];
    dump_of_noise: DUMP, [random_bytes_are_an_error_and_stay_as_they_are];
    tune_of_noise: TUNE, [random_bytes_are_an_error_and_stay_as_they_are];
    bench_of_noise: BENCH, [random_bytes_are_an_error_and_stay_as_they_are];
}

fn help_and_version_are_results(tool: Tool) {
    for flag in ["--help", "-h"] {
        let help = tool.run().arg(flag).finish().expect(0);
        assert_eq!(help.stderr, "", "{flag}");
        assert!(help.text().contains(&format!("Usage: {}", tool.name)), "{flag}: {}", help.text());
        assert!(!help.text().contains('\x1b'), "{flag} has colours in a pipe");
    }
    for flag in ["--version", "-V"] {
        let version = tool.run().arg(flag).finish().expect(0);
        assert_eq!(version.text(), format!("{} {}\n", tool.name, env!("CARGO_PKG_VERSION")), "{flag}");
    }
}

fn an_unknown_option_is_wrong_usage(tool: Tool) {
    let scratch = Scratch::new();
    let device = scratch.image("device", 1 << 20);
    let before = Scratch::hash(&device);
    let run = tool.on(&device, &scratch).arg("--no-such-option").finish().expect(tool.family.usage());
    assert_eq!(run.stdout, b"");
    assert!(run.stderr.starts_with(&format!("{}: ", tool.name)), "{}", run.stderr);
    assert!(run.stderr.contains("--no-such-option"), "{}", run.stderr);
    assert_eq!(Scratch::hash(&device), before);
}

fn a_device_that_does_not_exist_is_an_error(tool: Tool) {
    let scratch = Scratch::new();
    fails_naming(tool, &scratch.path("missing"), &scratch, "missing");
    assert!(!scratch.path("missing").exists());
    // A name that is no text.
    let odd = scratch.folder().join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
    fails_naming(tool, &odd, &scratch, "odd-");
}

fn a_directory_is_no_device(tool: Tool) {
    let scratch = Scratch::new();
    let folder = scratch.path("folder");
    fs::create_dir(&folder).expect("a folder");
    fails_naming(tool, &folder, &scratch, "folder");
}

fn a_device_that_may_not_be_read_is_an_error(tool: Tool) {
    let scratch = Scratch::new();
    let device = scratch.image("secret", 1 << 20);
    fs::set_permissions(&device, Permissions::from_mode(0o000)).expect("permissions");
    if fs::File::open(&device).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    fails_naming(tool, &device, &scratch, "secret");
}

fn a_tiny_file_is_an_error_and_stays_as_it_is(tool: Tool) {
    let scratch = Scratch::new();
    for len in [0, 1, 1023, 1024, 2047, 2048, 4096] {
        let device = scratch.image("tiny", len);
        let before = Scratch::hash(&device);
        fails_naming(tool, &device, &scratch, "tiny");
        assert_eq!(Scratch::hash(&device), before, "{len} bytes");
    }
}

fn random_bytes_are_an_error_and_stay_as_they_are(tool: Tool) {
    let scratch = Scratch::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = (0..1 << 20)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    let device = scratch.file("noise", noise);
    let before = Scratch::hash(&device);
    fails_naming(tool, &device, &scratch, "noise");
    assert_eq!(Scratch::hash(&device), before);
}

/// Its journal is damaged: nothing may be written before somebody repairs that, and what is read ends as it ends.
fn a_corrupt_filesystem_is_no_crash_and_stays_as_it_is(tool: Tool) {
    let image = Image::new(2);
    let journal = image.volume().geometry().journal.start as usize * 4096;
    let mut bytes = fs::read(&image.path).expect("the image");
    bytes[journal..][..4096].fill(0xA5);
    fs::write(&image.path, bytes).expect("the image");
    let before = image.hash();
    let run = tool.on(&image.path, &image.scratch).finish();
    let failed: i32 = tool.family.failed().into();
    let codes = if tool.name == Tool::FSCK.name { vec![4] } else { vec![0, failed] };
    assert!(codes.contains(&run.code), "{} {}{}", run.code, run.text(), run.stderr);
    let name = image.path.display().to_string();
    assert!(format!("{}{}", run.text(), run.stderr).contains(&name), "{name} is not named: {}", run.stderr);
    assert_eq!(image.hash(), before);
}

/// The tool says on standard error which device it cannot use, and prints no result.
#[track_caller]
fn fails_naming(tool: Tool, device: &Path, scratch: &Scratch, name: &str) {
    let run = tool.on(device, scratch).finish().expect(tool.family.failed());
    // What a tool tries before it gives up may stand before.
    let last = run.stderr.lines().rfind(|line| line.starts_with(&format!("{}: ", tool.name)));
    assert!(last.is_some_and(|line| line.contains(name)), "{name} is not named: {}", run.stderr);
    assert_eq!(run.text(), "");
}

fn closed_standard_streams_harm_nothing(tool: Tool) {
    let scratch = Scratch::new();
    // Long enough for a message that is written over it to show, too short for a filesystem.
    let device = scratch.image("device", 4096);
    let before = Scratch::hash(&device);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        tool.on(&device, &scratch).redirected(closed).finish().expect(tool.family.failed());
        assert_eq!(Scratch::hash(&device), before, "{closed}");
    }
}

fn nobody_reading_is_success(tool: Tool) {
    for flag in ["--help", "--version"] {
        let run = tool.run().arg(flag).output_to_nobody().finish().expect(0);
        assert_eq!(run.stderr, "");
    }
}

fn a_full_disk_under_the_output_is_an_error(tool: Tool) {
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: there is no /dev/full here");
        return;
    }
    let run = tool.run().arg("--help").output_to(full).finish().expect(tool.family.failed());
    assert!(run.stderr.contains("standard output"), "{}", run.stderr);
}

fn messages_do_not_command_the_terminal(tool: Tool) {
    let scratch = Scratch::new();
    let run = tool.on(&scratch.path("a\x1b[2Jb"), &scratch).finish().expect(tool.family.failed());
    assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
}
