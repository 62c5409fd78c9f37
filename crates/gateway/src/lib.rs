//! The traffic data plane, a process of its own, and the driver that talks to it.
//!
//! [`run`] is the whole `gateway` role; [`start`] is the same without signals. [`Client`] implements
//! [`ports::Gateway`] over the administration socket. [`validate`] says whether a snapshot would be taken.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::arithmetic_side_effects))]

mod admin;
mod callers;
mod chance;
mod conn;
mod core;
mod crowd;
mod descriptors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod host;
mod keep;
mod log;
mod options;
mod proxy;
mod run;
mod silence;
mod spare;
mod stall;
mod table;
mod upstream;
mod worker;

pub use admin::{Client, callers_socket};
pub use options::{Limits, LogOptions, Options};
pub use run::{Running, run, start};
pub use table::validate;
