use std::collections::BTreeMap;

use api::Page;
use api::catalog::{GetStatus, ListStatus, ServiceStatus};
use base::{EnvironmentName, Result, ServiceName};
use facts::{InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::services::{known, page};
use crate::decide::{Facts, environment};
use crate::model::ServiceRow;

/// The facts of each place of a service.
type Places = BTreeMap<EnvironmentName, Facts>;

/// Services looked through at once.
const BATCH: u32 = 500;

/// The state of everything the caller may see. Pages are cut among these: a mark would name a
/// hidden service else.
pub(crate) async fn list(ctx: Ctx, call: Call<ListStatus>) -> Result<Answer<Page<ServiceStatus>>> {
    let size = usize::try_from(call.query.size()).unwrap_or(usize::MAX);
    let mut after = call.query.after.unwrap_or_default();
    let mut read = ctx.read().await?;
    let mut seen: Vec<ServiceRow> = Vec::new();
    while seen.len() <= size {
        let rows = page(&mut read, &ctx, None, &after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = last.service.to_string();
        seen.extend(rows.into_iter().filter(|row| row.removed.is_none() && ctx.may_see(&row.team, Some(&row.service))));
    }
    let more = seen.len() > size;
    seen.truncate(size);
    let next = seen.last().filter(|_| more).map(|row| row.service.to_string());
    let mut items = Vec::new();
    for row in &seen {
        items.push(status(&mut read, row).await?);
    }
    Ok(Page { items, next }.into())
}

/// The state of one service.
pub(crate) async fn get(ctx: Ctx, call: Call<GetStatus>) -> Result<Answer<ServiceStatus>> {
    let mut read = ctx.read().await?;
    let row = known(&mut read, &call.path.service).await?;
    Ok(status(&mut read, &row).await?.into())
}

pub(crate) async fn status(read: &mut impl Read, row: &ServiceRow) -> Result<ServiceStatus> {
    let places = places(read, &row.service).await?;
    Ok(ServiceStatus {
        service: row.service.clone(),
        team: row.team.clone(),
        environments: places.iter().map(|(env, facts)| environment(env.clone(), facts)).collect(),
    })
}

/// The latest facts about a service, one indexed question for each kind.
async fn places(read: &mut impl Read, service: &ServiceName) -> Result<Places> {
    let mut places = Places::new();
    for (fact, _) in kernel::latest_of::<InstancesWanted>(read, service).await? {
        let place = places.entry(fact.environment.clone()).or_default();
        place.wanted = Some(fact);
    }
    for (fact, _) in kernel::latest_of::<InstancesSeen>(read, service).await? {
        let place = places.entry(fact.environment.clone()).or_default();
        place.seen = Some(fact);
    }
    for (fact, _) in kernel::latest_of::<RouteSeen>(read, service).await? {
        let place = places.entry(fact.environment.clone()).or_default();
        place.route = Some(fact);
    }
    for (fact, _) in kernel::latest_of::<RolloutSeen>(read, service).await? {
        let place = places.entry(fact.environment.clone()).or_default();
        place.rollout = Some(fact);
    }
    Ok(places)
}
