//! Rollouts that a person asks for or stops.

use api::deliver::NewRollout;
use base::{EnvironmentName, Problem, Result, RolloutId, ServiceName};
use kernel::{Ctx, Wish};
use ports::SettingRef;
use store::{Read, Tx};

use super::begin::{Wanted, begin, publish};
use super::submit::require_service;
use crate::decide::{Target, target};
use crate::model::{Cause, Place, Release, Rollout, Running, Stopped, one_line, state_word};
use crate::state;

/// Longest reason kept.
const WHY_CHARS_MAX: usize = 500;

/// Begins the rollout that was asked for. Nothing is done until the transaction is committed.
pub(crate) async fn prepare(ctx: &Ctx, service: &ServiceName, asked: NewRollout) -> Result<(Tx, Rollout)> {
    let target = target(&asked)?;
    let (place, known) = place_of(&mut ctx.read().await?, service, &asked.environment).await?;
    let wish = Wish {
        kind: "deliver.rollout",
        subject: facts::place(&place.service, &place.environment),
        body: serde_json::to_value(&asked).unwrap_or_default(),
    };
    ctx.platform().admission().admit(ctx, &wish).await?;
    let now_set = ctx.platform().ports().vault.current(&place.service, &place.environment).await?;
    let mut tx = ctx.begin().await?;
    let Found { release, cause, settings } = find(&mut tx, &place, &target, &known).await?;
    let wanted = Wanted {
        place,
        release: &release,
        cause,
        why: one_line(&asked.reason.unwrap_or_default(), WHY_CHARS_MAX),
        settings: settings.unwrap_or(now_set),
        actor: ctx.actor().clone(),
    };
    let rollout = begin(ctx, &mut tx, wanted).await?;
    Ok((tx, rollout))
}

/// What a rollout would be.
pub(crate) struct Planned {
    pub place: Place,
    pub release: Release,
    pub cause: Cause,
    pub settings: Vec<SettingRef>,
    pub running: Option<Running>,
    /// The rollout under way that it would supersede.
    pub open: Option<RolloutId>,
}

/// What would begin if it were asked for now; the same refusals, and nothing is done.
pub(crate) async fn plan(ctx: &Ctx, service: &ServiceName, asked: NewRollout) -> Result<Planned> {
    let target = target(&asked)?;
    let mut read = ctx.read().await?;
    let (place, known) = place_of(&mut read, service, &asked.environment).await?;
    let Found { release, cause, settings } = find(&mut read, &place, &target, &known).await?;
    let running = running(&mut read, &place).await?;
    let open = state::active_in(&mut read, &place).await?.last().map(|rollout| rollout.id);
    drop(read);
    let settings = match settings {
        Some(settings) => settings,
        None => ctx.platform().ports().vault.current(&place.service, &place.environment).await?,
    };
    Ok(Planned { place, release, cause, settings, running, open })
}

