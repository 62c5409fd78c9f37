//! What a snapshot means for a request: routes by host, backends by weight, instances by load.

mod book;
mod build;
mod counters;
mod instance;
mod pick;
mod validate;

use std::collections::HashMap;
use std::sync::Arc;

use base::{EnvironmentName, Generation, ReleaseId, RolloutId, ServiceName};
use http::HeaderValue;

pub(crate) use book::Book;
pub(crate) use build::Builder;
pub(crate) use counters::{Counters, Done, Registry};
pub(crate) use instance::{Busy, Instance};
pub use validate::validate;

/// A snapshot made ready for use.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The generation served; 0 where nothing is.
    pub(crate) generation: Generation,
    /// By host. A change copies the pointers and nothing behind them.
    pub(crate) routes: HashMap<Arc<str>, Arc<Route>>,
    pub(crate) route_count: u64,
}

impl Table {
    /// The route of a host in lower case.
    pub(crate) fn route(&self, host: &str) -> Option<Arc<Route>> {
        self.routes.get(host).cloned()
    }
}

/// One service in one environment.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) service: ServiceName,
    pub(crate) environment: EnvironmentName,
    /// `,"service":"…","environment":"…"` for the access log.
    pub(crate) log_part: Vec<u8>,
    pub(crate) backends: Vec<Arc<Backend>>,
    /// Sum of the weights of the backends that can answer, each with its place in `backends`.
    pub(crate) shares: Vec<(u32, usize)>,
    /// Counts what no instance answered.
    pub(crate) none: Arc<Counters>,
}

/// The instances of one rollout.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) rollout: RolloutId,
    pub(crate) release: ReleaseId,
    /// The release as a response header.
    pub(crate) release_header: HeaderValue,
    /// `,"rollout":"…","release":"…"` for the access log.
    pub(crate) log_part: Vec<u8>,
    pub(crate) instances: Vec<Arc<Instance>>,
    pub(crate) counters: Arc<Counters>,
}
