use std::collections::BTreeSet;

use base::{InstanceId, Result};
use facts::{RouteSeen, place};
use kernel::Ctx;
use ports::InstanceState;

use super::instances::View;
use crate::model::{Key, Known, KnownState};

/// Retired instances that must not be told to end yet: the gateway may still send them requests,
/// or they have some. Patience ends with the drain deadline of the configuration.
pub(crate) async fn busy(ctx: &Ctx, view: &View) -> Result<BTreeSet<InstanceId>> {
    let patience = ctx.platform().config().rollout.drain_deadline.0;
    let now = ctx.now();
    let waits = |known: &&Known| match known.state {
        KnownState::Stopping { since } => now.since(since) < patience && serves(view, known.id),
        _ => false,
    };
    let waiting: Vec<(&Key, &Known)> =
        view.known.iter().flat_map(|(key, all)| all.iter().filter(waits).map(move |known| (key, known))).collect();
    if waiting.is_empty() {
        return Ok(BTreeSet::new());
    }
    let status = ctx.platform().ports().gateway.status().await;
    let mut busy = BTreeSet::new();
    for (key, known) in waiting {
        let requests = match &status {
            Ok(status) => status.in_flight.iter().any(|(id, count)| *id == known.id && *count > 0),
            // Who cannot be asked may be sending.
            Err(_) => true,
        };
        if requests || is_routed(ctx, view, key).await? {
            busy.insert(known.id);
        }
    }
    Ok(busy)
}

/// Whether it has a port and runs.
fn serves(view: &View, id: InstanceId) -> bool {
    view.seen
        .get(&id)
        .is_some_and(|seen| seen.address.is_some() && seen.state.is_running() && seen.state != InstanceState::Stopping)
}

/// Whether the gateway was last seen with more instances of this set than shall stay.
async fn is_routed(ctx: &Ctx, view: &View, key: &Key) -> Result<bool> {
    let route: Option<RouteSeen> =
        kernel::latest(&mut ctx.read().await?, &place(&key.service, &key.environment)).await?;
    let share = route.and_then(|route| route.shares.into_iter().find(|share| share.rollout == key.rollout));
    let staying = view.known.get(key).into_iter().flatten().filter(|known| {
        let seen = view.seen.get(&known.id).map(|seen| &seen.state);
        known.state == KnownState::Wanted && matches!(seen, Some(InstanceState::Ready | InstanceState::Unready))
    });
    Ok(share.is_some_and(|share| usize::try_from(share.instances).unwrap_or(usize::MAX) > staying.count()))
}
