use api::platform::{Check, Verdict};
use async_trait::async_trait;
use base::Result;
use kernel::{Ctx, DoctorCheck};
use ports::Availability;

use crate::state;

/// Asks the engine what it can isolate and limit here.
pub(crate) struct EngineFeatures;

#[async_trait]
impl DoctorCheck for EngineFeatures {
    async fn check(&self, ctx: &Ctx) -> Vec<Check> {
        let features = ctx.platform().ports().engine.features();
        let features = features
            .into_iter()
            .map(|feature| {
                let name = format!("engine.{}", feature.name);
                match feature.availability {
                    Availability::Works => Check { name, verdict: Verdict::Ok, found: feature.purpose, fix: None },
                    Availability::Missing { why, fix } => {
                        let found = format!("not available: {why} ({})", feature.purpose);
                        Check { name, verdict: Verdict::Limited, found, fix: Some(fix) }
                    }
                }
            })
            .collect::<Vec<_>>();
        features.into_iter().chain([strangers(ctx).await]).collect()
    }
}

/// Instances that the engine knows and nobody decided upon. They are left alone.
async fn strangers(ctx: &Ctx) -> Check {
    let name = "engine.instances".to_owned();
    match count(ctx).await {
        Ok((all, 0)) => Check { name, verdict: Verdict::Ok, found: format!("{all}, all of them recorded"), fix: None },
        Ok((all, strangers)) => Check {
            name,
            verdict: Verdict::Limited,
            found: format!("{strangers} of {all} are not in the ledger; they are left alone"),
            fix: Some("the ledger was restored from an older copy: restore the newest, or end them by hand".into()),
        },
        Err(problem) => {
            Check { name, verdict: Verdict::Broken, found: format!("cannot be read: {problem}"), fix: problem.hint }
        }
    }
}

async fn count(ctx: &Ctx) -> Result<(usize, usize)> {
    let all = ctx.platform().ports().engine.list().await?;
    let ids: Vec<_> = all.into_iter().filter(|one| one.environment.is_some()).map(|one| one.id).collect();
    let known = state::count_known(&mut ctx.read().await?, &ids).await?;
    Ok((ids.len(), ids.len().saturating_sub(known)))
}
