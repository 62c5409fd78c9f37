use std::sync::Arc;

use api::platform::Check;
use async_trait::async_trait;
use store::Migration;

use crate::driver::{AnyJob, AnyReconciler, erase_job, erase_reconciler, erase_service_reconciler};
use crate::{Ctx, Endpoints, Hook, Job, Reconciler, ServiceReconciler, Takeover};

/// Everything a capability registers; there is no other way to take part.
#[derive(Default)]
pub struct Capability {
    /// Its name; also the prefix of its tables and fact kinds.
    pub name: &'static str,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// Its tables.
    pub migrations: Vec<Migration>,
    /// Its admission hooks.
    pub hooks: Vec<Arc<dyn Hook>>,
    /// What the doctor asks it.
    pub checks: Vec<Arc<dyn DoctorCheck>>,
    pub(crate) reconcilers: Vec<Arc<dyn AnyReconciler>>,
    pub(crate) jobs: Vec<Arc<dyn AnyJob>>,
    pub(crate) takeovers: Vec<Arc<dyn Takeover>>,
}

impl Capability {
    /// A capability with nothing yet.
    pub fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Adds endpoints.
    #[must_use]
    pub fn endpoints(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = endpoints;
        self
    }

    /// Adds one migration; they are numbered from 1 in the order of the calls.
    #[must_use]
    pub fn migration(mut self, name: &'static str, sql: &'static str) -> Self {
        let number = u32::try_from(self.migrations.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.migrations.push(Migration { capability: self.name, number, name, sql });
        self
    }

    /// Adds a reconciler.
    #[must_use]
    pub fn reconciler(mut self, reconciler: impl Reconciler) -> Self {
        self.reconcilers.push(erase_reconciler(reconciler));
        self
    }

    /// Adds a reconciler that looks at some services at a time.
    #[must_use]
    pub fn service_reconciler(mut self, reconciler: impl ServiceReconciler) -> Self {
        self.reconcilers.push(erase_service_reconciler(reconciler));
        self
    }

    /// Adds a kind of job.
    #[must_use]
    pub fn job(mut self, job: impl Job) -> Self {
        self.jobs.push(erase_job(job));
        self
    }

    /// Adds something to do at the start of each control plane.
    #[must_use]
    pub fn takeover(mut self, takeover: impl Takeover) -> Self {
        self.takeovers.push(Arc::new(takeover));
        self
    }

    /// Adds an admission hook.
    #[must_use]
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Adds a question of the doctor.
    #[must_use]
    pub fn check(mut self, check: impl DoctorCheck) -> Self {
        self.checks.push(Arc::new(check));
        self
    }
}

/// Something the doctor asks.
#[async_trait]
pub trait DoctorCheck: Send + Sync + 'static {
    /// What is found, one entry for each thing looked at.
    async fn check(&self, ctx: &Ctx) -> Vec<Check>;
}
