//! Everything that a run of the rollout reconciler reads.

use std::collections::{BTreeMap, BTreeSet};

use base::{Generation, Result, RolloutId, ServiceName};
use facts::{
    Fact, InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen, ServiceState, TrafficWanted, place as subject,
};
use kernel::Ctx;
use store::Read;

use super::site;
use crate::decide::{Party, party};
use crate::model::{Current, Place, Release, Rollout};
use crate::state;

/// One moment of the ledger, as far as it is about some services.
pub(super) struct View {
    pub currents: BTreeMap<Place, Current>,
    /// The rollout under way in each place.
    pub open: BTreeMap<Place, Rollout>,
    removed: BTreeSet<ServiceName>,
    instances_wanted: BTreeMap<String, (InstancesWanted, Generation)>,
    traffic_wanted: BTreeMap<String, (TrafficWanted, Generation)>,
    instances: BTreeMap<String, InstancesSeen>,
    routes: BTreeMap<String, RouteSeen>,
    /// Places whose newest rollout is told under their own name.
    told: BTreeSet<String>,
}

impl View {
    /// Everything about these services.
    pub(super) async fn load(ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Self> {
        let mut read = ctx.read().await?;
        let mut view = Self {
            currents: BTreeMap::new(),
            open: BTreeMap::new(),
            removed: BTreeSet::new(),
            instances_wanted: BTreeMap::new(),
            traffic_wanted: BTreeMap::new(),
            instances: BTreeMap::new(),
            routes: BTreeMap::new(),
            told: BTreeSet::new(),
        };
        for service in services {
            view.add(&mut read, service).await?;
        }
        Ok(view)
    }

    async fn add(&mut self, read: &mut impl Read, service: &ServiceName) -> Result<()> {
        let currents = state::currents_of(read, service).await?;
        self.currents.extend(currents.into_iter().map(|current| (current.place.clone(), current)));
        let open = state::open_rollouts_of(read, service).await?;
        self.open.extend(open.into_iter().map(|rollout| (rollout.place.clone(), rollout)));
        let known: Option<ServiceState> = kernel::latest(read, service.as_str()).await?;
        self.removed.extend(known.filter(|known| known.removed).map(|known| known.service));
        self.instances_wanted.extend(wanted(read, service).await?);
        self.traffic_wanted.extend(wanted(read, service).await?);
        self.instances.extend(seen(read, service).await?);
        self.routes.extend(seen(read, service).await?);
        self.told.extend(kernel::latest_of::<RolloutSeen>(read, service).await?.iter().map(|(fact, _)| fact.subject()));
        Ok(())
    }

    /// Whether others can read how the newest rollout of a place stands.
    pub(super) fn is_told(&self, place: &Place) -> bool {
        self.told.contains(&name(place))
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
        self.removed.contains(&place.service)
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

async fn wanted<F: Fact>(read: &mut impl Read, service: &ServiceName) -> Result<Vec<(String, (F, Generation))>> {
    let facts = kernel::latest_of::<F>(read, service).await?;
    Ok(facts.into_iter().map(|(fact, generation)| (fact.subject(), (fact, generation))).collect())
}

async fn seen<F: Fact>(read: &mut impl Read, service: &ServiceName) -> Result<Vec<(String, F)>> {
    Ok(kernel::latest_of::<F>(read, service).await?.into_iter().map(|(fact, _)| (fact.subject(), fact)).collect())
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
