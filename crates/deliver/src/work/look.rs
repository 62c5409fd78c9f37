//! Everything that a run of the rollout reconciler reads.

use std::collections::BTreeMap;

use base::{Generation, Result, RolloutId, ServiceName};
use facts::{Fact, InstancesSeen, InstancesWanted, RouteSeen, ServiceState, TrafficWanted, place as subject};
use kernel::Ctx;
use store::Read;

use super::site;
use crate::decide::{Party, party};
use crate::model::{Current, Place, Release, Rollout};
use crate::state;

/// One moment of the ledger.
pub(super) struct View {
    pub currents: BTreeMap<Place, Current>,
    /// The rollout under way in each place.
    pub open: BTreeMap<Place, Rollout>,
    pub services: BTreeMap<ServiceName, ServiceState>,
    instances_wanted: BTreeMap<String, (InstancesWanted, Generation)>,
    traffic_wanted: BTreeMap<String, (TrafficWanted, Generation)>,
    instances: BTreeMap<String, InstancesSeen>,
    routes: BTreeMap<String, RouteSeen>,
}

impl View {
    pub(super) async fn load(ctx: &Ctx) -> Result<Self> {
        let mut read = ctx.read().await?;
        Ok(Self {
            currents: state::currents(&mut read).await?.into_iter().map(|c| (c.place.clone(), c)).collect(),
            open: state::open_rollouts(&mut read).await?.into_iter().map(|r| (r.place.clone(), r)).collect(),
            services: seen::<ServiceState>(&mut read).await?.into_values().map(|s| (s.service.clone(), s)).collect(),
            instances_wanted: wanted(&mut read).await?,
            traffic_wanted: wanted(&mut read).await?,
            instances: seen(&mut read).await?,
            routes: seen(&mut read).await?,
        })
    }

    /// Every place that runs something or shall.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.currents.keys().chain(self.open.keys()).cloned().collect();
        places.sort();
        places.dedup();
        places
    }

    /// Whether the service of a place was removed.
    pub(super) fn removed(&self, place: &Place) -> bool {
        self.services.get(&place.service).is_some_and(|service| service.removed)
    }

    pub(super) fn instances_wanted(&self, place: &Place) -> Option<&(InstancesWanted, Generation)> {
        self.instances_wanted.get(&name(place))
    }

    pub(super) fn traffic_wanted(&self, place: &Place) -> Option<&(TrafficWanted, Generation)> {
        self.traffic_wanted.get(&name(place))
    }

    /// What runs, measured against this wish or a newer one.
    pub(super) fn instances(&self, place: &Place) -> Option<&InstancesSeen> {
        let (_, wanted) = self.instances_wanted(place)?;
        self.instances.get(&name(place)).filter(|seen| seen.generation >= *wanted)
    }

    /// What is served, after this wish or a newer one.
    pub(super) fn route(&self, place: &Place) -> Option<&RouteSeen> {
        let (_, wanted) = self.traffic_wanted(place)?;
        self.routes.get(&name(place)).filter(|seen| seen.generation >= *wanted)
    }
}

fn name(place: &Place) -> String {
    subject(&place.service, &place.environment)
}

async fn wanted<F: Fact>(read: &mut impl Read) -> Result<BTreeMap<String, (F, Generation)>> {
    Ok(kernel::all_latest::<F>(read)
        .await?
        .into_iter()
        .map(|(fact, generation)| (fact.subject(), (fact, generation)))
        .collect())
}

async fn seen<F: Fact>(read: &mut impl Read) -> Result<BTreeMap<String, F>> {
    Ok(kernel::all_latest::<F>(read).await?.into_iter().map(|(fact, _)| (fact.subject(), fact)).collect())
}

/// A rollout with what it runs.
pub(super) struct Side {
    pub release: Release,
    pub party: Party,
}

/// What a rollout runs; nothing if it is not known (any more).
pub(super) async fn side(ctx: &Ctx, id: RolloutId) -> Result<Option<Side>> {
    let mut read = ctx.read().await?;
    let Some(rollout) = state::rollout(&mut read, id).await? else { return Ok(None) };
    let Some(release) = state::release(&mut read, rollout.release).await? else { return Ok(None) };
    let party = party(&rollout, &release, &site(ctx));
    Ok(Some(Side { release, party }))
}
