use std::collections::BTreeMap;

use api::Page;
use api::catalog::{GetStatus, ListStatus, ServiceStatus};
use base::{EnvironmentName, Result, ServiceName};
use facts::{InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::services::known;
use crate::decide::{Facts, environment};
use crate::model::ServiceRow;
use crate::state;

/// The facts of every place, by service and environment.
pub(crate) type Places = BTreeMap<(ServiceName, EnvironmentName), Facts>;

/// The state of everything the caller may see.
pub(crate) async fn list(ctx: Ctx, call: Call<ListStatus>) -> Result<Answer<Page<ServiceStatus>>> {
    let size = call.query.size();
    let mut read = ctx.read().await?;
    let rows = state::services(&mut read, call.query.after.as_deref().unwrap_or_default(), size).await?;
    let full = rows.len() >= usize::try_from(size).unwrap_or(usize::MAX);
    let next = full.then(|| rows.last().map(|r| r.service.to_string())).flatten();
    let places = places(&mut read, None).await?;
    let visible = rows.into_iter().filter(|row| row.removed.is_none() && ctx.may_see(&row.team, Some(&row.service)));
    Ok(Page { items: visible.map(|row| status(&row, &places)).collect(), next }.into())
}

/// The state of one service.
pub(crate) async fn get(ctx: Ctx, call: Call<GetStatus>) -> Result<Answer<ServiceStatus>> {
    let mut read = ctx.read().await?;
    let row = known(&mut read, &call.path.service).await?;
    let places = places(&mut read, Some(&row.service)).await?;
    Ok(status(&row, &places).into())
}

pub(crate) fn status(row: &ServiceRow, places: &Places) -> ServiceStatus {
    let mine = places.iter().filter(|((service, _), _)| *service == row.service);
    ServiceStatus {
        service: row.service.clone(),
        team: row.team.clone(),
        environments: mine.map(|((_, env), facts)| environment(env.clone(), facts)).collect(),
    }
}

/// Reads the latest facts about one service, or about all.
pub(crate) async fn places(read: &mut impl Read, only: Option<&ServiceName>) -> Result<Places> {
    let mut places = Places::new();
    let wanted = |service: &ServiceName| only.is_none_or(|only| only == service);
    let key = |service: &ServiceName, environment: &EnvironmentName| (service.clone(), environment.clone());
    for (fact, _) in kernel::all_latest::<InstancesWanted>(read).await? {
        if wanted(&fact.service) {
            let place = places.entry(key(&fact.service, &fact.environment)).or_default();
            place.wanted = Some(fact);
        }
    }
    for (fact, _) in kernel::all_latest::<InstancesSeen>(read).await? {
        if wanted(&fact.service) {
            let place = places.entry(key(&fact.service, &fact.environment)).or_default();
            place.seen = Some(fact);
        }
    }
    for (fact, _) in kernel::all_latest::<RouteSeen>(read).await? {
        if wanted(&fact.service) {
            let place = places.entry(key(&fact.service, &fact.environment)).or_default();
            place.route = Some(fact);
        }
    }
    for (fact, _) in kernel::all_latest::<RolloutSeen>(read).await? {
        if wanted(&fact.service) {
            let place = places.entry(key(&fact.service, &fact.environment)).or_default();
            if place.rollout.as_ref().is_none_or(|newest| newest.rollout < fact.rollout) {
                place.rollout = Some(fact);
            }
        }
    }
    Ok(places)
}
