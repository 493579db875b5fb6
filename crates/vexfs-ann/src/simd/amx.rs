//! The tiles of AMX-INT8: sixteen rows meet sixteen queries in one instruction.
//!
//! A panel is what TDPBUSD wants on its right: rows of sixteen times four signed codes. Row codes are what it wants on its
//! left, as they lie. Four tiles of rows share the load of a piece of the panel; the bounds are judged with AVX-512.
//!
//! The compiler knows the tile registers only as what `asm!` destroys. They belong to the thread from the first to the last
//! line of [`Amx::tile`], which calls nothing that could use them.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::sync::OnceLock;

use super::avx512::Avx512;
use super::tile::{PANEL, Tile};
use super::vector::Block32;

/// Rows, and queries, of a tile; also the quads of one multiplication.
pub(super) const SIDE: usize = 16;

/// Tiles of rows that meet a piece of the panel together.
pub(super) const TILES: usize = 4;

/// Bytes of a row of a tile.
pub(super) const ROW_BYTES: usize = 64;

/// Proof that the machine has AMX-INT8 and the system lets this process use it, and [`Avx512`]: [`Amx::new`] is the only
/// way to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amx(Avx512);

impl Amx {
    /// The proof, where there is one. Asks the system for the tiles, once in a process.
    pub(crate) fn new() -> Option<Self> {
        static GRANTED: OnceLock<bool> = OnceLock::new();
        let avx512 = Avx512::new()?;
        let granted = *GRANTED.get_or_init(|| has_tiles() && may_use_tiles());
        granted.then_some(Self(avx512))
    }

    /// The lesser proof.
    pub(crate) fn avx512(self) -> Avx512 {
        self.0
    }

    /// Finds the pairs that survive.
    pub(crate) fn tile(self, mut tile: Tile<'_>) {
        // A row of an odd number of blocks is loaded with half a block of the row behind it, which meets zeros of the panel:
        // the last row, behind which there may be nothing, is left to others, as are fewer than sixteen.
        if tile.panel.is_half() || tile.rows.len() <= SIDE {
            return self.0.tile(tile);
        }
        let blocks = tile.blocks();
        let tiles = (tile.rows.len() - blocks % 2) / SIDE;
        let mut products = Products([[0; PANEL]; TILES * SIDE]);
        let mut done = 0;
        // SAFETY: `self` proves that the machine has the tiles and that the process may use them.
        unsafe { configure() };
        while done < tiles {
            let some = if tiles - done < TILES { 1 } else { TILES };
            let rows = &tile.codes[done * SIDE * blocks..];
            let (left, right) = (rows.as_ptr(), tile.panel.quads());
            let steps = blocks.div_ceil(2);
            assert!(rows.len() >= some * SIDE * blocks + blocks % 2 && right.len() >= steps * SIDE);
            // SAFETY: `self` proves that the machine has the tiles, and `configure` has given them their shape. The last
            // byte read of the rows is that of block some · SIDE · blocks − 1, or of the one behind if blocks is odd, and the
            // last of the panel that of quad steps · SIDE − 1; both exist by the assertion. `products` has room for
            // TILES ≥ some tiles.
            unsafe {
                match some {
                    TILES => multiply_4(left, blocks, right.as_ptr(), steps, &mut products),
                    _ => multiply_1(left, blocks, right.as_ptr(), steps, &mut products),
                }
            }
            self.0.judge(&mut tile, done * SIDE, &products.0[..some * SIDE]);
            done += some;
        }
        // SAFETY: as above.
        unsafe { release() };
        self.0.rows_from(&mut tile, tiles * SIDE);
    }
}

