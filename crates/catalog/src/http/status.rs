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

/// The state of everything the caller may see.
pub(crate) async fn list(ctx: Ctx, call: Call<ListStatus>) -> Result<Answer<Page<ServiceStatus>>> {
    let size = call.query.size();
    let mut read = ctx.read().await?;
    let after = call.query.after.as_deref().unwrap_or_default();
    let rows = page(&mut read, &ctx, None, after, size).await?;
    let next = api::next_page(&rows, size, |row| row.service.to_string());
    let mut items = Vec::new();
    for row in rows.iter().filter(|row| row.removed.is_none() && ctx.may_see(&row.team, Some(&row.service))) {
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
