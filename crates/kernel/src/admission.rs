use std::sync::Arc;

use async_trait::async_trait;
use base::Result;

use crate::Ctx;

/// Something that a person or a part of the platform wants to happen, before it is recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// `deliver.source`, `deliver.rollout`, `run.scale`, …
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: serde_json::Value,
}

/// A refusal that cuts across capabilities: quotas, freezes, rules. Hooks are asked in order; the
/// first refusal holds.
#[async_trait]
pub trait Hook: Send + Sync + 'static {
    /// Name for messages: `disk-watermark`.
    fn name(&self) -> &'static str;
    /// Lower is asked first.
    fn order(&self) -> u32;
    /// Refuses with a problem, or not.
    async fn check(&self, ctx: &Ctx, wish: &Wish) -> Result<()>;
}

/// All hooks, in order.
#[derive(Clone, Default)]
pub struct Admission {
    hooks: Arc<Vec<Arc<dyn Hook>>>,
}

impl Admission {
    /// Puts hooks in order.
    pub fn new(mut hooks: Vec<Arc<dyn Hook>>) -> Self {
        hooks.sort_by_key(|h| (h.order(), h.name()));
        Self { hooks: Arc::new(hooks) }
    }

    /// Asks every hook.
    pub async fn admit(&self, ctx: &Ctx, wish: &Wish) -> Result<()> {
        for hook in self.hooks.iter() {
            hook.check(ctx, wish).await?;
        }
        Ok(())
    }
}
