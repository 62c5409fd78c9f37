use api::Page;
use api::route::{GetTraffic, Traffic};
use base::Result;
use kernel::{Answer, Call, Ctx};
use ports::BackendCounters;

use crate::work;

/// Upper bounds of the latency buckets, milliseconds; the last bucket has none.
const BUCKETS_MS: [u32; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// Requests to a service since the gateway started.
pub(crate) async fn get(ctx: Ctx, call: Call<GetTraffic>) -> Result<Answer<Page<Traffic>>> {
    let counters = work::counters(&ctx, &call.path.service).await?;
    Ok(Page::whole(counters.iter().map(traffic).collect()).into())
}

fn traffic(c: &BackendCounters) -> Traffic {
    let [informational, success, redirect, client, server] = c.by_class;
    Traffic {
        environment: c.environment.clone(),
        release: c.release,
        requests: c.by_class.iter().sum::<u64>() + c.gateway_errors,
        ok: informational + success + redirect,
        client_errors: client,
        server_errors: server,
        gateway_errors: c.gateway_errors,
        p50_ms: quantile(&c.latency_buckets, 50),
        p99_ms: quantile(&c.latency_buckets, 99),
        bytes_in: c.bytes_in,
        bytes_out: c.bytes_out,
    }
}

/// The upper bound of the bucket in which the given percentile lies; nothing without requests or
/// above the last bound.
fn quantile(buckets: &[u64; 13], percent: u64) -> Option<u32> {
    let total: u64 = buckets.iter().sum();
    let rank = (total * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (count, bound) in buckets.iter().zip(BUCKETS_MS) {
        seen += count;
        if seen >= rank {
            return Some(bound);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds() {
        let mut buckets = [0; 13];
        assert_eq!(quantile(&buckets, 50), None);
        buckets[0] = 99;
        buckets[5] = 1;
        assert_eq!(
            (quantile(&buckets, 50), quantile(&buckets, 99), quantile(&buckets, 100)),
            (Some(1), Some(1), Some(50))
        );
        buckets[12] = 1000;
        assert_eq!(quantile(&buckets, 50), None, "above the last bound");
    }
}
