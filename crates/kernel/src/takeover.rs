use async_trait::async_trait;
use base::Result;

use crate::Ctx;

/// What a capability does once at the start of a control plane, before anything else of it runs and
/// before anybody is answered: nobody has watched since the one before ended. A start that dies
/// meanwhile does it again.
#[async_trait]
pub trait Takeover: Send + Sync + 'static {
    /// Records what is different because nobody watched.
    async fn take_over(&self, ctx: &Ctx) -> Result<()>;
}
