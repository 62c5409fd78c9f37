use std::collections::BTreeSet;

use base::{EnvironmentName, Result, ServiceName, Time};
use facts::RouteSeen;
use kernel::Ctx;
use ports::{RequestHistory, UsageHistory, Window};
use store::Read;

/// Everything that is known of a service's recent past.
pub(crate) struct Past {
    /// When the gateway was last looked at.
    pub seen: Option<Time>,
    /// The environments that have a route.
    pub served: BTreeSet<EnvironmentName>,
    pub requests: RequestHistory,
    pub usage: UsageHistory,
}

/// The recent past of a service, in one environment or in all.
pub(crate) async fn past(
    ctx: &Ctx,
    service: &ServiceName,
    environment: Option<&EnvironmentName>,
    window: Window,
) -> Result<Past> {
    let signals = &ctx.platform().ports().signals;
    let seen = signals.holding().await?.requests_at;
    let is_meant = |name: &EnvironmentName| environment.is_none_or(|wanted| wanted == name);
    let mut requests = signals.requests(service, window).await?;
    requests.series.retain(|series| is_meant(&series.environment));
    let mut usage = signals.usage(service, window).await?;
    usage.series.retain(|series| is_meant(&series.environment));
    let mut served = served(&mut ctx.read().await?, service).await?;
    served.retain(is_meant);
    Ok(Past { seen, served, requests, usage })
}

/// The requests to a service, and the environments that have a route or had requests.
pub(crate) async fn requests(
    ctx: &Ctx,
    read: &mut impl Read,
    service: &ServiceName,
    window: Window,
) -> Result<(BTreeSet<EnvironmentName>, RequestHistory)> {
    let history = ctx.platform().ports().signals.requests(service, window).await?;
    let mut places = served(read, service).await?;
    places.extend(history.series.iter().map(|series| series.environment.clone()));
    Ok((places, history))
}

async fn served(read: &mut impl Read, service: &ServiceName) -> Result<BTreeSet<EnvironmentName>> {
    let routes = kernel::latest_of::<RouteSeen>(read, service).await?;
    Ok(routes.into_iter().filter(|(route, _)| !route.hosts.is_empty()).map(|(route, _)| route.environment).collect())
}
