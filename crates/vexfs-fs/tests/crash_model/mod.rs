//! What the crash, fault and hostile tests share: a plain model of a tree ([`tree`]), changes that are made to a volume and
//! to the model alike ([`action`]), a session that keeps the two side by side ([`session`]) and what it does ([`workload`]),
//! an audit that recounts everything a volume says about itself ([`audit`]), and torn crash states ([`torn`]).

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

pub mod action;
pub mod audit;
pub mod session;
pub mod torn;
pub mod tree;
pub mod workload;

/// SplitMix64: the same seed gives the same states on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0 .. bound`; `bound` is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// `count` bytes that `seed` decides.
pub fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes: Vec<u8> = (0..count.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(count);
    bytes
}
