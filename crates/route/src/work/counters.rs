use base::{Result, ServiceName};
use kernel::Ctx;
use ports::BackendCounters;

/// The gateway's counters of one service.
pub(crate) async fn counters(ctx: &Ctx, service: &ServiceName) -> Result<Vec<BackendCounters>> {
    ctx.platform().ports().gateway.counters(Some(service)).await
}
