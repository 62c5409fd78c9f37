use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, ServiceName};
use facts::{
    Fact, InstancesSeen, InstancesWanted, RolloutSeen, RouteSeen, ServiceState, SettingChanged, TrafficWanted,
};
use kernel::{Ctx, Outcome, ServiceReconciler};
use serde::Serialize;
use store::{Read, Tx};

use super::begin::{apply, publish as tell};
use super::look::{Side, View, side};
use super::{limits, triggers};
use crate::decide::{Before, Case, Limits, Pointer, Seen, Step, Wishes, check, decide, stopped, wishes};
use crate::model::{Current, Place, Rollout, Stopped};
use crate::state;

/// A rollout can pass through so many states in one run.
const ROUNDS_MAX: usize = 12;
/// While a rollout is under way time alone may change its state: deadlines, spans of watching.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A place where something went wrong is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Carries rollouts on, and keeps what is current wanted.
pub(crate) struct Rollouts;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    places: usize,
    under_way: usize,
    changed: usize,
    begun: usize,
    /// Places where something went wrong; it is tried again.
    troubled: Vec<String>,
}

#[async_trait]
impl ServiceReconciler for Rollouts {
    const NAME: &'static str = "deliver.rollout";
    const EVERY: Duration = Duration::from_secs(2);
    const WAKES: &'static [&'static str] =
        &[InstancesSeen::KIND, RouteSeen::KIND, SettingChanged::KIND, ServiceState::KIND, RolloutSeen::KIND];
    const SUBJECTS: &'static str = InstancesWanted::KIND;
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Outcome<Status>> {
        let mut status = Status::default();
        let mut services = services.clone();
        services.extend(state::services_under_way(&mut ctx.read().await?).await?);
        let mut view = View::load(ctx, &services).await?;
        let triggers::Begun { begun, mut again } = triggers::begin(ctx, &view).await?;
        status.begun = begun;
        let mut left: Vec<Place> = view.places();
        status.places = left.len();
        for _ in 0..ROUNDS_MAX {
            let mut moved = Vec::new();
            for place in left {
                match settle(ctx, &view, &place).await {
                    Ok(true) => moved.push(place),
                    Ok(false) => {}
                    Err(problem) => {
                        tracing::warn!(service = %place.service, environment = %place.environment, %problem, "a rollout could not be carried on");
                        status.troubled.push(format!("{}/{}: {problem}", place.service, place.environment));
                        again.entry(place.service).or_insert(TRY_AGAIN);
                    }
                }
            }
            status.changed += moved.len();
            if moved.is_empty() {
                break;
            }
            let moved_on: BTreeSet<ServiceName> = moved.iter().map(|place| place.service.clone()).collect();
            left = moved;
            view = View::load(ctx, &moved_on).await?;
        }
        let under_way = state::services_under_way(&mut ctx.read().await?).await?;
        status.under_way = under_way.len();
        again.extend(under_way.into_iter().map(|service| (service, LOOK_AGAIN)));
        Ok(Outcome { status, again })
    }
}

/// Brings one place a step on. Returns whether something changed.
async fn settle(ctx: &Ctx, view: &View, place: &Place) -> Result<bool> {
    if view.removed(place) {
        return remove(ctx, view, place).await;
    }
    match view.open.get(place) {
        Some(rollout) => carry_on(ctx, view, place, rollout).await,
        None => keep(ctx, view, place).await,
    }
}

