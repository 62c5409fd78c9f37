//! Says what the services do now and did lately: looks at the gateway's counters and at the running
//! instances every few seconds, keeps the looks in [`ports::Signals`], and tells them as series.

mod decide;
mod http;
mod work;

use kernel::Capability;

/// Registers the capability.
pub fn capability() -> Capability {
    Capability::named("observe").endpoints(http::endpoints()).reconciler(work::Samples)
}