/// The place that is meant, and the environments that there are.
async fn place_of(
    read: &mut impl Read,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<(Place, Vec<EnvironmentName>)> {
    require_service(read, service).await?;
    let known = state::environments(read).await?;
    let environment = require_environment(&known, environment)?;
    Ok((Place { service: service.clone(), environment }, known))
}

struct Found {
    release: Release,
    cause: Cause,
    /// The settings that it had; absent: those of now.
    settings: Option<Vec<SettingRef>>,
}

async fn find(read: &mut impl Read, place: &Place, target: &Target, known: &[EnvironmentName]) -> Result<Found> {
    let (service, environment) = (&place.service, &place.environment);
    match target {
        Target::Release(number) => {
            let release =
                state::release_numbered(read, service, *number).await?.ok_or_else(|| no_release(service, *number))?;
            Ok(Found { release, cause: Cause::Deploy, settings: None })
        }
        Target::From(from) => {
            let from = Place { service: service.clone(), environment: require_environment(known, from)? };
            let running = running(read, &from).await?.ok_or_else(|| nothing_runs(&from))?;
            Ok(Found { release: running.release, cause: Cause::Promotion, settings: None })
        }
        Target::Restart => {
            let running = running(read, place).await?.ok_or_else(|| nothing_runs(place))?;
            Ok(Found { release: running.release, cause: Cause::Restart, settings: None })
        }
        Target::Previous => {
            let not = running(read, place).await?.map(|running| running.release.id);
            let before = state::previous_success(read, place, not, None).await?.ok_or_else(|| {
                Problem::conflict(
                    "nothing-before",
                    format!("no other release of `{service}` ran in {environment} before"),
                )
                .hint("`orlop release list` shows the releases; `orlop rollout start --release N` takes any of them")
            })?;
            Ok(Found {
                release: release_of(read, &before).await?,
                cause: Cause::Rollback,
                settings: Some(before.settings),
            })
        }
        Target::PreviousOf(number) => {
            let before = state::previous_success(read, place, None, Some(*number)).await?.ok_or_else(|| {
                Problem::conflict("never-ran", format!("release {number} of `{service}` never ran in {environment}"))
                    .hint(format!("roll it out with the settings of now: `orlop rollout start --release {number}`"))
            })?;
            Ok(Found {
                release: release_of(read, &before).await?,
                cause: Cause::Rollback,
                settings: Some(before.settings),
            })
        }
    }
}

/// What has the traffic of a place, if it was not ended with its service.
pub(crate) async fn running(read: &mut impl Read, place: &Place) -> Result<Option<Running>> {
    let current = state::current(read, place).await?.filter(|current| current.stopped == Stopped::No);
    let Some(current) = current else { return Ok(None) };
    let Some(rollout) = state::rollout(read, current.rollout).await? else { return Ok(None) };
    let release = state::release(read, rollout.release).await?;
    Ok(release.map(|release| Running { release, rollout, since: current.since }))
}

async fn release_of(read: &mut impl Read, rollout: &Rollout) -> Result<Release> {
    state::release(read, rollout.release).await?.ok_or_else(|| no_release(&rollout.place.service, rollout.number))
}

/// Stops a rollout on somebody's behalf; the reconciler takes it from there.
pub(crate) async fn cancel_rollout(ctx: &Ctx, service: &ServiceName, id: RolloutId) -> Result<(Tx, Rollout)> {
    let mut tx = ctx.begin().await?;
    let found = state::rollout(&mut tx, id).await?.filter(|rollout| rollout.place.service == *service);
    let mut rollout = found.ok_or_else(|| {
        Problem::not_found("rollout-not-found", format!("there is no rollout {id}"))
            .hint("`orlop rollout list` shows them")
    })?;
    if rollout.state.is_final() {
        return Err(Problem::conflict(
            "rollout-ended",
            format!("the rollout has ended: {}", state_word(rollout.state)),
        )
        .hint("take back what it brought: `orlop rollback`"));
    }
    if rollout.cancel.is_none() {
        rollout.cancel = Some(ctx.actor().clone());
        rollout.version = rollout.version.saturating_add(1);
        state::put_rollout(&mut tx, &rollout, false).await?;
        publish(ctx, &mut tx, &rollout).await?;
    }
    Ok((tx, rollout))
}

/// The environment, if there is one of this name.
pub(crate) fn require_environment(known: &[EnvironmentName], wanted: &EnvironmentName) -> Result<EnvironmentName> {
    if known.contains(wanted) {
        return Ok(wanted.clone());
    }
    let names: Vec<&str> = known.iter().map(EnvironmentName::as_str).collect();
    Err(Problem::not_found(
        "environment-not-found",
        format!("there is no environment `{wanted}`; there are: {}", names.join(", ")),
    )
    .hint(format!("use one of them, or add it: `orlop env add {wanted}`")))
}

fn no_release(service: &ServiceName, number: i64) -> Problem {
    Problem::not_found("release-not-found", format!("`{service}` has no release {number}"))
        .hint("`orlop release list` shows them")
}

fn nothing_runs(place: &Place) -> Problem {
    Problem::conflict("nothing-runs", format!("nothing of `{}` runs in {}", place.service, place.environment))
        .hint("deploy first: `orlop deploy`")
}
