//! The program `vexfs-tune`: see the library of this package.

fn main() -> std::process::ExitCode {
    vexfs_tune::main()
}
