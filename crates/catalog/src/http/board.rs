//! What is known of every service, kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::catalog::ServiceStatus;
use base::{EnvironmentName, FactSeq, Result, ServiceName};
use facts::{Fact as _, InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen, ServiceKind, ServiceState};
use kernel::Ctx;
use store::Read;
use tokio::sync::Mutex;

use crate::decide::topology::{self, Needs};
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
    services: Arc<Services>,
}

/// One service.
pub(super) struct One {
    row: ServiceRow,
    pub status: ServiceStatus,
    /// What its places need, and in which environments.
    pub needs: Needs,
}

impl One {
    /// Whether it is in use, and the caller may see it.
    pub(super) fn visible(&self, ctx: &Ctx) -> bool {
        self.row.removed.is_none() && ctx.may_see(&self.row.team, Some(&self.row.service))
    }
}

/// Services with their states, by name.
pub(super) type Services = BTreeMap<ServiceName, Arc<One>>;

impl Board {
    /// Everything, as new as the log.
    pub(super) async fn all(&self, read: &mut impl Read) -> Result<Arc<Services>> {
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

async fn everything(read: &mut impl Read) -> Result<Services> {
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
    let places = places(read, &row.service).await?;
    let needs = topology::needed(places.values().filter_map(|facts| facts.wanted.as_ref()));
    Ok(One { status: of(&row, &places), needs, row })
}

fn service_of(fact: &store::StoredFact) -> Option<ServiceName> {
    fact.body.get("service")?.as_str()?.parse().ok()
}

/// The state of a service, read from the facts.
pub(super) async fn status(read: &mut impl Read, row: &ServiceRow) -> Result<ServiceStatus> {
    Ok(of(row, &places(read, &row.service).await?))
}

fn of(row: &ServiceRow, places: &Places) -> ServiceStatus {
    ServiceStatus {
        service: row.service.clone(),
        team: row.team.clone(),
        description: row.description.clone(),
        kind: kind(places),
        environments: places.iter().map(|(env, facts)| environment(env.clone(), facts)).collect(),
    }
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
