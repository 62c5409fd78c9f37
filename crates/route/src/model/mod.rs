//! Values of this subject.

use std::collections::BTreeMap;

use base::{EnvironmentName, Generation, HostName, ServiceName};

/// A service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub service: ServiceName,
    pub environment: EnvironmentName,
}

/// How far the routes have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// The generation of the newest decision.
    pub generation: Generation,
    /// A gateway that serves this generation or a newer one serves what was decided here, and lacks
    /// only what came after. 0: the routes were not written down one by one yet.
    pub since: Generation,
}

/// Who has which custom host name.
pub(crate) type Claims = BTreeMap<HostName, Place>;
