//! A rollout begins, and changes.

use base::{Actor, Result, RolloutId};
use facts::{InstancesWanted, RolloutSeen, TrafficWanted, place as subject};
use kernel::Ctx;
use ports::SettingRef;
use store::Tx;

use super::limits;
use crate::decide::{Pointer, Step, begin as first_step, resumed, superseded};
use crate::model::{Cause, Current, Place, Release, Rollout, Stopped};
use crate::state;

/// What shall be rolled out.
pub(super) struct Wanted<'a> {
    pub place: Place,
    pub release: &'a Release,
    pub cause: Cause,
    pub why: String,
    /// The versions that it runs with.
    pub settings: Vec<SettingRef>,
    pub actor: Actor,
}

/// Records a new rollout. One that is under way in the same place is superseded at once.
pub(super) async fn begin(ctx: &Ctx, tx: &mut Tx, wanted: Wanted<'_>) -> Result<Rollout> {
    let now = ctx.now();
    let id = ctx.new_id(RolloutId::new);
    for old in state::active_in(tx, &wanted.place).await? {
        let step = superseded(&old, &format!("release {}, {id}", wanted.release.number), now);
        apply(ctx, tx, old, step).await?;
    }
    let current = state::current(tx, &wanted.place).await?.filter(|current| current.stopped == Stopped::No);
    let Step { state, step, since, reason, evidence, next, deadline, .. } = first_step(now, &limits(ctx));
    let rollout = Rollout {
        id,
        place: wanted.place,
        release: wanted.release.id,
        number: wanted.release.number,
        cause: wanted.cause,
        why: wanted.why,
        state,
        step,
        reason,
        evidence,
        since,
        next,
        deadline,
        before: current.map(|current| current.rollout),
        crashes: 0,
        fault: None,
        cancel: None,
        settings: wanted.settings,
        created: now,
        ended: None,
        actor: wanted.actor,
        version: 1,
    };
    state::insert_rollout(tx, &rollout).await?;
    publish(ctx, tx, &rollout).await?;
    Ok(rollout)
}

/// Records what a rollout has become, with what is current by it, and tells everybody.
pub(super) async fn apply(ctx: &Ctx, tx: &mut Tx, rollout: Rollout, step: Step) -> Result<Rollout> {
    let new_state = rollout.state != step.state;
    record(ctx, tx, rollout, step, new_state).await
}

/// The state that a rollout is in begins anew, and its history says so. What its place wants is wished anew as well:
/// what others saw before they stopped looking was measured against the wish before, and counts no more.
pub(super) async fn resume(ctx: &Ctx, tx: &mut Tx, rollout: Rollout) -> Result<Rollout> {
    let place = subject(&rollout.place.service, &rollout.place.environment);
    if let Some(wish) = kernel::latest::<InstancesWanted>(tx, &place).await? {
        ctx.publish(tx, &wish).await?;
    }
    if let Some(wish) = kernel::latest::<TrafficWanted>(tx, &place).await? {
        ctx.publish(tx, &wish).await?;
    }
    let step = resumed(&rollout, ctx.now());
    record(ctx, tx, rollout, step, true).await
}

async fn record(ctx: &Ctx, tx: &mut Tx, mut rollout: Rollout, step: Step, in_history: bool) -> Result<Rollout> {
    if let Some(pointer) = step.pointer {
        point(ctx, tx, &rollout, pointer).await?;
    }
    rollout.state = step.state;
    rollout.step = step.step;
    rollout.since = step.since;
    rollout.reason = step.reason;
    rollout.evidence = step.evidence;
    rollout.next = step.next;
    rollout.deadline = step.deadline;
    rollout.crashes = step.crashes;
    rollout.fault = step.fault;
    rollout.ended = rollout.state.is_final().then_some(rollout.since);
    rollout.version = rollout.version.saturating_add(1);
    state::put_rollout(tx, &rollout, in_history).await?;
    publish(ctx, tx, &rollout).await?;
    Ok(rollout)
}

/// Records whose instances have the traffic now.
async fn point(ctx: &Ctx, tx: &mut Tx, rollout: &Rollout, pointer: Pointer) -> Result<()> {
    let before = state::current(tx, &rollout.place).await?;
    let to = match pointer {
        Pointer::New => Some(rollout.id),
        Pointer::Before => rollout.before,
    };
    match (to, before) {
        (Some(to), Some(before)) if before.rollout == to && before.stopped == Stopped::No => Ok(()),
        (Some(to), _) => {
            let (place, now) = (rollout.place.clone(), ctx.now());
            state::put_current(tx, &Current { place, rollout: to, since: now, stopped: Stopped::No, begun: now }).await
        }
        // What was there before a service was removed is not touched by a rollout that failed.
        (None, Some(before)) if before.rollout == rollout.id => state::remove_current(tx, &rollout.place).await,
        (None, _) => Ok(()),
    }
}

/// Tells everybody how a rollout stands.
pub(super) async fn publish(ctx: &Ctx, tx: &mut Tx, rollout: &Rollout) -> Result<()> {
    let seen = RolloutSeen {
        rollout: rollout.id,
        service: rollout.place.service.clone(),
        environment: rollout.place.environment.clone(),
        release: rollout.release,
        number: rollout.number,
        state: rollout.state,
        reason: rollout.reason.clone(),
        evidence: rollout.evidence.clone(),
        since: rollout.since,
        next: rollout.next.clone(),
        deadline: rollout.deadline,
    };
    ctx.publish(tx, &seen).await.map(drop)
}
