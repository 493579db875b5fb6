//! VexFS format.
