//! What the catalog knows by itself.

pub mod template;

use base::{ServiceName, TeamName, Time};

/// A service as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceRow {
    pub service: ServiceName,
    pub team: TeamName,
    pub description: String,
    pub version: i64,
    pub created: Time,
    pub removed: Option<Time>,
}

impl ServiceRow {
    /// As it is told to other capabilities.
    pub(crate) fn fact(&self) -> facts::ServiceState {
        facts::ServiceState {
            service: self.service.clone(),
            team: self.team.clone(),
            description: self.description.clone(),
            removed: self.removed.is_some(),
        }
    }

    /// As it is shown.
    pub(crate) fn wire(self) -> api::catalog::Service {
        api::catalog::Service {
            service: self.service,
            team: self.team,
            description: self.description,
            created: self.created,
            removed: self.removed,
            version: self.version,
        }
    }
}
