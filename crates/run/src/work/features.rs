use api::platform::{Check, Verdict};
use async_trait::async_trait;
use kernel::{Ctx, DoctorCheck};
use ports::Availability;

/// Asks the engine what it can isolate and limit here.
pub(crate) struct EngineFeatures;

#[async_trait]
impl DoctorCheck for EngineFeatures {
    async fn check(&self, ctx: &Ctx) -> Vec<Check> {
        let features = ctx.platform().ports().engine.features();
        features
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
            .collect()
    }
}
