use std::collections::BTreeMap;

use api::manifest::Need;
use base::{Actor, Digest, HostName, NeedName, ReleaseId, ServiceName, SettingName, SourceId, Time};
use facts::{ProcessWanted, ServiceKind};
use serde::{Deserialize, Serialize};

/// The name of the process that a release command runs as.
pub(crate) const TASK: &str = "release";

/// An immutable release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub id: ReleaseId,
    pub service: ServiceName,
    pub number: i64,
    pub artifact: Digest,
    pub source: SourceId,
    pub recipe: String,
    pub spec: Spec,
    pub commit: Option<String>,
    pub message: String,
    pub author: String,
    pub created: Time,
    pub actor: Actor,
}

/// The resolved manifest: all that it takes to run a release, whatever the platform's defaults
/// become later. Only what differs between environments (URLs of needs, versions of settings) is
/// found out when a rollout begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Spec {
    pub kind: ServiceKind,
    /// What serves.
    pub processes: Vec<ProcessWanted>,
    /// What runs once before traffic moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ProcessWanted>,
    #[serde(default)]
    pub needs: BTreeMap<NeedName, Need>,
    /// Environment variables, as templates.
    #[serde(default)]
    pub variables: BTreeMap<SettingName, String>,
    /// Host names beside the platform's own.
    #[serde(default)]
    pub hosts: Vec<HostName>,
}

impl Spec {
    /// Whether requests go to it.
    pub(crate) fn takes_traffic(&self) -> bool {
        self.processes.iter().any(|process| process.kind != ServiceKind::Worker)
    }
}

/// The digests of an artifact's parts (OCI image-spec, manifest.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub manifest: Digest,
    pub config: Digest,
    pub layer: Digest,
}
