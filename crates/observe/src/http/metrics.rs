use api::observe::{GetMetrics, Metrics};
use base::Result;
use kernel::{Answer, Call, Ctx};

use crate::work::Past;
use crate::{decide, work};

/// The recent past of a service.
pub(crate) async fn get(ctx: Ctx, call: Call<GetMetrics>) -> Result<Answer<Metrics>> {
    let query = call.query;
    let window = decide::history(ctx.now(), query.window, query.step, query.until);
    let past = work::past(&ctx, &call.path.service, query.environment.as_ref(), window).await?;
    let Past { seen, served, requests, usage } = past;
    Ok(decide::metrics(call.path.service, seen, &served, requests, usage).into())
}
