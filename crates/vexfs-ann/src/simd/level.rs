//! Which instruction set to use: found once at run time, and lowered by the environment variable `VEXFS_SIMD`.

use std::fmt;
use std::sync::OnceLock;

use super::scalar::Scalar;
use super::vector::Simd;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;

/// An instruction set that this machine has; owning one proves it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level(Set);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
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

    /// AVX2, FMA and F16C, if the machine has all three.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Avx2::new().map(|token| Self(Set::Avx2(token)));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// The highest level of this machine, or the one that `VEXFS_SIMD` names (`scalar`, `avx2`) if that is lower.
    ///
    /// Resolved at the first call and the same ever after. A value of the variable that names no level, or a level that
    /// the machine lacks, changes nothing.
    pub fn best() -> Self {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| match std::env::var("VEXFS_SIMD").as_deref() {
            Ok("scalar") => Self::SCALAR,
            _ => Self::avx2().unwrap_or(Self::SCALAR),
        })
    }

    /// Every level of this machine, for tests.
    ///
    /// A level the machine lacks is skipped with a printed line; `VEXFS_SIMD_REQUIRE` (`avx2`) turns that into a failure.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let required = std::env::var("VEXFS_SIMD_REQUIRE").unwrap_or_default();
        let mut levels = vec![Self::SCALAR];
        match Self::avx2() {
            Some(level) => levels.push(level),
            None if required == "avx2" => panic!("VEXFS_SIMD_REQUIRE=avx2, which this machine lacks"),
            None => println!("skipped: avx2 on this machine"),
        }
        levels
    }

    /// The level's name: what `VEXFS_SIMD` takes.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2",
        }
    }

    /// Runs `job` with the instructions of this level.
    pub(crate) fn run<J: Job>(self, job: J) -> J::Out {
        match self.0 {
            Set::Scalar(token) => job.run(token),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(token) => token.run(job),
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.name())
    }
}
