use api::observe::{ListMetrics, PlaceMetrics};
use api::{Page, PageQuery};
use base::limits::PAGE_ITEMS_MAX;
use base::{Problem, Result, ServiceName};
use facts::{Fact as _, ServiceState};
use kernel::{Answer, Call, Ctx};
use store::Read;

use crate::{decide, work};

/// Names read at once.
const BATCH: u32 = 500;

/// What every place that the caller may see does now.
pub(crate) async fn list(ctx: Ctx, call: Call<ListMetrics>) -> Result<Answer<Page<PlaceMetrics>>> {
    let query = call.query;
    let window = decide::overview(ctx.now(), query.window);
    let (services, next) = match &query.services {
        Some(names) => (named(&ctx, names).await?, None),
        None => page(&ctx, &PageQuery { limit: query.limit, after: query.after }).await?,
    };
    let (mut items, mut read) = (Vec::new(), ctx.read().await?);
    for service in &services {
        let (places, history) = work::requests(&ctx, &mut read, service, window).await?;
        let meant = places.iter().filter(|place| query.environment.as_ref().is_none_or(|wanted| wanted == *place));
        items.extend(meant.map(|place| decide::place(service, place, &history)));
    }
    Ok(Page { items, next }.into())
}

/// Those of the named services that the caller may see; the others are as if they did not exist.
async fn named(ctx: &Ctx, names: &str) -> Result<Vec<ServiceName>> {
    let most = usize::try_from(PAGE_ITEMS_MAX).unwrap_or(usize::MAX);
    let mut services = Vec::new();
    let mut read = ctx.read().await?;
    for (at, name) in names.split(',').enumerate() {
        if at == most {
            return Err(Problem::unprocessable("too-many-services", format!("more than {most} services are named"))
                .at("query.services"));
        }
        let Ok(service) = name.parse::<ServiceName>() else { continue };
        if is_seen(ctx, &mut read, &service).await? {
            services.push(service);
        }
    }
    Ok(services)
}

/// A page of the services that the caller may see, by name. The mark is a service that was shown: of
/// what is hidden nothing is told.
async fn page(ctx: &Ctx, query: &PageQuery) -> Result<(Vec<ServiceName>, Option<String>)> {
    let size = usize::try_from(query.size()).unwrap_or(usize::MAX);
    let mut after = query.after.clone().unwrap_or_default();
    let mut seen: Vec<ServiceName> = Vec::new();
    let mut read = ctx.read().await?;
    while seen.len() <= size {
        let names = store::subjects_after(&mut read, ServiceState::KIND, &after, BATCH).await?;
        let Some(last) = names.last() else { break };
        after.clone_from(last);
        for name in &names {
            let Ok(service) = name.parse::<ServiceName>() else { continue };
            if is_seen(ctx, &mut read, &service).await? {
                seen.push(service);
            }
        }
    }
    let is_more = seen.len() > size;
    seen.truncate(size);
    let next = seen.last().filter(|_| is_more).map(ToString::to_string);
    Ok((seen, next))
}

async fn is_seen(ctx: &Ctx, read: &mut impl Read, service: &ServiceName) -> Result<bool> {
    let state = kernel::latest::<ServiceState>(read, service.as_str()).await?;
    Ok(state.is_some_and(|state| !state.removed && ctx.may_see(&state.team, Some(service))))
}
