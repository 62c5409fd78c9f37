//! One suite per port, run on every driver and on the fake: what a caller may rely on.

pub mod engine;
pub mod handing;
pub mod signals;
