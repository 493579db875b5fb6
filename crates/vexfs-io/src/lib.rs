//! VexFS io.
