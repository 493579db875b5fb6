//! The program `mkfs.vexfs`: see the library of this package.

fn main() -> std::process::ExitCode {
    mkfs_vexfs::main()
}
