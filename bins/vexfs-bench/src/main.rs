//! The program `vexfs-bench`: see the library of this package.

fn main() -> std::process::ExitCode {
    vexfs_bench::main()
}
