//! VexFS cli.
