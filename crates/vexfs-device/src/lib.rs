//! VexFS device.
