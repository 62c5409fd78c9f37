use std::time::Duration;

use async_trait::async_trait;
use base::{Problem, Result, Time};
use kernel::{Ctx, Reconciler};
use ports::{GatewayLook, Holding, InstanceSeen, InstanceUsage, Purpose, UsageLook};
use serde::Serialize;

use crate::decide::{requests_are_due, usage_is_due};

/// Looks at the gateway and the instances, and keeps what it saw.
pub(crate) struct Samples;

/// What is kept, and why not more.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// Series of requests and of usage.
    series: usize,
    /// Memory that they take.
    bytes: usize,
    /// Memory that they may take.
    bytes_max: usize,
    instances: usize,
    /// When the gateway was last looked at.
    requests_at: Option<Time>,
    /// When the instances were last looked at.
    usage_at: Option<Time>,
    /// Why something could not be looked at this time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unseen: Vec<String>,
}

#[async_trait]
impl Reconciler for Samples {
    const NAME: &'static str = "observe.samples";
    const EVERY: Duration = Duration::from_secs(5);
    const WAKES: &'static [&'static str] = &[];
    type Status = Status;

    async fn reconcile(&self, ctx: &Ctx) -> Result<Status> {
        let signals = &ctx.platform().ports().signals;
        // Who is away is told of by the capabilities that need them; here it is a gap.
        let mut unseen: Vec<Problem> = Vec::new();
        let Holding { requests_at, series, usage_at, instances, .. } = signals.holding().await?;
        if requests_are_due(ctx.now(), requests_at, series) {
            match look_at_gateway(ctx).await {
                Ok(look) => signals.record_requests(&look).await?,
                Err(problem) => unseen.push(problem),
            }
        }
        if usage_is_due(ctx.now(), usage_at, instances) {
            match look_at_instances(ctx).await {
                Ok(look) => signals.record_usage(&look).await?,
                Err(problem) => unseen.push(problem),
            }
        }
        let held = signals.holding().await?;
        Ok(Status {
            series: held.series,
            bytes: held.bytes,
            bytes_max: held.bytes_max,
            instances: held.instances,
            requests_at: held.requests_at,
            usage_at: held.usage_at,
            unseen: unseen.iter().map(ToString::to_string).collect(),
        })
    }
}

/// The counters, and since when they count. Where another gateway took over between the questions it
/// is not known whose counters they are.
async fn look_at_gateway(ctx: &Ctx) -> Result<GatewayLook> {
    let gateway = &ctx.platform().ports().gateway;
    let since = gateway.status().await?.started;
    let counters = gateway.counters(None).await?;
    let at = ctx.now();
    match gateway.status().await?.started == since {
        true => Ok(GatewayLook { at, since, counters }),
        false => Err(Problem::unavailable("gateway-replaced", "another gateway took over while it was asked")),
    }
}

async fn look_at_instances(ctx: &Ctx) -> Result<UsageLook> {
    let seen = ctx.platform().ports().engine.list().await?;
    let at = ctx.now();
    Ok(UsageLook { at, instances: seen.into_iter().filter_map(usage).collect() })
}

/// What a running instance used; builds and release commands come and go and are left out.
fn usage(seen: InstanceSeen) -> Option<InstanceUsage> {
    let is_meant = seen.purpose == Purpose::Serve && seen.state.is_running();
    let environment = seen.environment.filter(|_| is_meant)?;
    Some(InstanceUsage {
        instance: seen.id,
        service: seen.service,
        environment,
        release: seen.release,
        process: seen.process,
        started: seen.started,
        memory: seen.memory,
        cpu_us: seen.cpu_us,
    })
}
