//! Rollouts that nobody asks for in words: a setting of the service changed, a removed service is back.

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Actor, Result, ServiceName, Time};
use facts::{Fact, SettingChanged};
use kernel::Ctx;

use super::begin::{Wanted, begin as begin_rollout};
use super::look::{Side, View, side};
use crate::model::{Cause, Current, Place, Rollout, Stopped};
use crate::state;

/// Changes of settings that come within this span lead to one rollout.
const SETTLED: Duration = Duration::from_millis(1500);

/// What was begun.
pub(super) struct Begun {
    pub begun: usize,
    /// Services whose changes have not settled yet.
    pub again: BTreeMap<ServiceName, Duration>,
}

/// Begins the rollouts that are due.
pub(super) async fn begin(ctx: &Ctx, view: &View) -> Result<Begun> {
    let mut out = Begun { begun: 0, again: BTreeMap::new() };
    let mut changes = (None, Vec::new());
    for (place, current) in &view.currents {
        if view.open.contains_key(place) || view.removed(place) {
            continue;
        }
        let due = match current.stopped {
            Stopped::Removed => {
                Some((Cause::Restart, "the service was restored".to_owned(), Actor::platform("deliver.rollout")))
            }
            Stopped::Restoring => None,
            Stopped::No => {
                if changes.0.as_ref() != Some(&place.service) {
                    changes = (Some(place.service.clone()), changes_of(ctx, &place.service).await?);
                }
                if let Some(left) = unsettled(ctx, place, current, &changes.1) {
                    out.again.insert(place.service.clone(), left);
                }
                changed(ctx, place, current, &changes.1).await?
            }
        };
        if let Some((cause, why, actor)) = due
            && let Some(side) = side(ctx, current.rollout).await?
        {
            start(ctx, current, &side, cause, why, actor).await?;
            out.begun += 1;
        }
    }
    Ok(out)
}

/// A change of a setting that belongs to one service.
struct Change {
    fact: SettingChanged,
    at: Time,
    actor: Actor,
}

impl Change {
    /// Whether it concerns a place and came after what runs there was begun.
    fn is_of(&self, place: &Place, current: &Current) -> bool {
        self.fact.service.as_ref() == Some(&place.service)
            && self.fact.environment.as_ref().is_none_or(|environment| *environment == place.environment)
            && self.at > current.begun
    }
}

/// Changes of a service's own settings; what holds for the whole installation restarts nothing by itself.
async fn changes_of(ctx: &Ctx, service: &ServiceName) -> Result<Vec<Change>> {
    let mut read = ctx.read().await?;
    let stored = store::facts_latest_beneath(&mut read, SettingChanged::KIND, service.as_str()).await?;
    stored
        .into_iter()
        .map(|stored| {
            let fact =
                serde_json::from_value(stored.body).map_err(|e| base::Problem::internal("fact-unreadable", e))?;
            Ok(Change { fact, at: stored.at, actor: stored.actor })
        })
        .collect()
}

/// How long until the newest change of a place has settled, if it has not.
fn unsettled(ctx: &Ctx, place: &Place, current: &Current, changes: &[Change]) -> Option<Duration> {
    let newest = changes.iter().filter(|change| change.is_of(place, current)).map(|change| change.at).max()?;
    SETTLED.checked_sub(ctx.now().since(newest)).filter(|left| !left.is_zero())
}

/// Whether a setting changed since what is current was begun, and nobody has rolled out since.
async fn changed(
    ctx: &Ctx,
    place: &Place,
    current: &Current,
    changes: &[Change],
) -> Result<Option<(Cause, String, Actor)>> {
    let ours = |change: &&Change| change.is_of(place, current);
    let Some(newest) = changes.iter().filter(ours).max_by_key(|change| change.at) else { return Ok(None) };
    if ctx.now().since(newest.at) < SETTLED {
        return Ok(None);
    }
    let mut read = ctx.read().await?;
    let latest = state::latest_in(&mut read, place).await?;
    if latest.is_none_or(|latest| latest.created > newest.at) {
        return Ok(None);
    }
    let Some(running) = state::rollout(&mut read, current.rollout).await? else { return Ok(None) };
    let names: Vec<String> = changes
        .iter()
        .filter(ours)
        .filter(|change| differs(&running, &change.fact))
        .map(|change| change.fact.name.to_string())
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    Ok(Some((Cause::Settings, format!("changed: {}", names.join(", ")), newest.actor.clone())))
}

/// Whether a rollout runs with another version than the one that holds now.
fn differs(running: &Rollout, change: &SettingChanged) -> bool {
    let bound = running.settings.iter().find(|setting| {
        setting.name == change.name && setting.service == change.service && setting.environment == change.environment
    });
    match bound {
        Some(bound) => change.removed || bound.version != change.version,
        None => !change.removed,
    }
}

async fn start(ctx: &Ctx, current: &Current, side: &Side, cause: Cause, why: String, actor: Actor) -> Result<()> {
    let place = &current.place;
    let settings = ctx.platform().ports().vault.current(&place.service, &place.environment).await?;
    let mut tx = ctx.begin().await?;
    if !state::active_in(&mut tx, place).await?.is_empty() {
        return Ok(());
    }
    if current.stopped == Stopped::Removed {
        let restoring = Current { stopped: Stopped::Restoring, ..current.clone() };
        state::put_current(&mut tx, &restoring).await?;
    }
    begin_rollout(ctx, &mut tx, Wanted { place: place.clone(), release: &side.release, cause, why, settings, actor })
        .await?;
    tx.commit().await
}
