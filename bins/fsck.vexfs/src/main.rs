//! The program `fsck.vexfs`: see the library of this package.

fn main() -> std::process::ExitCode {
    fsck_vexfs::main()
}
