//! Which instruction set to use: found once at run time, and lowered by the environment variable `VEXFS_SIMD`.

use std::fmt;
use std::sync::OnceLock;

use super::float_tile::FloatTile;
use super::part_tile::PartTile;
use super::scalar::Scalar;
use super::tile::Tile;
use super::trial;
use super::vector::Simd;

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::{amx::Amx, amx_bf16::AmxBf16};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512, avx512_bf16::Avx512Bf16};

/// An instruction set that this machine has; owning one proves it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Avx512Bf16),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx(Amx),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    AmxBf16(AmxBf16),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon<false>),
    #[cfg(target_arch = "aarch64")]
    NeonDot(Neon<true>),
}

/// Work that is compiled once per level.
///
/// `run` and everything it calls in its inner loops must be `#[inline(always)]`: only code inlined into the level's
/// entry point is compiled with the level's instructions.
pub(crate) trait Job {
    /// What the work yields.
    type Out;
    /// Does the work with the instructions of `simd`.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

impl Level {
    /// Portable code; on every machine.
    pub const SCALAR: Self = Self(Set::Scalar(Scalar));

    /// Every level of this machine, the lowest first:
    ///
    /// - `scalar`: portable code;
    /// - `avx2`: AVX2, FMA and F16C of x86-64;
    /// - `avx512`: besides, AVX-512 F, BW, VL and VNNI, for many against many;
    /// - `avx512-bf16`: besides, the products of AVX-512 BF16, for many against many where codes lose too much;
    /// - `amx`: `avx512` and the tiles of AMX-INT8, for many against many; on Linux, where the system grants them;
    /// - `amx-bf16`: besides, the tiles of AMX-BF16, for many against many where codes lose too much;
    /// - `neon`: Advanced SIMD of AArch64, with the byte products of its dot-product extension where present.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Set::Scalar(Scalar)];
        #[cfg(target_arch = "x86_64")]
        all.extend(Avx2::new().map(Set::Avx2));
        #[cfg(target_arch = "x86_64")]
        all.extend(Avx512::new().map(Set::Avx512));
        #[cfg(target_arch = "x86_64")]
        all.extend(Avx512Bf16::new().map(Set::Avx512Bf16));
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        all.extend(Amx::new().map(Set::Amx));
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        all.extend(AmxBf16::new().map(Set::AmxBf16));
        #[cfg(target_arch = "aarch64")]
        all.extend(Neon::<false>::new().map(Set::Neon));
        #[cfg(target_arch = "aarch64")]
        all.extend(Neon::<true>::new().map(Set::NeonDot));
        all.into_iter().map(Self).collect()
    }

