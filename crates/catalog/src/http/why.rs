use api::catalog::{Because, Why, WhyService};
use base::Result;
use kernel::{Answer, Call, Ctx};
use store::StoredFact;

use super::board::status;
use super::services::known;
use crate::decide::{advice, line};

/// Facts about the service that are looked through for those of one environment.
const LOOKED_THROUGH: u32 = 100;
/// Facts told.
const TOLD: usize = 15;

/// Why a service is in the state it is in.
pub(crate) async fn why(ctx: Ctx, call: Call<WhyService>) -> Result<Answer<Why>> {
    let service = call.path.service;
    let wanted = call.query.environment;
    let mut read = ctx.read().await?;
    let row = known(&mut read, &service).await?;
    let mut environments = status(&mut read, &row).await?.environments;
    environments.retain(|e| wanted.as_ref().is_none_or(|w| *w == e.environment));
    let about = |fact: &StoredFact| {
        let environment = fact.body.get("environment").and_then(|v| v.as_str());
        wanted.as_ref().is_none_or(|w| environment.is_none_or(|e| e == w.as_str()))
    };
    let facts = store::facts_about(&mut read, service.as_str(), None, LOOKED_THROUGH).await?;
    let because = facts
        .iter()
        .filter(|fact| about(fact))
        .filter_map(|fact| {
            Some(Because { at: fact.at, actor: fact.actor.to_string(), what: line(fact)?, seq: fact.seq })
        })
        .take(TOLD)
        .collect();
    let answers: Vec<String> =
        environments.iter().map(|e| format!("{} is {}: {}", e.environment, e.health.word(), e.reason)).collect();
    let answer = match answers.is_empty() {
        true => "nothing was ever deployed".to_owned(),
        false => answers.join("; "),
    };
    Ok(Why { answer, because, advice: advice(&service, &environments) }.into())
}
