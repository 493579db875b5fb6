//! `--simd`: the vector instructions of this machine.

use serde::Serialize;
use vexfs_ann::Level;
use vexfs_cli::Output;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::output::table::{Align, Table};

const SCHEMA: Schema = Schema::new("vexfs-tune-simd", 1);

/// What the machine has, and what is used.
#[derive(Debug, Serialize)]
struct Simd {
    /// Level of the kernels, as the environment variable VEXFS_SIMD names it.
    used: &'static str,
    /// The highest of `levels` that the machine has, by its number; 0 if none.
    mask: u8,
    levels: Vec<Instructions>,
}

/// A generation of vector instructions.
#[derive(Debug, Serialize)]
struct Instructions {
    mask: u8,
    name: &'static str,
    available: bool,
}

pub(crate) fn show(json: bool, out: &mut Output) -> anyhow::Result<()> {
    let levels = levels();
    let mask = levels.iter().filter(|level| level.available).map(|level| level.mask).max().unwrap_or(0);
    let simd = Simd { used: Level::best().name(), mask, levels };
    if json {
        write_document(out, SCHEMA, &simd)?;
        return Ok(());
    }
    let mut table =
        Table::new(&[("mask", Align::Right), ("instructions", Align::Left), ("here", Align::Left)]);
    for level in &simd.levels {
        let here = if level.available { "yes" } else { "no" };
        table.row([format!("{:#x}", level.mask), level.name.to_owned(), here.to_owned()]);
    }
    table.write(out)?;
    out.line(format_args!("Used: {} (VEXFS_SIMD lowers it)", simd.used))?;
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn levels() -> Vec<Instructions> {
    vec![
        Instructions { mask: 1, name: "SSE", available: is_x86_feature_detected!("sse2") },
        Instructions { mask: 2, name: "AVX", available: is_x86_feature_detected!("avx") },
        Instructions { mask: 3, name: "AVX2", available: is_x86_feature_detected!("avx2") },
        Instructions { mask: 4, name: "AVX-512", available: is_x86_feature_detected!("avx512f") },
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn levels() -> Vec<Instructions> {
    [(1, "SSE"), (2, "AVX"), (3, "AVX2"), (4, "AVX-512")]
        .map(|(mask, name)| Instructions { mask, name, available: false })
        .into()
}
