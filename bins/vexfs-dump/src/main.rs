//! The program `vexfs-dump`: see the library of this package.

fn main() -> std::process::ExitCode {
    vexfs_dump::main()
}
