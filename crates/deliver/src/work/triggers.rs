//! Rollouts that nobody asks for in words: a setting of the service changed, a removed service is back.

use std::time::Duration;

use base::{Actor, Result, Time};
use facts::{Fact, SettingChanged};
use kernel::Ctx;

use super::begin::{Wanted, begin as begin_rollout};
use super::look::{Side, View, side};
use crate::model::{Cause, Current, Place, Rollout, Stopped};
use crate::state;

/// Changes of settings that come within this span lead to one rollout.
const SETTLED: Duration = Duration::from_millis(1500);

/// Begins the rollouts that are due. Returns how many.
pub(super) async fn begin(ctx: &Ctx, view: &View) -> Result<usize> {
    let mut begun = 0;
    let changes = changes(ctx).await?;
    for (place, current) in &view.currents {
        if view.open.contains_key(place) || view.removed(place) {
            continue;
        }
        let due = match current.stopped {
            Stopped::Removed => {
                Some((Cause::Restart, "the service was restored".to_owned(), Actor::platform("deliver.rollout")))
            }
            Stopped::Restoring => None,
            Stopped::No => changed(ctx, place, current, &changes).await?,
        };
        if let Some((cause, why, actor)) = due
            && let Some(side) = side(ctx, current.rollout).await?
        {
            start(ctx, current, &side, cause, why, actor).await?;
            begun += 1;
        }
    }
    Ok(begun)
}

/// A change of a setting that belongs to one service.
struct Change {
    fact: SettingChanged,
    at: Time,
    actor: Actor,
}

/// Changes of services' own settings; what holds for the whole installation restarts nothing by itself.
async fn changes(ctx: &Ctx) -> Result<Vec<Change>> {
    let stored = store::facts_latest(&mut ctx.read().await?, SettingChanged::KIND).await?;
    let mut changes = Vec::new();
    for stored in stored {
        let fact: SettingChanged =
            serde_json::from_value(stored.body).map_err(|e| base::Problem::internal("fact-unreadable", e))?;
        if fact.service.is_some() {
            changes.push(Change { fact, at: stored.at, actor: stored.actor });
        }
    }
    Ok(changes)
}

/// Whether a setting changed since what is current was begun, and nobody has rolled out since.
async fn changed(
    ctx: &Ctx,
    place: &Place,
    current: &Current,
    changes: &[Change],
) -> Result<Option<(Cause, String, Actor)>> {
    let ours = |change: &&Change| {
        change.fact.service.as_ref() == Some(&place.service)
            && change.fact.environment.as_ref().is_none_or(|environment| *environment == place.environment)
            && change.at > current.begun
    };
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