    /// The highest level of this machine, or the one that `VEXFS_SIMD` names (see [`all`](Self::all)) if that is lower.
    ///
    /// Resolved at the first call and the same ever after. A level that does not agree with portable code on a small
    /// example is passed over. A value of the variable that names no level, or a level that the machine lacks, changes
    /// nothing.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Self::highest(std::env::var("VEXFS_SIMD").ok().as_deref()))
    }

    /// The highest level up to the one named `limit` that agrees with portable code.
    fn highest(limit: Option<&str>) -> Self {
        let all = Self::all();
        let end = all.iter().rposition(|level| Some(level.name()) == limit).map_or(all.len(), |at| at + 1);
        let agrees = all[..end].iter().rev().find(|&&level| level == Self::SCALAR || trial::agrees(level));
        *agrees.unwrap_or(&Self::SCALAR)
    }

    /// Every level of this machine, for tests.
    ///
    /// `VEXFS_SIMD_REQUIRE`, names separated by commas, turns the lack of a level into a failure.
    #[cfg(test)]
    pub(crate) fn tested() -> Vec<Self> {
        let all = Self::all();
        for name in std::env::var("VEXFS_SIMD_REQUIRE").unwrap_or_default().split(',') {
            let has = name.is_empty() || all.iter().any(|level| level.name() == name);
            assert!(has, "VEXFS_SIMD_REQUIRE={name}, which this machine lacks");
        }
        all
    }

    /// The level's name: what `VEXFS_SIMD` takes.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(_) => "avx512-bf16",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx(_) => "amx",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(_) => "amx-bf16",
            #[cfg(target_arch = "aarch64")]
            Set::Neon(_) | Set::NeonDot(_) => "neon",
        }
    }

    /// Runs `job` with the instructions of this level; those above AVX2 have more only for the tiles.
    pub(crate) fn run<J: Job>(self, job: J) -> J::Out {
        match self.0 {
            Set::Scalar(token) => job.run(token),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(token) => token.run(job),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(token) => token.avx2().run(job),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(token) => token.avx512().avx2().run(job),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx(token) => token.avx512().avx2().run(job),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(token) => token.amx().avx512().avx2().run(job),
            #[cfg(target_arch = "aarch64")]
            Set::Neon(token) => token.run(job),
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot(token) => token.run(job),
        }
    }

    /// Finds the pairs that survive with the instructions of this level.
    pub(crate) fn tile(self, tile: Tile<'_>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(token) => token.tile(tile),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(token) => token.avx512().tile(tile),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx(token) => token.tile(tile),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(token) => token.amx().tile(tile),
            _ => self.run(tile),
        }
    }

    /// How many codes a panel compares with each of its queries in the time in which a [`ScanOne`](super::scan_one::ScanOne) compares one.
    ///
    /// Measured for AVX2 on Zen 3: 1.3 to 1.9, of 120 to 1,000 rows of 64 to 784 elements. The others are estimated, with `ScanOne` of
    /// AVX2: a VPDPBUSD of 512 bits multiplies 64 pairs, a VPMADDUBSW with its VPADDW 32, and a TDPBUSD in 16 cycles as many as 256
    /// VPDPBUSD; the panel also judges what it multiplied.
    pub(crate) fn panel_gain(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) | Set::Avx512Bf16(_) => 5,
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx(_) | Set::AmxBf16(_) => 20,
            _ => 2,
        }
    }

    /// Finds the pairs of numbers that survive with the instructions of this level.
    pub(crate) fn float_tile(self, tile: FloatTile<'_>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(token) => token.float_tile(tile),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(token) => token.avx512().float_tile(tile),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::Amx(token) => token.avx512().float_tile(tile),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(token) => token.amx().avx512().float_tile(tile),
            _ => self.run(tile),
        }
    }

    /// Finds the pairs of numbers given as parts that survive with the instructions of this level.
    pub(crate) fn part_tile(self, tile: PartTile<'_>) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(token) => token.part_tile(tile),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(token) => token.part_tile(tile),
            _ => tile.run_portably(),
        }
    }

    /// What [`part_tile`](Self::part_tile) takes for one product of parts of a row with sixteen queries, as the number of f32
    /// multiply-adds of 512 bits for each [`PIECE`](super::part_tile::PIECE) of elements; none where it is portable.
    ///
    /// A VDPBF16PS, which does two elements, takes the time of one of them on Zen 4 (where it takes longer, on Sapphire Rapids, there is AMX);
    /// the 16 cycles of a TDPBF16PS, which does a piece of sixteen rows, that of 32.
    pub(crate) fn part_cost(self) -> Option<usize> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16(_) => Some(16),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Set::AmxBf16(_) => Some(2),
            _ => None,
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_this_machine_agrees_with_portable_code() {
        for level in Level::tested() {
            assert!(trial::agrees(level), "{level:?}");
        }
    }

    #[test]
    fn a_name_lowers_the_level_and_an_unknown_one_does_not() {
        let all = Level::all();
        let highest = *all.last().unwrap();
        assert_eq!(Level::highest(None), highest);
        assert_eq!(Level::highest(Some("mmx")), highest);
        for level in all {
            assert_eq!(Level::highest(Some(level.name())).name(), level.name());
        }
    }
}