/// The service is gone: whatever is under way ends, and nothing is wanted.
async fn remove(ctx: &Ctx, view: &View, place: &Place) -> Result<bool> {
    let open = match view.open.get(place) {
        Some(rollout) => side(ctx, rollout.id).await?.map(|side| (rollout, side)),
        None => None,
    };
    let mut tx = ctx.begin().await?;
    let mut changed = false;
    if let Some((rollout, side)) = open {
        let limits = limits(ctx);
        let seen = Seen { removed: true, ..Seen::default() };
        let step = decide(&Case { now: ctx.now(), ..case(rollout, &side, None, seen, &limits) });
        changed |= advance(ctx, &mut tx, rollout, step).await?;
    }
    if let Some(current) = state::current(&mut tx, place).await?.filter(|current| current.stopped != Stopped::Removed) {
        state::put_current(&mut tx, &Current { stopped: Stopped::Removed, since: ctx.now(), ..current }).await?;
        changed = true;
    }
    changed |= publish(ctx, &mut tx, view, place, &stopped(place)).await?;
    if changed {
        tx.commit().await?;
    }
    Ok(changed)
}

/// Nothing is under way: what is current is wanted, and nothing else.
async fn keep(ctx: &Ctx, view: &View, place: &Place) -> Result<bool> {
    let Some(current) = view.currents.get(place) else { return Ok(false) };
    if !view.is_told(place) {
        return tell_newest(ctx, place).await;
    }
    if current.stopped == Stopped::No && is_kept(view, place, current) {
        return Ok(false);
    }
    let wanted = match current.stopped {
        Stopped::No => side(ctx, current.rollout).await?.map(|side| wishes(place, Some(&side.party), None)),
        Stopped::Removed | Stopped::Restoring => None,
    };
    let wanted = wanted.unwrap_or_else(|| stopped(place));
    let mut tx = ctx.begin().await?;
    // A rollout may have begun since the view was taken.
    if !state::active_in(&mut tx, place).await?.is_empty() {
        return Ok(true);
    }
    let changed = publish(ctx, &mut tx, view, place, &wanted).await?;
    if changed {
        tx.commit().await?;
    }
    Ok(changed)
}

/// Ledgers of earlier versions know rollouts by their id only: the newest of the place is told once more.
async fn tell_newest(ctx: &Ctx, place: &Place) -> Result<bool> {
    let mut tx = ctx.begin().await?;
    let Some(newest) = state::latest_in(&mut tx, place).await? else { return Ok(false) };
    tell(ctx, &mut tx, &newest).await?;
    tx.commit().await?;
    Ok(true)
}

/// Whether exactly the current rollout is wanted already. Spares the look at its release.
fn is_kept(view: &View, place: &Place, current: &Current) -> bool {
    let alone =
        |ids: &mut dyn Iterator<Item = base::RolloutId>| ids.next() == Some(current.rollout) && ids.next().is_none();
    let instances = view.instances_wanted(place).is_some_and(|(w, _)| alone(&mut w.sets.iter().map(|set| set.rollout)));
    let traffic = view.traffic_wanted(place).is_some_and(|(w, _)| {
        w.closed
            || (alone(&mut w.shares.iter().map(|share| share.rollout)) && w.shares.iter().all(|share| share.weight > 0))
    });
    instances && traffic
}

async fn carry_on(ctx: &Ctx, view: &View, place: &Place, rollout: &Rollout) -> Result<bool> {
    let Some(new) = side(ctx, rollout.id).await? else { return Ok(false) };
    let old = match rollout.before {
        Some(before) => side(ctx, before).await?,
        None => None,
    };
    let old_party = old.as_ref().map(|side| &side.party);
    let services = needed(&mut ctx.read().await?, &new).await?;
    let refused = check(&new.release.spec, place, &services, &rollout.settings).err();
    let now_wanted = wishes(place, old_party, Some((&new.party, rollout.state, rollout.step)));
    let believed = is_published(view, place, &now_wanted);
    let seen = Seen {
        instances: view.instances(place).filter(|_| believed),
        route: view.route(place).filter(|_| believed),
        removed: false,
    };
    let limits = limits(ctx);
    let case = Case { refused: refused.as_ref(), now: ctx.now(), ..case(rollout, &new, old.as_ref(), seen, &limits) };
    let step = decide(&case);
    let wanted = match step.state.is_final() {
        false => wishes(place, old_party, Some((&new.party, step.state, step.step))),
        true => at_the_end(ctx, place, rollout, &step, &new, old.as_ref()).await?,
    };
    let mut tx = ctx.begin().await?;
    if state::rollout(&mut tx, rollout.id).await?.is_none_or(|now| now.version != rollout.version) {
        // Somebody superseded or stopped it meanwhile: look again.
        return Ok(true);
    }
    let advanced = advance(ctx, &mut tx, rollout, step).await?;
    let published = publish(ctx, &mut tx, view, place, &wanted).await?;
    if advanced || published {
        tx.commit().await?;
    }
    Ok(advanced || published)
}

