use base::{Actor, ServiceName, Time};

/// A push of the branch that is deployed, from before its ref moves until its source is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Landing {
    pub service: ServiceName,
    /// Full ref name.
    pub reference: String,
    pub commit: String,
    /// First line of the commit's message.
    pub message: String,
    pub author: String,
    pub created: Time,
    /// Who pushed.
    pub actor: Actor,
}
