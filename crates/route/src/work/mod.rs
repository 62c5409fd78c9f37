//! The reconciler, and what is asked of the gateway.

mod counters;
mod health;
mod seen;
mod traffic;

pub(crate) use counters::counters;
pub(crate) use health::GatewayHealth;
pub(crate) use traffic::Traffic;
