//! Values of this subject.

use std::collections::BTreeMap;

use base::{EnvironmentName, HostName, ServiceName};

/// A service in an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub service: ServiceName,
    pub environment: EnvironmentName,
}

/// Who has which custom host name.
pub(crate) type Claims = BTreeMap<HostName, Place>;
