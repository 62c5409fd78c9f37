use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Page;
use api::catalog::{GetStatus, Health, ListStatus, ServiceStatus, StatusCounts, StatusOrder, StatusQuery};
use base::{EnvironmentName, FactSeq, Result, ServiceName, Time};
use facts::{Fact as _, InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen, ServiceKind, ServiceState};
use kernel::{Answer, Call, Ctx};
use store::Read;
use tokio::sync::Mutex;

use super::services::known;
use crate::decide::{Facts, environment};
use crate::model::ServiceRow;
use crate::state;

/// The facts of each place of a service.
type Places = BTreeMap<EnvironmentName, Facts>;

/// Services read at once when all of them are.
const BATCH: u32 = 500;
/// Facts read at once.
const FACTS: u32 = 500;
/// The kinds of facts that a state follows from.
const KINDS: [&str; 5] =
    [InstancesWanted::KIND, InstancesSeen::KIND, RouteSeen::KIND, RolloutSeen::KIND, ServiceState::KIND];

/// The state of every service as it follows from the facts so far. A state follows from facts alone, so
/// that only services which new facts are about are looked at again.
#[derive(Default)]
pub(crate) struct Board {
    known: Mutex<Known>,
}

/// Services with their states, up to a fact.
#[derive(Clone, Default)]
struct Known {
    read: Option<FactSeq>,
    services: Arc<BTreeMap<ServiceName, Arc<One>>>,
}

struct One {
    row: ServiceRow,
    status: ServiceStatus,
}

impl Board {
    /// Everything, as new as the log.
    async fn all(&self, read: &mut impl Read) -> Result<Arc<BTreeMap<ServiceName, Arc<One>>>> {
        let mut known = self.known.lock().await;
        let mut services = Arc::clone(&known.services);
        let mut at = match known.read {
            Some(at) => at,
            None => {
                // Before the services are read: what comes in between is read again.
                let newest = store::facts_before(read, None, &[], None, 1).await?;
                let at = newest.first().map_or(FactSeq(0), |fact| fact.seq);
                services = Arc::new(everything(read).await?);
                at
            }
        };
        loop {
            let facts = store::facts_after(read, at, &KINDS, None, FACTS).await?;
            let Some(last) = facts.last() else { break };
            at = last.seq;
            let names: BTreeSet<ServiceName> = facts.iter().filter_map(service_of).collect();
            let changed = Arc::make_mut(&mut services);
            for name in names {
                match state::service(read, &name).await? {
                    Some(row) => changed.insert(name, Arc::new(one(read, row).await?)),
                    None => changed.remove(&name),
                };
            }
        }
        *known = Known { read: Some(at), services: Arc::clone(&services) };
        Ok(services)
    }
}

async fn everything(read: &mut impl Read) -> Result<BTreeMap<ServiceName, Arc<One>>> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let rows = state::services(read, &after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(all) };
        after = last.service.to_string();
        for row in rows {
            all.insert(row.service.clone(), Arc::new(one(read, row).await?));
        }
    }
}

async fn one(read: &mut impl Read, row: ServiceRow) -> Result<One> {
    let status = status(read, &row).await?;
    Ok(One { row, status })
}

fn service_of(fact: &store::StoredFact) -> Option<ServiceName> {
    fact.body.get("service")?.as_str()?.parse().ok()
}

fn visible(ctx: &Ctx, one: &One) -> bool {
    one.row.removed.is_none() && ctx.may_see(&one.row.team, Some(&one.row.service))
}

/// The state of everything the caller may see, as far as it is asked for. Pages are cut among these: a
/// mark would name a hidden service else.
pub(crate) async fn list(board: &Board, ctx: Ctx, call: Call<ListStatus>) -> Result<Answer<Page<ServiceStatus>>> {
    let query = call.query;
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let services = board.all(&mut ctx.read().await?).await?;
    let mut found: Vec<&ServiceStatus> = services
        .values()
        .filter(|one| visible(&ctx, one) && asked_for(&one.status, &query, &search))
        .map(|one| &one.status)
        .collect();
    match query.sort.unwrap_or_default() {
        StatusOrder::Name => {}
        StatusOrder::Health => found.sort_by_key(|status| worst(status)),
        StatusOrder::Change => found.sort_by_key(|status| std::cmp::Reverse(changed(status))),
        StatusOrder::Team => found.sort_by_key(|status| status.team.clone()),
    }
    let begin = match &query.after {
        None => 0,
        Some(after) => match query.sort.unwrap_or_default() {
            // Also behind a service that is gone by now.
            StatusOrder::Name => found.partition_point(|status| status.service.as_str() <= after.as_str()),
            _ => found.iter().position(|s| s.service.as_str() == after).map_or(found.len(), |at| at.saturating_add(1)),
        },
    };
    let more = found.len() > begin.saturating_add(size);
    let items: Vec<ServiceStatus> = found.into_iter().skip(begin).take(size).cloned().collect();
    let next = items.last().filter(|_| more).map(|status| status.service.to_string());
    Ok(Page { items, next }.into())
}

fn asked_for(status: &ServiceStatus, query: &StatusQuery, search: &str) -> bool {
    query.team.as_ref().is_none_or(|team| *team == status.team)
        && query.kind.as_ref().is_none_or(|kind| status.kind.as_ref() == Some(kind))
        && query.health.is_none_or(|health| status.environments.iter().any(|place| place.health == health))
        && query.crash_loop.is_none_or(|wanted| wanted == status.environments.iter().any(|p| p.crash_loop.is_some()))
        && (search.is_empty()
            || status.service.as_str().contains(search)
            || status.description.to_lowercase().contains(search))
}

/// How much a service needs somebody; less is more.
fn worst(status: &ServiceStatus) -> usize {
    let rank = |health: Health| match health {
        Health::Down => 0,
        Health::Degraded => 1,
        Health::Unknown => 2,
        Health::Changing => 3,
        Health::Healthy => 4,
        Health::Empty => 5,
    };
    status.environments.iter().map(|place| rank(place.health)).min().unwrap_or(6)
}

fn changed(status: &ServiceStatus) -> Option<Time> {
    status.environments.iter().filter_map(|place| place.since).max()
}

/// How much there is in which state.
pub(crate) async fn count(board: &Board, ctx: Ctx) -> Result<Answer<StatusCounts>> {
    let services = board.all(&mut ctx.read().await?).await?;
    let mut counts = StatusCounts::default();
    for one in services.values().filter(|one| visible(&ctx, one)) {
        counts.services = counts.services.saturating_add(1);
        for place in &one.status.environments {
            let count = counts.places.entry(place.health.word().to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    Ok(counts.into())
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
        description: row.description.clone(),
        kind: kind(&places),
        environments: places.iter().map(|(env, facts)| environment(env.clone(), facts)).collect(),
    })
}

/// What sort of service it is, as it was deployed.
fn kind(places: &Places) -> Option<String> {
    let sets = places.values().filter_map(|facts| facts.wanted.as_ref()).flat_map(|wanted| &wanted.sets);
    let mut kinds = sets.flat_map(|set| &set.processes).filter(|process| !process.task).map(|process| process.kind);
    let first = kinds.next()?;
    // A web service may have workers beside it.
    let kind = if kinds.any(|other| other == ServiceKind::Web) { ServiceKind::Web } else { first };
    let word = match kind {
        ServiceKind::Web => "web",
        ServiceKind::Worker => "worker",
        ServiceKind::Site => "site",
    };
    Some(word.to_owned())
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
