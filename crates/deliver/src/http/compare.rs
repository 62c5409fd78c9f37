use api::Page;
use api::deliver::{CompareEnvironments, Comparison};
use base::{EnvironmentName, Result, ServiceName, TeamName};
use facts::{Fact, ServiceState};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::view;
use crate::decide::compare;
use crate::model::{Place, Running};
use crate::{state, work};

/// Most releases told of between two environments.
const AHEAD_MAX: u32 = 20;
/// Names looked through at once.
const BATCH: u32 = 200;

/// What an environment runs of each service beside what another one runs.
pub(crate) async fn compare(ctx: Ctx, call: Call<CompareEnvironments>) -> Result<Answer<Page<Comparison>>> {
    let query = call.query;
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let fits = usize::try_from(size).unwrap_or(usize::MAX);
    let mut read = ctx.read().await?;
    let known = state::environments(&mut read).await?;
    let to = work::require_environment(&known, &call.path.environment)?;
    let from = work::require_environment(&known, &query.from)?;
    let mut after = query.after.unwrap_or_default();
    let mut items: Vec<Comparison> = Vec::new();
    loop {
        let names = match &query.service {
            Some(service) => vec![service.to_string()],
            None => store::subjects_after(&mut read, ServiceState::KIND, &after, BATCH).await?,
        };
        for name in &names {
            let Some((service, team)) = seen(&mut read, &ctx, name).await? else { continue };
            items.extend(one(&mut read, service, team, &from, &to).await?);
            if items.len() > fits {
                break;
            }
        }
        match names.last() {
            Some(last) if query.service.is_none() && items.len() <= fits => after.clone_from(last),
            _ => break,
        }
    }
    let is_more = items.len() > fits;
    items.truncate(fits);
    let next = items.last().filter(|_| is_more).map(|item| item.service.to_string());
    Ok(Page { items, next }.into())
}

/// The service of this name, if it is in use and the caller may see it.
async fn seen(read: &mut impl Read, ctx: &Ctx, name: &str) -> Result<Option<(ServiceName, TeamName)>> {
    let state: Option<ServiceState> = kernel::latest(read, name).await?;
    Ok(state
        .filter(|state| !state.removed && ctx.may_see(&state.team, Some(&state.service)))
        .map(|state| (state.service, state.team)))
}

/// Nothing where the service runs in neither of them.
async fn one(
    read: &mut impl Read,
    service: ServiceName,
    team: TeamName,
    from: &EnvironmentName,
    to: &EnvironmentName,
) -> Result<Option<Comparison>> {
    let at = |environment: &EnvironmentName| Place { service: service.clone(), environment: environment.clone() };
    let (from, place) = (work::running(read, &at(from)).await?, at(to));
    let to = work::running(read, &place).await?;
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let rollout = state::active_in(read, &place).await?.last().map(|rollout| rollout.id);
    let (mut ahead, mut behind) = (Vec::new(), 0);
    let (mut settings, mut needs) = (Vec::new(), Vec::new());
    if let (Some(from), Some(to)) = (&from, &to) {
        let (newer, older) = (from.release.number, to.release.number);
        behind = newer.saturating_sub(older);
        let releases = state::releases(read, &service, Some(newer.saturating_add(1)), AHEAD_MAX).await?;
        ahead = releases.iter().filter(|release| release.number > older).map(|r| view::standing(r, None)).collect();
        settings = compare::settings(&from.rollout.settings, &to.rollout.settings);
        needs = compare::needs(&from.release.spec.needs, &to.release.spec.needs);
    }
    let standing = |running: &Running| view::standing(&running.release, Some(running.since));
    Ok(Some(Comparison {
        to: to.as_ref().map(standing),
        from: from.as_ref().map(standing),
        service,
        team,
        ahead,
        behind,
        settings,
        needs,
        rollout,
    }))
}
