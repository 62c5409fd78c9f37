use api::Page;
use api::catalog::{CountStatus, GetStatus, Health, ListStatus, ServiceStatus, StatusCounts, StatusOrder, StatusQuery};
use base::{Problem, Result, Time};
use kernel::{Answer, Call, Ctx};

use super::board::{self, Board};
use super::services::known;

/// The state of everything the caller may see, as far as it is asked for. Pages are cut among these: a
/// mark would name a hidden service else.
pub(crate) async fn list(board: &Board, ctx: Ctx, call: Call<ListStatus>) -> Result<Answer<Page<ServiceStatus>>> {
    let query = call.query;
    if let Some(field) = query.too_long() {
        let message = format!("at most {} characters are looked for", StatusQuery::TEXT_CHARS_MAX);
        return Err(Problem::unprocessable("bad-parameter", message).at(format!("query.{field}")));
    }
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let search = query.search.as_deref().unwrap_or_default().to_lowercase();
    let services = board.all(&mut ctx.read().await?).await?;
    let mut found: Vec<&ServiceStatus> = services
        .values()
        .filter(|one| one.visible(&ctx) && asked_for(&one.status, &query, &search))
        .map(|one| &one.status)
        .collect();
    match query.sort.unwrap_or_default() {
        StatusOrder::Name => {}
        StatusOrder::Health => found.sort_by_key(|status| worst(status)),
        StatusOrder::Change => found.sort_by_key(|status| std::cmp::Reverse(changed(status))),
        StatusOrder::Team => found.sort_by_key(|status| status.team.clone()),
    }
    let begin = match &query.after {
        None => 0,
        Some(after) => match query.sort.unwrap_or_default() {
            // Also behind a service that is gone by now.
            StatusOrder::Name => found.partition_point(|status| status.service.as_str() <= after.as_str()),
            _ => found.iter().position(|s| s.service.as_str() == after).map_or(found.len(), |at| at.saturating_add(1)),
        },
    };
    let more = found.len() > begin.saturating_add(size);
    let items: Vec<ServiceStatus> = found.into_iter().skip(begin).take(size).cloned().collect();
    let next = items.last().filter(|_| more).map(|status| status.service.to_string());
    Ok(Page { items, next }.into())
}

fn asked_for(status: &ServiceStatus, query: &StatusQuery, search: &str) -> bool {
    query.team.as_ref().is_none_or(|team| *team == status.team)
        && query.kind.as_ref().is_none_or(|kind| status.kind.as_ref() == Some(kind))
        && query.health.is_none_or(|health| status.environments.iter().any(|place| place.health == health))
        && query.crash_loop.is_none_or(|wanted| wanted == status.environments.iter().any(|p| p.crash_loop.is_some()))
        && (search.is_empty()
            || status.service.as_str().contains(search)
            || status.description.to_lowercase().contains(search))
}

/// How much a service needs somebody; less is more.
fn worst(status: &ServiceStatus) -> usize {
    let rank = |health: Health| match health {
        Health::Down => 0,
        Health::Degraded => 1,
        Health::Unknown => 2,
        Health::Changing => 3,
        Health::Healthy => 4,
        Health::Empty => 5,
    };
    status.environments.iter().map(|place| rank(place.health)).min().unwrap_or(6)
}

fn changed(status: &ServiceStatus) -> Option<Time> {
    status.environments.iter().filter_map(|place| place.since).max()
}

/// How much there is in which state.
pub(crate) async fn count(board: &Board, ctx: Ctx, _: Call<CountStatus>) -> Result<Answer<StatusCounts>> {
    let services = board.all(&mut ctx.read().await?).await?;
    let mut counts = StatusCounts::default();
    for one in services.values().filter(|one| one.visible(&ctx)) {
        counts.services = counts.services.saturating_add(1);
        for place in &one.status.environments {
            let count = counts.places.entry(place.health.word().to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    Ok(counts.into())
}

/// The state of one service.
pub(crate) async fn get(ctx: Ctx, call: Call<GetStatus>) -> Result<Answer<ServiceStatus>> {
    let mut read = ctx.read().await?;
    let row = known(&mut read, &call.path.service).await?;
    Ok(board::status(&mut read, &row).await?.into())
}
