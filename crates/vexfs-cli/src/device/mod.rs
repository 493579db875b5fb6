//! From what the user typed to the path and offset of a device.

mod search;
mod spec;

pub use search::{Candidate, only_one};
pub use spec::{DeviceSpec, Located, SpecError};
