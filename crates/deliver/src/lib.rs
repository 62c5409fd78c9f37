//! Source → build → release → rollout → undo. What is pushed or uploaded is built once into an
//! artifact, becomes an immutable release, and takes the traffic of an environment only after its
//! instances were observed healthy; every step can be watched, stopped and taken back.

mod decide;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod model;
pub mod recipe;
mod state;
mod work;

use std::collections::BTreeMap;

use kernel::Capability;

pub use work::needed_objects;
pub use work::steps::steps_main;

/// What builds may get of the environment that the platform itself was started with. Which of the
/// variables are handed on is said by `build.pass_env`.
#[derive(Clone, Default)]
pub struct BuildEnvironment {
    /// All variables of `orlop up`.
    pub vars: BTreeMap<String, String>,
}

/// Registers the capability.
pub fn capability(environment: BuildEnvironment) -> Capability {
    let shared = work::Shared::new(environment);
    Capability::named("deliver")
        .migration("deliver", include_str!("../migrations/0001_deliver.sql"))
        .migration("condemned", include_str!("../migrations/0002_condemned.sql"))
        .migration("indexes", include_str!("../migrations/0003_indexes.sql"))
        .migration("release_commands", include_str!("../migrations/0004_release_commands.sql"))
        .migration("landing", include_str!("../migrations/0005_landing.sql"))
        .endpoints(http::endpoints())
        .job(work::Build::new(&shared))
        .job(work::Land)
        .service_reconciler(work::Rollouts)
        .takeover(work::Resume)
        .reconciler(work::Buried)
        .reconciler(work::Garbage::new(&shared))
        .hook(work::DiskWatermark)
}
