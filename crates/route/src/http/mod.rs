//! Endpoint bodies.

mod routes;
mod traffic;

use api::route::{GetTraffic, ListRoutes};
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new().on::<ListRoutes, _, _>(routes::list).on::<GetTraffic, _, _>(traffic::get)
}
