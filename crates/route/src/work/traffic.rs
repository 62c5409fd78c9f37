use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, HostName, Result, ServiceName};
use facts::{Fact, InstancesSeen, TrafficWanted};
use kernel::{Ctx, Outcome, ServiceReconciler};
use ports::{Route, SNAPSHOT_FORMAT, Snapshot, SnapshotChange};
use serde::Serialize;
use store::Read;

use super::seen;
use crate::decide::{Hosts, hosts, routes};
use crate::model::{Claims, Place, Table};
use crate::state;

/// While requests of a draining instance are under way, or a probe is not answered, the gateway is
/// asked this often.
const ASK_AGAIN: Duration = Duration::from_millis(300);
/// Services read at once while the routes are written down one by one for the first time.
const FIRST: u32 = 1_000;

/// Brings the gateway to serve what is wanted.
pub(crate) struct Traffic;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    places: usize,
    changed: usize,
    generation: Generation,
    handed_over: HandedOver,
    unsettled: usize,
}

/// How the gateway got what it lacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum HandedOver {
    /// It lacked nothing.
    #[default]
    Nothing,
    /// It got the routes that differ.
    Change,
    /// It got all of them.
    Whole,
}

/// Everything a run knows of its services before it decides.
#[derive(Default)]
pub(crate) struct View {
    pub wishes: Vec<(TrafficWanted, Generation)>,
    pub instances: Vec<InstancesSeen>,
    /// The host names that these services have or ask for.
    claims: Claims,
    waiting: BTreeSet<(HostName, Place)>,
    /// The routes as they were last decided.
    before: BTreeMap<Place, (Generation, Option<Route>)>,
}

/// What was decided.
pub(crate) struct Decision {
    pub hosts: Hosts,
    /// The routes of the places that are looked at, each with the generation it came with.
    pub routes: BTreeMap<Place, (Generation, Option<Route>)>,
    table: Table,
    changed: usize,
}

#[async_trait]
impl ServiceReconciler for Traffic {
    const NAME: &'static str = "route.traffic";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[TrafficWanted::KIND, InstancesSeen::KIND];
    const SUBJECTS: &'static str = TrafficWanted::KIND;
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Status>> {
        let gateway = ctx.platform().ports().gateway.status().await?;
        let table = state::table(&mut ctx.read().await?).await?;
        let view = look(ctx, services, table).await?;
        let decision = decide(ctx, &view, table, gateway.generation);
        record(ctx, &view, table, &decision).await?;
        let handed_over = hand_over(ctx, decision.table, gateway.generation).await?;
        let gateway = match handed_over {
            HandedOver::Nothing => gateway,
            _ => ctx.platform().ports().gateway.status().await?,
        };
        let unsettled = seen::publish(ctx, services, &view, &decision, &gateway).await?;
        let status = Status {
            places: view.wishes.len(),
            changed: decision.changed,
            generation: decision.table.generation,
            handed_over,
            unsettled: unsettled.len(),
        };
        Ok(Outcome { status, again: unsettled.into_iter().map(|service| (service, ASK_AGAIN)).collect() })
    }
}

async fn look(ctx: &Ctx, services: &BTreeSet<ServiceName>, table: Table) -> Result<View> {
    let mut read = ctx.read().await?;
    let mut services = services.clone();
    if table.since == Generation(0) {
        services.extend(everyone(&mut read).await?);
    }
    let mut view = View::default();
    // Who waits for a name that one of these has is looked at with it: it may become free.
    for service in services.clone() {
        let claims = state::claims_of(&mut read, &service).await?;
        for host in claims.keys() {
            services.extend(state::waiting_for(&mut read, host).await?);
        }
        view.claims.extend(claims);
    }
    for service in &services {
        view.add(&mut read, service).await?;
    }
    for host in view.wishes.iter().flat_map(|(wish, _)| &wish.hosts) {
        if let Some(owner) = state::claim(&mut read, host).await? {
            view.claims.insert(host.clone(), owner);
        }
    }
    Ok(view)
}

impl View {
    async fn add(&mut self, read: &mut impl Read, service: &ServiceName) -> Result<()> {
        let wishes = kernel::latest_of::<TrafficWanted>(read, service).await?;
        self.wishes.extend(wishes);
        let instances = kernel::latest_of::<InstancesSeen>(read, service).await?;
        self.instances.extend(instances.into_iter().map(|(seen, _)| seen));
        self.claims.extend(state::claims_of(read, service).await?);
        self.waiting.extend(state::waiting_of(read, service).await?);
        self.before.extend(state::routes_of(read, service).await?);
        Ok(())
    }
}

