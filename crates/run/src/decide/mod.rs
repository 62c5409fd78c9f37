//! Pure decisions.

mod backoff;
mod fleet;
mod launch;

pub(crate) use backoff::{CRASH_LOOP, forgiven_at, next_start};
pub(crate) use fleet::{Act, Plan, Sight, Want, decide};
pub(crate) use launch::{Launch, Site, spec};
