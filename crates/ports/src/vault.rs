use async_trait::async_trait;
use base::{EnvironmentName, Result, Secret, ServiceName, SettingName};
use serde::{Deserialize, Serialize};

/// Where the values of settings and secrets come from. Facts and releases name versions; only the
/// vault turns a version into a value, at the moment an instance is started.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The versions that hold now for a service in an environment: installation-wide ones,
    /// overlaid by the service's, overlaid by the service's in that environment.
    async fn current(&self, service: &ServiceName, environment: &EnvironmentName) -> Result<Vec<SettingRef>>;

    /// The value of one version; `setting-version-not-found` if it was purged.
    async fn open(&self, setting: &SettingRef) -> Result<Secret<String>>;
}

/// One version of one setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingRef {
    /// Its name.
    pub name: SettingName,
    /// The service it belongs to; `None`: the whole installation.
    pub service: Option<ServiceName>,
    /// The environment it belongs to; `None`: all.
    pub environment: Option<EnvironmentName>,
    /// Counts from 1 for each name, service and environment.
    pub version: i64,
    /// Whether it is write-only.
    pub secret: bool,
}
