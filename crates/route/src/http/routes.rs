use api::Page;
use api::route::{ListRoutes, Route, Share};
use base::Result;
use facts::{RouteSeen, ServedShare};
use kernel::{Answer, Call, Ctx};

/// The routes of a service, as last read back from the gateway.
pub(crate) async fn list(ctx: Ctx, call: Call<ListRoutes>) -> Result<Answer<Page<Route>>> {
    let mut read = ctx.read().await?;
    let all = kernel::latest_of::<RouteSeen>(&mut read, &call.path.service).await?;
    let open = all.into_iter().filter(|(seen, _)| !seen.hosts.is_empty());
    Ok(Page::whole(open.map(|(seen, _)| route(seen)).collect()).into())
}

fn route(seen: RouteSeen) -> Route {
    let total: u32 = seen.shares.iter().map(|s| u32::from(s.weight)).sum();
    let share = |s: &ServedShare| Share {
        release: s.release,
        percent: (u32::from(s.weight) * 100).checked_div(total).unwrap_or(0),
        instances: s.instances,
        probe: s.probe.clone(),
    };
    Route {
        shares: seen.shares.iter().map(share).collect(),
        service: seen.service,
        environment: seen.environment,
        url: seen.url,
        hosts: seen.hosts,
        problem: seen.problem,
        since: seen.since,
    }
}
