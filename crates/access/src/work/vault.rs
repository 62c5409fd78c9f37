use std::sync::Arc;

use async_trait::async_trait;
use base::{EnvironmentName, Problem, Result, Secret, ServiceName};
use ports::{Random, SettingRef, Vault};
use store::Store;

use super::MasterKey;
use crate::model::{Scope, SettingRow};
use crate::{decide, state};

/// Settings and secrets, sealed in the store under the installation's master key.
#[derive(Clone)]
pub struct SettingVault {
    store: Store,
    key: MasterKey,
    random: Arc<dyn Random>,
}

impl SettingVault {
    /// A vault over a store.
    pub fn new(store: Store, key: MasterKey, random: Arc<dyn Random>) -> Self {
        Self { store, key, random }
    }

    pub(crate) fn seal(&self, value: &str, label: &str) -> Result<String> {
        self.key.seal(value, label, &*self.random)
    }

    pub(crate) fn open_row(&self, row: &SettingRow) -> Result<Secret<String>> {
        self.key.open(&row.sealed, &row.scope.label(&row.name, row.version))
    }
}

#[async_trait]
impl Vault for SettingVault {
    async fn current(&self, service: &ServiceName, environment: &EnvironmentName) -> Result<Vec<SettingRef>> {
        let mut read = self.store.read().await?;
        let newest = state::newest_for(&mut read, service, environment).await?;
        Ok(decide::current(newest).into_iter().map(reference).collect())
    }

    async fn open(&self, setting: &SettingRef) -> Result<Secret<String>> {
        let scope = Scope { service: setting.service.clone(), environment: setting.environment.clone() };
        let mut read = self.store.read().await?;
        let row = state::version(&mut read, &scope, &setting.name, setting.version).await?.ok_or_else(|| {
            Problem::not_found(
                "setting-version-not-found",
                format!("version {} of setting {} is gone", setting.version, setting.name),
            )
        })?;
        self.open_row(&row)
    }
}

fn reference(row: SettingRow) -> SettingRef {
    SettingRef {
        name: row.name,
        service: row.scope.service,
        environment: row.scope.environment,
        version: row.version,
        secret: row.secret,
    }
}
