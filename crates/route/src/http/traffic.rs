use api::Page;
use api::route::{GetTraffic, Traffic};
use base::Result;
use kernel::{Answer, Call, Ctx};
use ports::{BackendCounters, Counts};

use crate::work;

/// Requests to a service since the gateway started.
pub(crate) async fn get(ctx: Ctx, call: Call<GetTraffic>) -> Result<Answer<Page<Traffic>>> {
    let counters = work::counters(&ctx, &call.path.service).await?;
    Ok(Page::whole(counters.iter().map(traffic).collect()).into())
}

fn traffic(c: &BackendCounters) -> Traffic {
    let counts = Counts::from(c);
    let [informational, success, redirect, client, server] = counts.by_class;
    let at_most = |percent| counts.quantile(percent).and_then(|between| between.at_most_ms);
    Traffic {
        environment: c.environment.clone(),
        release: c.release,
        requests: counts.requests(),
        ok: informational.saturating_add(success).saturating_add(redirect),
        client_errors: client,
        server_errors: server,
        gateway_errors: counts.gateway_errors,
        p50_ms: at_most(50),
        p99_ms: at_most(99),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_gateway_answered_is_counted_once() {
        let counters = BackendCounters {
            service: "shop".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            rollout: None,
            release: None,
            by_class: [0, 7, 0, 1, 2],
            gateway_errors: 2,
            latency_buckets: [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            bytes_in: 0,
            bytes_out: 0,
        };
        let got = traffic(&counters);
        assert_eq!((got.requests, got.ok, got.server_errors, got.gateway_errors), (10, 7, 2, 2));
        assert_eq!((got.p50_ms, got.p99_ms), (Some(1), None), "above the last bound there is none");
    }
}
