//! VexFS ann.
