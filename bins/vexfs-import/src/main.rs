//! The program `vexfs-import`: see the library of this package.

fn main() -> std::process::ExitCode {
    vexfs_import::main()
}
