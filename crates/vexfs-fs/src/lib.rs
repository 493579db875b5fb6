//! VexFS fs.
