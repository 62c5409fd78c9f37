//! Says where traffic goes: reads the wish [`facts::TrafficWanted`] and the instances that are
//! seen, decides one whole snapshot, hands it to the gateway, and publishes what the gateway serves
//! as [`facts::RouteSeen`], with the answer to a request that went through it.

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
        .endpoints(http::endpoints())
        .reconciler(work::Traffic::default())
        .check(work::GatewayHealth)
}
