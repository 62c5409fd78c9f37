use api::catalog::{GetImpact, GetTopology, Health, Impact, Topology, TopologyNeed, TopologyPlace, TopologyService};
use base::{EnvironmentName, Result};
use kernel::{Answer, Call, Ctx};

use super::board::{Board, One, Services};
use super::services::known;
use crate::decide::topology::{self, Owners};

/// Services and what they need of each other.
pub(crate) async fn get(board: &Board, ctx: Ctx, call: Call<GetTopology>) -> Result<Answer<Topology>> {
    let only = call.query.environment;
    let all = board.all(&mut ctx.read().await?).await?;
    let seen = || all.values().filter(|one| one.visible(&ctx));
    let services = seen().filter_map(|one| service(one, only.as_ref())).collect();
    Ok(Topology { services, needs: needs(&all, &owners(seen()), only.as_ref()) }.into())
}

/// What breaks if a service is down.
pub(crate) async fn impact(board: &Board, ctx: Ctx, call: Call<GetImpact>) -> Result<Answer<Impact>> {
    let mut read = ctx.read().await?;
    let service = known(&mut read, &call.path.service).await?.service;
    let all = board.all(&mut read).await?;
    let owners = owners(all.values().filter(|one| one.visible(&ctx)));
    let needs = needs(&all, &owners, call.query.environment.as_ref());
    let dependents = topology::dependents(&service, &needs, &owners);
    let needs: Vec<TopologyNeed> = needs.into_iter().filter(|need| need.from == service).collect();
    Ok(Impact { answer: topology::impact(&service, &dependents), service, dependents, needs }.into())
}

fn owners<'a>(seen: impl Iterator<Item = &'a std::sync::Arc<One>>) -> Owners {
    seen.map(|one| (one.status.service.clone(), one.status.team.clone())).collect()
}

fn needs(all: &Services, owners: &Owners, only: Option<&EnvironmentName>) -> Vec<TopologyNeed> {
    topology::needs(all.iter().map(|(name, one)| (name, &one.needs)), owners, only)
}

/// A service where it is not empty; `None` where it is so everywhere.
fn service(one: &One, only: Option<&EnvironmentName>) -> Option<TopologyService> {
    let places = one.status.environments.iter();
    let places = places.filter(|place| only.is_none_or(|only| *only == place.environment));
    let environments: Vec<TopologyPlace> = places
        .filter(|place| place.health != Health::Empty)
        .map(|place| TopologyPlace {
            environment: place.environment.clone(),
            health: place.health,
            url: place.url.clone(),
        })
        .collect();
    (!environments.is_empty()).then(|| TopologyService {
        service: one.status.service.clone(),
        team: one.status.team.clone(),
        environments,
    })
}
