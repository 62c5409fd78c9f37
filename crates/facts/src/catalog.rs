use base::{ServiceName, TeamName};
use serde::{Deserialize, Serialize};

use crate::Fact;

/// What sort of thing a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceKind {
    /// Answers HTTP requests.
    Web,
    /// Works without requests.
    Worker,
    /// Static files, served by the platform.
    Site,
}

/// A service as it is now; subject: its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// The service.
    pub service: ServiceName,
    /// The team that owns it.
    pub team: TeamName,
    /// One line about it.
    pub description: String,
    /// Whether it was removed; its instances and routes go, its history stays.
    pub removed: bool,
}

impl Fact for ServiceState {
    const KIND: &'static str = "catalog.service";
    fn subject(&self) -> String {
        self.service.to_string()
    }
}

/// Wish to `catalog`: this service shall exist; subject: its name. An existing service stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceWanted {
    /// The service.
    pub service: ServiceName,
    /// The team that shall own it.
    pub team: TeamName,
    /// One line about it.
    pub description: String,
}

impl Fact for ServiceWanted {
    const KIND: &'static str = "catalog.service.wanted";
    fn subject(&self) -> String {
        self.service.to_string()
    }
}
