//! Keeps the instances running that are wanted: reads the wish [`facts::InstancesWanted`], decides
//! which instances to start, stop, restart and forget, acts through [`ports::Engine`], and publishes
//! what is seen as [`facts::InstancesSeen`].

mod decide;
mod http;
mod model;
mod state;
mod work;

use kernel::Capability;

/// Registers the capability.
pub fn capability() -> Capability {
    Capability::named("run")
        .migration("instances", include_str!("../migrations/0001_instances.sql"))
        .endpoints(http::endpoints())
        .service_reconciler(work::Instances::default())
        .check(work::EngineFeatures)
}