/// Whether the processor has AMX-TILE and AMX-INT8, with tiles of the usual size.
fn has_tiles() -> bool {
    // Leaf 7: EDX bit 24 is AMX-TILE, bit 25 AMX-INT8. Leaf 0x1D, palette 1: bytes of a row, number of tiles, rows.
    if __cpuid_count(0, 0).eax < 0x1d || __cpuid_count(7, 0).edx >> 24 & 3 != 3 {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    let (row_bytes, tiles, rows) = (palette.ebx & 0xffff, palette.ebx >> 16, palette.ecx & 0xffff);
    row_bytes as usize >= ROW_BYTES && tiles >= 8 && rows as usize >= SIDE
}

/// Asks Linux to let this process use the tiles: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: the system call takes two numbers and touches no memory of the process; as all system calls it destroys RCX
    // and R11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// The operand of LDTILECFG.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Room for the products of [`TILES`] tiles of rows, row by row.
#[repr(C, align(64))]
struct Products([[i32; PANEL]; TILES * SIDE]);

/// Gives all eight tiles sixteen rows of 64 bytes.
///
/// # Safety
/// The machine has AMX-TILE and the process may use it.
pub(super) unsafe fn configure() {
    const ALL: Shape = {
        let mut shape =
            Shape { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        let mut tile = 0;
        while tile < 8 {
            (shape.row_bytes[tile], shape.rows[tile]) = (ROW_BYTES as u16, SIDE as u8);
            tile += 1;
        }
        shape
    };
    // SAFETY: by the caller's promise the instruction exists; it reads the 64 bytes of the constant.
    unsafe {
        asm!(
            "ldtilecfg [{}]", in(reg) &ALL,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
}

/// Gives the tiles back: those that are not in use cost nothing when threads are switched.
///
/// # Safety
/// As of [`configure`].
pub(super) unsafe fn release() {
    // SAFETY: by the caller's promise the instruction exists; it touches nothing but the tiles.
    unsafe { asm!("tilerelease", options(nostack)) };
}

/// Multiplies 64 rows of `blocks` blocks from `left` on with the panel at `right`, in `steps` pieces of 64 elements.
///
/// # Safety
/// [`configure`] was called on this thread. Readable are: from `left` on, 64 · `blocks` blocks, and one more if `blocks` is
/// odd; from `right` on, 16 · `steps` quads; `steps` is ⌈`blocks` / 2⌉ and at least 1.
unsafe fn multiply_4(
    left: *const Block32,
    blocks: usize,
    right: *const [Block32; 2],
    steps: usize,
    products: &mut Products,
) {
    let tile = SIDE * blocks;
    // SAFETY: by the caller's promise. Tile t of rows begins at row 16 t, its rows lie `blocks` blocks apart; each step reads
    // 64 bytes further on of each row, 1024 bytes further on of the panel. What is stored are 4 tiles of 1024 bytes,
    // which is the size of `products`.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{right} + {wide}*1]",
            "tileloadd tmm5, [{a} + {stride}*1]",
            "tdpbusd tmm0, tmm5, tmm4",
            "tileloadd tmm6, [{b} + {stride}*1]",
            "tdpbusd tmm1, tmm6, tmm4",
            "tileloadd tmm7, [{c} + {stride}*1]",
            "tdpbusd tmm2, tmm7, tmm4",
            "tileloadd tmm5, [{d} + {stride}*1]",
            "tdpbusd tmm3, tmm5, tmm4",
            "add {a}, 64",
            "add {b}, 64",
            "add {c}, 64",
            "add {d}, 64",
            "add {right}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{to} + {wide}*1], tmm0",
            "tilestored [{to} + {wide}*1 + 1024], tmm1",
            "tilestored [{to} + {wide}*1 + 2048], tmm2",
            "tilestored [{to} + {wide}*1 + 3072], tmm3",
            a = inout(reg) left => _,
            b = inout(reg) left.add(tile) => _,
            c = inout(reg) left.add(2 * tile) => _,
            d = inout(reg) left.add(3 * tile) => _,
            right = inout(reg) right => _,
            steps = inout(reg) steps => _,
            stride = in(reg) blocks * size_of::<Block32>(),
            wide = in(reg) ROW_BYTES,
            to = in(reg) products,
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
unsafe fn multiply_1(
    left: *const Block32,
    blocks: usize,
    right: *const [Block32; 2],
    steps: usize,
    products: &mut Products,
) {
    // SAFETY: by the caller's promise, as in `multiply_4`; one tile is stored.
    unsafe {
        asm!(
            "tilezero tmm0",
            "2:",
            "tileloadd tmm4, [{right} + {wide}*1]",
            "tileloadd tmm5, [{left} + {stride}*1]",
            "tdpbusd tmm0, tmm5, tmm4",
            "add {left}, 64",
            "add {right}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{to} + {wide}*1], tmm0",
            left = inout(reg) left => _,
            right = inout(reg) right => _,
            steps = inout(reg) steps => _,
            stride = in(reg) blocks * size_of::<Block32>(),
            wide = in(reg) ROW_BYTES,
            to = in(reg) products,
            out("tmm0") _, out("tmm4") _, out("tmm5") _,
            options(nostack),
        );
    }
}
