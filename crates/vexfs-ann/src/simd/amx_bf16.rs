//! The tiles of AMX-BF16: the tile of parts, sixteen rows with sixteen queries in one instruction.
//!
//! TDPBF16PS multiplies 32 elements of sixteen rows with those of sixteen queries in the time of 32 instructions of f32 that do
//! one row and one element each: 16 times as fast, so that products of two parts each are still worth their number. Four tiles of rows
//! share the load of a piece of the panel and stay in their registers for all products of parts. What [`amx`](super::amx) says of
//! the tile registers holds here too.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

use super::amx::{Amx, ROW_BYTES, SIDE, TILES, configure, release};
use super::part_tile::{PAIRS, PartTile, Piece};
use super::tile::PANEL;

/// Proof that the machine has AMX-BF16, and [`Amx`]: [`AmxBf16::new`] is the only way to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AmxBf16(Amx);

impl AmxBf16 {
    /// The proof, where there is one.
    pub(crate) fn new() -> Option<Self> {
        // Leaf 7, which a machine with AMX has: EDX bit 22 is AMX-BF16.
        Amx::new().filter(|_| __cpuid_count(7, 0).edx >> 22 & 1 == 1).map(Self)
    }

    /// The lesser proof.
    pub(crate) fn amx(self) -> Amx {
        self.0
    }

    /// Finds the pairs that survive.
    pub(crate) fn part_tile(self, mut tile: PartTile<'_>) {
        let (pieces, count) = (tile.rows.pieces, tile.rows.heads.len());
        let tiles = count.div_ceil(SIDE);
        let mut sums = Sums([[0.0; PANEL]; TILES * SIDE]);
        let mut done = 0;
        // SAFETY: `self` proves that the machine has the tiles and that the process may use them.
        unsafe { configure() };
        while done < tiles {
            let some = if tiles - done < TILES { 1 } else { TILES };
            let mut operands = [Operands { rows: std::ptr::null(), queries: std::ptr::null() }; 3];
            let mut products = 0;
            for (operands, (rows, queries)) in operands.iter_mut().zip(tile.products()) {
                let rows = &rows[done * SIDE * pieces..];
                assert!(rows.len() >= some * SIDE * pieces && queries.len() >= pieces * PAIRS);
                *operands = Operands { rows: rows.as_ptr(), queries: queries.as_ptr() };
                products += 1;
            }
            assert!(pieces > 0 && products > 0);
            // SAFETY: `self` proves that the machine has the tiles, and `configure` has given them their shape. By the assertions,
            // what is read exists: `some` tiles of rows of `pieces` pieces, and sixteen times as many pieces of the panel as of a
            // row. `sums` has room for TILES ≥ some tiles.
            unsafe {
                match some {
                    TILES => multiply_4(&operands[..products], pieces, &mut sums),
                    _ => multiply_1(&operands[..products], pieces, &mut sums),
                }
            }
            let rows = (count - done * SIDE).min(some * SIDE);
            self.0.avx512().judge_parts(&mut tile, done * SIDE, &sums.0[..rows]);
            done += some;
        }
        // SAFETY: as above.
        unsafe { release() };
    }
}

/// Where the rows and the queries of a product of parts begin.
#[derive(Clone, Copy)]
#[repr(C)]
struct Operands {
    rows: *const Piece,
    queries: *const Piece,
}

/// Room for the sums of [`TILES`] tiles of rows, row by row.
#[repr(C, align(64))]
struct Sums([[f32; PANEL]; TILES * SIDE]);

/// Multiplies 64 rows of `pieces` pieces with a panel, and adds up `operands`.
///
/// # Safety
/// [`configure`] was called on this thread. There is at least one of `operands`, and `pieces` is at least 1. Readable are, of each of the operands: from
/// `rows` on, 64 · `pieces` pieces; from `queries` on, 16 · `pieces` pieces.
unsafe fn multiply_4(operands: &[Operands], pieces: usize, sums: &mut Sums) {
    let stride = pieces * size_of::<Piece>();
    // SAFETY: by the caller's promise. Tile t of rows begins at row 16 t, its rows lie `stride` bytes apart; each step reads 64 bytes
    // further on of each row, 1024 bytes further on of the panel. What is stored are 4 tiles of 1024 bytes, which is the size of
    // `sums`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {rows}, [{operands}]",
            "mov {queries}, [{operands} + 8]",
            "mov {steps}, {pieces}",
            "3:",
            "tileloadd tmm4, [{queries} + {wide}*1]",
            "tileloadd tmm5, [{rows} + {stride}*1]",
            "tdpbf16ps tmm0, tmm5, tmm4",
            "add {rows}, {tile}",
            "tileloadd tmm6, [{rows} + {stride}*1]",
            "tdpbf16ps tmm1, tmm6, tmm4",
            "add {rows}, {tile}",
            "tileloadd tmm7, [{rows} + {stride}*1]",
            "tdpbf16ps tmm2, tmm7, tmm4",
            "add {rows}, {tile}",
            "tileloadd tmm5, [{rows} + {stride}*1]",
            "tdpbf16ps tmm3, tmm5, tmm4",
            "add {rows}, {back}",
            "add {queries}, 1024",
            "dec {steps}",
            "jnz 3b",
            "add {operands}, 16",
            "dec {products}",
            "jnz 2b",
            "tilestored [{to} + {wide}*1], tmm0",
            "tilestored [{to} + {wide}*1 + 1024], tmm1",
            "tilestored [{to} + {wide}*1 + 2048], tmm2",
            "tilestored [{to} + {wide}*1 + 3072], tmm3",
            rows = out(reg) _,
            queries = out(reg) _,
            steps = out(reg) _,
            operands = inout(reg) operands.as_ptr() => _,
            products = inout(reg) operands.len() => _,
            pieces = in(reg) pieces,
            stride = in(reg) stride,
            tile = in(reg) SIDE * stride,
            back = in(reg) (ROW_BYTES as isize) - ((TILES - 1) * SIDE * stride) as isize,
            wide = in(reg) ROW_BYTES,
            to = in(reg) sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// As [`multiply_4`], 16 rows.
///
/// # Safety
/// As of [`multiply_4`], with 16 for 64.
unsafe fn multiply_1(operands: &[Operands], pieces: usize, sums: &mut Sums) {
    // SAFETY: by the caller's promise, as in `multiply_4`; one tile is stored.
    unsafe {
        asm!(
            "tilezero tmm0",
            "2:",
            "mov {rows}, [{operands}]",
            "mov {queries}, [{operands} + 8]",
            "mov {steps}, {pieces}",
            "3:",
            "tileloadd tmm4, [{queries} + {wide}*1]",
            "tileloadd tmm5, [{rows} + {stride}*1]",
            "tdpbf16ps tmm0, tmm5, tmm4",
            "add {rows}, 64",
            "add {queries}, 1024",
            "dec {steps}",
            "jnz 3b",
            "add {operands}, 16",
            "dec {products}",
            "jnz 2b",
            "tilestored [{to} + {wide}*1], tmm0",
            rows = out(reg) _,
            queries = out(reg) _,
            steps = out(reg) _,
            operands = inout(reg) operands.as_ptr() => _,
            products = inout(reg) operands.len() => _,
            pieces = in(reg) pieces,
            stride = in(reg) pieces * size_of::<Piece>(),
            wide = in(reg) ROW_BYTES,
            to = in(reg) sums,
            out("tmm0") _, out("tmm4") _, out("tmm5") _,
            options(nostack),
        );
    }
}
