use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, ServiceName};
use serde::Serialize;

use crate::Ctx;

/// Something that makes the world as it is wanted, of which there is little enough to look at all
/// of it each time. It takes no input and keeps no state of its own
/// between runs: it reads what is wanted and seen, decides, acts, records. It may be stopped
/// anywhere and run again at any time.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// `capability.noun`.
    const NAME: &'static str;
    /// It runs at least this often.
    const EVERY: Duration;
    /// Kinds of facts that wake it.
    const WAKES: &'static [&'static str];
    /// What a run returns, for people.
    type Status: Serialize + Send;

    /// One run.
    async fn reconcile(&self, ctx: &Ctx) -> Result<Self::Status>;

    /// Ends when something outside the ledger may have changed; by default never.
    async fn stirred(&self, _ctx: &Ctx) {
        std::future::pending().await
    }
}

/// The same for what grows with the number of services: each run looks at some of them. Which ones
/// is told by the subjects of the facts that woke it, by [`ServiceReconciler::news`], by what the
/// run before asked for, and, a part at a time, by a look at everything that never ends. None of
/// these carries work: a run reads what is wanted and seen of its services, decides, acts, records,
/// as if it did not know why it was asked. Whoever loses a wake-up loses time.
#[async_trait]
pub trait ServiceReconciler: Send + Sync + 'static {
    /// `capability.noun`.
    const NAME: &'static str;
    /// It runs at least this often, if need be over no service at all.
    const EVERY: Duration;
    /// Kinds of facts that wake it; their subjects begin with the service.
    const WAKES: &'static [&'static str];
    /// A kind of fact that every service has that it looks after.
    const SUBJECTS: &'static str;
    /// What a run returns, for people.
    type Status: Serialize + Send;

    /// One run over these services.
    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Self::Status>>;

    /// Ends when something outside the ledger may have changed; by default never.
    async fn stirred(&self, _ctx: &Ctx) {
        std::future::pending().await
    }

    /// Where something outside the ledger may have changed since this was last asked.
    async fn news(&self, _ctx: &Ctx) -> Result<Scope> {
        Ok(Scope::nothing())
    }
}

/// Where something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Anywhere.
    Everything,
    /// At these services.
    Services(BTreeSet<ServiceName>),
}

/// What a run of a [`ServiceReconciler`] came to.
#[derive(Debug)]
pub struct Outcome<S> {
    /// For people.
    pub status: S,
    /// Services that are to be looked at again after a while even if nothing wakes them.
    pub again: BTreeMap<ServiceName, Duration>,
}
