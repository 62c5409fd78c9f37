use std::collections::BTreeMap;

use api::catalog::{GetImpact, GetTopology, Health, Impact, Topology, TopologyNeed, TopologyPlace, TopologyService};
use base::{EnvironmentName, Result, ServiceName};
use facts::{Fact, InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen, ServiceState};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::services::known;
use crate::decide::topology::{self, Owners};
use crate::decide::{Facts, environment};

/// Services and what they need of each other.
pub(crate) async fn get(ctx: Ctx, call: Call<GetTopology>) -> Result<Answer<Topology>> {
    let only = call.query.environment;
    let mut read = ctx.read().await?;
    let owners = owners(&ctx, &mut read).await?;
    let places = places(&mut read, &owners, only.as_ref()).await?;
    let needs = topology::needs(places.values().filter_map(|facts| facts.wanted.as_ref()), &owners);
    let mut services: BTreeMap<ServiceName, TopologyService> = BTreeMap::new();
    for ((service, at), facts) in &places {
        let Some(team) = owners.get(service) else { continue };
        let status = environment(at.clone(), facts);
        if status.health == Health::Empty {
            continue;
        }
        let entry = services.entry(service.clone()).or_insert_with(|| TopologyService {
            service: service.clone(),
            team: team.clone(),
            environments: Vec::new(),
        });
        entry.environments.push(TopologyPlace { environment: at.clone(), health: status.health, url: status.url });
    }
    Ok(Topology { services: services.into_values().collect(), needs }.into())
}

/// What breaks if a service is down.
pub(crate) async fn impact(ctx: Ctx, call: Call<GetImpact>) -> Result<Answer<Impact>> {
    let mut read = ctx.read().await?;
    let service = known(&mut read, &call.path.service).await?.service;
    let owners = owners(&ctx, &mut read).await?;
    let only = call.query.environment;
    let wanted: Vec<InstancesWanted> = kernel::all_latest::<InstancesWanted>(&mut read)
        .await?
        .into_iter()
        .map(|(wanted, _)| wanted)
        .filter(|wanted| only.as_ref().is_none_or(|only| *only == wanted.environment))
        .collect();
    let all = topology::needs(&wanted, &owners);
    let dependents = topology::dependents(&service, &all, &owners);
    let needs: Vec<TopologyNeed> = all.into_iter().filter(|need| need.from == service).collect();
    Ok(Impact { answer: topology::impact(&service, &dependents), service, dependents, needs }.into())
}

/// What is in use and may be seen.
async fn owners(ctx: &Ctx, read: &mut impl Read) -> Result<Owners> {
    Ok(kernel::all_latest::<ServiceState>(read)
        .await?
        .into_iter()
        .filter(|(state, _)| !state.removed && ctx.may_see(&state.team, Some(&state.service)))
        .map(|(state, _)| (state.service, state.team))
        .collect())
}

/// The facts of each place, one question for each kind and not one for each service.
async fn places(
    read: &mut impl Read,
    owners: &Owners,
    only: Option<&EnvironmentName>,
) -> Result<BTreeMap<(ServiceName, EnvironmentName), Facts>> {
    let mut places: BTreeMap<(ServiceName, EnvironmentName), Facts> = BTreeMap::new();
    let mut at = |service: &ServiceName, environment: &EnvironmentName, put: &mut dyn FnMut(&mut Facts)| {
        if owners.contains_key(service) && only.is_none_or(|only| only == environment) {
            put(places.entry((service.clone(), environment.clone())).or_default());
        }
    };
    for fact in latest::<InstancesWanted>(read).await? {
        at(&fact.service, &fact.environment, &mut |facts| facts.wanted = Some(fact.clone()));
    }
    for fact in latest::<InstancesSeen>(read).await? {
        at(&fact.service, &fact.environment, &mut |facts| facts.seen = Some(fact.clone()));
    }
    for fact in latest::<RouteSeen>(read).await? {
        at(&fact.service, &fact.environment, &mut |facts| facts.route = Some(fact.clone()));
    }
    for fact in latest::<RolloutSeen>(read).await? {
        at(&fact.service, &fact.environment, &mut |facts| facts.rollout = Some(fact.clone()));
    }
    Ok(places)
}

async fn latest<F: Fact>(read: &mut impl Read) -> Result<Vec<F>> {
    Ok(kernel::all_latest::<F>(read).await?.into_iter().map(|(fact, _)| fact).collect())
}
