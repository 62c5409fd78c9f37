//! Endpoint bodies.

mod metrics;
mod overview;

use api::observe::{GetMetrics, ListMetrics};
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new().on::<GetMetrics, _, _>(metrics::get).on::<ListMetrics, _, _>(overview::list)
}
