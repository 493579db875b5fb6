//! The program `vexfs-query`: see the library of this package.

fn main() -> std::process::ExitCode {
    vexfs_query::main()
}
