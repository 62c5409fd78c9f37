//! Runs instances as sandboxed processes of this machine, without any container engine: the driver
//! of [`ports::Engine`] that is in the box.
//!
//! Each instance has a *keeper*, a small process of its own ([`shim_main`]) that outlives the
//! platform: the platform may be stopped, replaced or killed, and instances run on, their output is
//! kept, and the next [`ProcessEngine`] on the same data directory finds them. See the README for
//! the walls around an instance and for what is not walled off yet.

mod cgroup;
mod engine;
mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod launch;
mod log;
mod net;
mod options;
mod pack;
mod probe;
mod sandbox;
mod shim;
#[allow(unsafe_code, reason = "the crate's only place that talks to the kernel without a safe wrapper")]
mod sys;

pub use engine::ProcessEngine;
pub use options::Options;
pub use shim::shim_main;
