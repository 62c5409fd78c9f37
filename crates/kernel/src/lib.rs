//! The machinery that runs capabilities and knows none of them: who asks and what they may
//! ([`Permit`], [`Ctx`]), endpoints, reconcilers, jobs, admission hooks, and the one configuration.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod admission;
mod capability;
pub mod config;
mod ctx;
mod driver;
mod endpoints;
mod fence;
mod housekeeping;
mod jobs;
mod permit;
mod platform;
mod promises;
mod reconcile;
pub mod room;
mod takeover;

pub use admission::{Admission, Hook, Wish};
pub use capability::{Capability, DoctorCheck};
pub use config::{Config, has_password};
pub use ctx::{Answer, Ctx, RequestDigest, RequestInfo, all_latest, latest, latest_of, latest_with};
pub use driver::{Driver, ReconcilerReport};
pub use endpoints::{Call, Endpoints, ErasedHandler, Event, EventStream, Mounted, RawCall, RawReply, event_stream};
pub use housekeeping::housekeeping;
pub use jobs::{Job, JobOutcome};
pub use permit::{Authority, Credential, Identity, Permit, RightsWatch, Role, Target, authorize};
pub use platform::{Platform, Ports};
pub use ports::ByteStream;
pub use reconcile::{Outcome, Reconciler, Scope, ServiceReconciler};
pub use store::{Stored, idempotency_find};
pub use takeover::Takeover;
