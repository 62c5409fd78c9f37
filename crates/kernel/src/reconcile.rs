use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use serde::Serialize;

use crate::Ctx;

/// Something that makes the world as it is wanted. It takes no input and keeps no state of its own
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
