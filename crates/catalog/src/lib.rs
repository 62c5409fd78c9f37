//! What there is: services and their owners, their state as it follows from the facts, and the
//! templates from which new ones are made.

mod decide;
mod http;
pub mod model;
mod state;
mod work;

use kernel::Capability;
// Explanations are made of facts as they were read.
pub(crate) use store::StoredFact;

/// Registers the capability.
pub fn capability() -> Capability {
    Capability::named("catalog")
        .migration("services", include_str!("../migrations/0001_services.sql"))
        .migration("services_by_team", include_str!("../migrations/0002_services_by_team.sql"))
        .endpoints(http::endpoints())
        .service_reconciler(work::WantedServices)
}