/// Every service that was ever to have traffic.
async fn everyone(read: &mut impl Read) -> Result<BTreeSet<ServiceName>> {
    let mut services = BTreeSet::new();
    let mut after = String::new();
    loop {
        let subjects = store::subjects_after(read, TrafficWanted::KIND, &after, FIRST).await?;
        let Some(last) = subjects.last() else { return Ok(services) };
        after.clone_from(last);
        services.extend(subjects.iter().filter_map(|subject| subject.split('/').next()?.parse::<ServiceName>().ok()));
    }
}

fn decide(ctx: &Ctx, view: &View, before: Table, gateway: Generation) -> Decision {
    let wishes: Vec<TrafficWanted> = view.wishes.iter().map(|(wish, _)| wish.clone()).collect();
    let hosts = hosts(&wishes, &view.claims, &ctx.platform().config().domain);
    let mut decided: BTreeMap<Place, Option<Route>> = wishes.iter().map(|wish| (place_of(wish), None)).collect();
    for route in routes(&wishes, &view.instances, &hosts) {
        decided.insert(Place { service: route.service.clone(), environment: route.environment.clone() }, Some(route));
    }
    let was = |place: &Place| view.before.get(place).and_then(|(_, route)| route.as_ref());
    let changed = decided.iter().filter(|(place, route)| route.as_ref() != was(place)).count();
    // A gateway that is ahead has seen a ledger that was lost since; what is decided now must win.
    let is_ahead = gateway > before.generation;
    let generation = if changed > 0 || is_ahead { before.generation.max(gateway).next() } else { before.generation };
    let since = if is_ahead || before.since == Generation(0) { generation } else { before.since };
    let routes = decided.into_iter().map(|(place, route)| {
        let known = view.before.get(&place).filter(|(_, before)| *before == route).map(|(generation, _)| *generation);
        let none = if route.is_none() { Generation(0) } else { generation };
        let is_new = route.as_ref() != was(&place);
        let at = known.unwrap_or(if is_new { generation } else { none });
        (place, (at, route))
    });
    let routes = routes.collect();
    Decision { hosts, routes, table: Table { generation, since }, changed }
}

fn place_of(wish: &TrafficWanted) -> Place {
    Place { service: wish.service.clone(), environment: wish.environment.clone() }
}

/// Records what is new, before the gateway hears of it.
async fn record(ctx: &Ctx, view: &View, before: Table, decision: &Decision) -> Result<()> {
    let Decision { hosts, routes, table, .. } = decision;
    if *table == before && hosts.claims == view.claims && hosts.waiting == view.waiting {
        return Ok(());
    }
    let mut tx = ctx.begin().await?;
    for (place, (generation, route)) in routes.iter().filter(|(_, (generation, _))| *generation == table.generation) {
        if view.before.get(place).is_none_or(|(known, _)| known != generation) {
            state::put_route(&mut tx, place, *generation, route.as_ref()).await?;
        }
    }
    state::put_claims(&mut tx, &view.claims, &hosts.claims, ctx.now()).await?;
    state::put_waiting(&mut tx, &view.waiting, &hosts.waiting).await?;
    state::put_table(&mut tx, *table).await?;
    tx.commit().await
}

/// Gives the gateway what it lacks: what was decided after the generation that it serves, or all of
/// it where it serves something else.
async fn hand_over(ctx: &Ctx, table: Table, served: Generation) -> Result<HandedOver> {
    if served == table.generation {
        return Ok(HandedOver::Nothing);
    }
    let gateway = &ctx.platform().ports().gateway;
    let (format, generation) = (SNAPSHOT_FORMAT, table.generation);
    if served >= table.since && served > Generation(0) && served < generation {
        let (routes, gone) = state::routes_since(&mut ctx.read().await?, served).await?;
        match gateway.change(&SnapshotChange { format, base: served, generation, routes, gone }).await {
            Err(problem) if problem.code == "other-base" => {}
            done => return done.map(|_| HandedOver::Change),
        }
    }
    let routes = state::routes(&mut ctx.read().await?).await?;
    gateway.apply(&Snapshot { format, generation, routes }).await?;
    Ok(HandedOver::Whole)
}