/// What a place wants once its rollout is over: what is current by then.
async fn at_the_end(
    ctx: &Ctx,
    place: &Place,
    rollout: &Rollout,
    step: &Step,
    new: &Side,
    old: Option<&Side>,
) -> Result<Wishes> {
    let current = state::current(&mut ctx.read().await?, place).await?.filter(|current| current.stopped == Stopped::No);
    let is_new = current.is_some_and(|current| current.rollout == rollout.id) && step.pointer != Some(Pointer::Before);
    let party = if is_new { Some(&new.party) } else { old.map(|side| &side.party) };
    Ok(wishes(place, party, None))
}

/// What the decision depends on, but for checks and time.
fn case<'a>(
    rollout: &'a Rollout,
    new: &'a Side,
    old: Option<&'a Side>,
    seen: Seen<'a>,
    limits: &'a Limits,
) -> Case<'a> {
    Case {
        rollout,
        set: &new.party.set,
        takes_traffic: new.party.takes_traffic,
        has_task: new.party.task.is_some(),
        before: old.map(|side| Before { set: &side.party.set, takes_traffic: side.party.takes_traffic }),
        refused: None,
        seen,
        now: base::Time::default(),
        limits,
    }
}

/// The services that a release needs and that are there.
async fn needed(read: &mut impl Read, new: &Side) -> Result<BTreeSet<ServiceName>> {
    let mut there = BTreeSet::new();
    for need in new.release.spec.needs.values() {
        if let api::manifest::Need::Service(service) = need {
            let known: Option<ServiceState> = kernel::latest(read, service.as_str()).await?;
            there.extend(known.filter(|known| !known.removed).map(|known| known.service));
        }
    }
    Ok(there)
}

/// Records a step if it says something new.
async fn advance(ctx: &Ctx, tx: &mut Tx, rollout: &Rollout, step: Step) -> Result<bool> {
    let same = step.state == rollout.state
        && step.step == rollout.step
        && step.reason == rollout.reason
        && step.evidence == rollout.evidence
        && step.deadline == rollout.deadline;
    if same {
        return Ok(false);
    }
    apply(ctx, tx, rollout.clone(), step).await?;
    Ok(true)
}

fn is_published(view: &View, place: &Place, wishes: &Wishes) -> bool {
    view.instances_wanted(place).is_some_and(|(wish, _)| *wish == wishes.instances)
        && view.traffic_wanted(place).is_some_and(|(wish, _)| *wish == wishes.traffic)
}

/// Publishes the wishes that are new.
async fn publish(ctx: &Ctx, tx: &mut Tx, view: &View, place: &Place, wishes: &Wishes) -> Result<bool> {
    let instances: Option<&InstancesWanted> = view.instances_wanted(place).map(|(wish, _)| wish);
    let traffic: Option<&TrafficWanted> = view.traffic_wanted(place).map(|(wish, _)| wish);
    let mut changed = false;
    if instances != Some(&wishes.instances) {
        ctx.publish(tx, &wishes.instances).await?;
        changed = true;
    }
    if traffic != Some(&wishes.traffic) {
        ctx.publish(tx, &wishes.traffic).await?;
        changed = true;
    }
    Ok(changed)
}
