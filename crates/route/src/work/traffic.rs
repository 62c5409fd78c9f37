use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, Result};
use facts::{Fact, InstancesSeen, TrafficWanted};
use kernel::{Ctx, Reconciler};
use ports::{GatewayStatus, Route, SNAPSHOT_FORMAT, Snapshot};
use serde::Serialize;

use super::seen;
use crate::decide::{Hosts, hosts, routes};
use crate::model::{Claims, Place};
use crate::state;

/// While requests of a draining instance are under way, or a probe is not answered, the gateway is
/// asked this often.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Brings the gateway to serve what is wanted.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Paces the next run; nothing is decided by it.
    unsettled: AtomicBool,
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    routes: usize,
    generation: Generation,
    applied: bool,
    unsettled: bool,
}

/// Everything a run knows before it decides.
pub(crate) struct View {
    pub wishes: Vec<(TrafficWanted, Generation)>,
    pub instances: Vec<InstancesSeen>,
    claims: Claims,
    before: (Generation, Vec<Route>),
}

/// What the gateway serves after a run.
pub(crate) struct Served {
    pub snapshot: Snapshot,
    pub hosts: Hosts,
    /// Places whose route is another than before this run.
    pub changed: BTreeSet<Place>,
    pub gateway: GatewayStatus,
}

#[async_trait]
impl Reconciler for Traffic {
    const NAME: &'static str = "route.traffic";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[TrafficWanted::KIND, InstancesSeen::KIND];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let view = look(ctx).await?;
        let (served, applied) = apply(ctx, &view).await?;
        let unsettled = seen::publish(ctx, &view, &served).await?;
        self.unsettled.store(unsettled, Ordering::Relaxed);
        Ok(Status { routes: served.snapshot.routes.len(), generation: served.snapshot.generation, applied, unsettled })
    }

    async fn stirred(&self, ctx: &Ctx) {
        if self.unsettled.load(Ordering::Relaxed) {
            ctx.platform().ports().clock.sleep(ASK_AGAIN).await;
        } else {
            std::future::pending().await
        }
    }
}

async fn look(ctx: &Ctx) -> Result<View> {
    let mut read = ctx.read().await?;
    Ok(View {
        wishes: kernel::all_latest::<TrafficWanted>(&mut read).await?,
        instances: kernel::all_latest::<InstancesSeen>(&mut read).await?.into_iter().map(|(s, _)| s).collect(),
        claims: state::claims(&mut read).await?,
        before: state::snapshot(&mut read).await?,
    })
}

/// Decides the snapshot, records it if it is new, and hands it over unless the gateway has it.
async fn apply(ctx: &Ctx, view: &View) -> Result<(Served, bool)> {
    let gateway = &ctx.platform().ports().gateway;
    let status = gateway.status().await?;
    let wishes: Vec<TrafficWanted> = view.wishes.iter().map(|(w, _)| w.clone()).collect();
    let hosts = hosts(&wishes, &view.claims, &ctx.platform().config().domain);
    let routes = routes(&wishes, &view.instances, &hosts);
    let (before, old) = &view.before;
    let changed = changed(old, &routes);
    // A gateway that is ahead has seen a ledger that was lost since; what is decided now must win.
    let newest = (*before).max(status.generation);
    let generation = if changed.is_empty() && newest == *before { *before } else { newest.next() };
    let snapshot = Snapshot { format: SNAPSHOT_FORMAT, generation, routes };
    if generation != *before || hosts.claims != view.claims {
        let mut tx = ctx.begin().await?;
        state::put_claims(&mut tx, &view.claims, &hosts.claims, ctx.now()).await?;
        state::put_snapshot(&mut tx, generation, &snapshot.routes).await?;
        tx.commit().await?;
    }
    let behind = status.generation != generation || status.degraded.is_some();
    if behind && generation > Generation(0) {
        gateway.apply(&snapshot).await?;
    }
    let gateway = if behind { gateway.status().await? } else { status };
    Ok((Served { snapshot, hosts, changed, gateway }, behind))
}

/// The places whose routes differ.
fn changed(old: &[Route], new: &[Route]) -> BTreeSet<Place> {
    let differs = |route: &&Route, others: &[Route]| !others.contains(route);
    let place = |route: &Route| Place { service: route.service.clone(), environment: route.environment.clone() };
    let gone = old.iter().filter(|route| differs(route, new)).map(place);
    gone.chain(new.iter().filter(|route| differs(route, old)).map(place)).collect()
}
