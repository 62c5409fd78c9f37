use std::collections::BTreeMap;

use api::Page;
use api::deliver::{GetRelease, ListReleases, Release as Wire};
use base::{EnvironmentName, Problem, ReleaseId, Result, ServiceName};
use kernel::{Answer, Call, Ctx};
use store::Read;

use super::view;
use crate::model::{Place, Stopped};
use crate::state;

/// Releases, newest first.
pub(crate) async fn list(ctx: Ctx, call: Call<ListReleases>) -> Result<Answer<Page<Wire>>> {
    let size = call.query.size();
    let below = call.query.after.as_deref().map(str::parse::<i64>).transpose().map_err(|_| view::bad_cursor())?;
    let mut read = ctx.read().await?;
    let releases = state::releases(&mut read, &call.path.service, below, size).await?;
    let next = api::next_page(&releases, size, |release| release.number.to_string());
    let current = current_in(&mut read, &call.path.service).await?;
    let items = releases
        .into_iter()
        .map(|release| {
            let current_in = current.get(&release.id).cloned().unwrap_or_default();
            view::release(release, current_in)
        })
        .collect::<Result<_>>()?;
    Ok(Page { items, next }.into())
}

/// One release with all that it takes to run it.
pub(crate) async fn get(ctx: Ctx, call: Call<GetRelease>) -> Result<Answer<Wire>> {
    let (service, number) = (call.path.service, call.path.number);
    let mut read = ctx.read().await?;
    let release = state::release_numbered(&mut read, &service, number).await?.ok_or_else(|| {
        Problem::not_found("release-not-found", format!("`{service}` has no release {number}"))
            .hint("`orlop release list` shows them")
    })?;
    let current = current_in(&mut read, &service).await?;
    let current_in = current.get(&release.id).cloned().unwrap_or_default();
    Ok(view::release(release, current_in)?.into())
}

/// Where each release of a service is current.
async fn current_in(read: &mut impl Read, service: &ServiceName) -> Result<BTreeMap<ReleaseId, Vec<EnvironmentName>>> {
    let mut out: BTreeMap<ReleaseId, Vec<EnvironmentName>> = BTreeMap::new();
    for environment in state::environments(read).await? {
        let place = Place { service: service.clone(), environment };
        let Some(current) = state::current(read, &place).await?.filter(|c| c.stopped == Stopped::No) else { continue };
        if let Some(rollout) = state::rollout(read, current.rollout).await? {
            out.entry(rollout.release).or_default().push(place.environment);
        }
    }
    Ok(out)
}
