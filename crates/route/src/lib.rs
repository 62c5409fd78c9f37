//! Says where traffic goes: reads the wish [`facts::TrafficWanted`] and the instances that are
//! seen, decides the routes of the services that may have changed, hands the gateway what it lacks
//! of them, and publishes what the gateway serves as [`facts::RouteSeen`], with the answer to a request that went through it.

mod decide;
mod http;
mod model;
mod state;
mod work;

use kernel::Capability;

/// Registers the capability.
pub fn capability() -> Capability {
    Capability::named("route")
        .migration("routes", include_str!("../migrations/0001_routes.sql"))
        .migration("routes_by_place", include_str!("../migrations/0002_routes_by_place.sql"))
        .endpoints(http::endpoints())
        .service_reconciler(work::Traffic)
        .check(work::GatewayHealth)
}
