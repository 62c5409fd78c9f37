use api::catalog::{Because, Health, Why, WhyService};
use base::{Result, ServiceName};
use facts::{
    BuildSeen, Fact as _, InstancesSeen, ReleaseMade, Replicas, RolloutSeen, RouteSeen, ServiceState, SettingChanged,
};
use kernel::{Answer, Call, Ctx};
use store::{Read, StoredFact};

use super::services::known;
use super::status::status;
use crate::decide::{advice, line};

/// Facts looked through, of the service's own kinds and of those that are kept under ids.
const LOOKED_THROUGH: u32 = 500;
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
        let field = |key: &str| fact.body.get(key).and_then(|v| v.as_str());
        field("service") == Some(service.as_str())
            && wanted.as_ref().is_none_or(|w| field("environment").is_none_or(|e| e == w.as_str()))
    };
    let facts = facts_of(&mut read, &service).await?;
    let because = facts
        .iter()
        .filter(|fact| about(fact))
        .filter_map(|fact| {
            Some(Because { at: fact.at, actor: fact.actor.to_string(), what: line(fact)?, seq: fact.seq })
        })
        .take(TOLD)
        .collect();
    let answers: Vec<String> =
        environments.iter().map(|e| format!("{} is {}: {}", e.environment, word(e.health), e.reason)).collect();
    let answer = match answers.is_empty() {
        true => "nothing was ever deployed".to_owned(),
        false => answers.join("; "),
    };
    Ok(Why { answer, because, advice: advice(&service, &environments) }.into())
}

/// The newest facts about a service, newest first. Those of its places are asked for by their
/// subject, so that what others do in the meantime does not push them out of sight.
async fn facts_of(read: &mut impl Read, service: &ServiceName) -> Result<Vec<StoredFact>> {
    let places = [RolloutSeen::KIND, InstancesSeen::KIND, Replicas::KIND, RouteSeen::KIND, SettingChanged::KIND];
    let mut facts = store::facts_before(read, None, &places, Some(&format!("{service}/")), LOOKED_THROUGH).await?;
    let itself = [ServiceState::KIND];
    facts.extend(store::facts_before(read, None, &itself, Some(service.as_str()), LOOKED_THROUGH).await?);
    let by_id = [BuildSeen::KIND, ReleaseMade::KIND];
    facts.extend(store::facts_before(read, None, &by_id, None, LOOKED_THROUGH).await?);
    facts.sort_unstable_by_key(|fact| std::cmp::Reverse(fact.seq));
    Ok(facts)
}

const fn word(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Down => "down",
        Health::Changing => "changing",
        Health::Empty => "empty",
        Health::Unknown => "unknown",
    }
}
