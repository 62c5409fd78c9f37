//! Pure decisions.

mod hosts;
mod snapshot;

pub(crate) use hosts::{Hosts, hosts};
pub(crate) use snapshot::routes;
