//! What services do now, as the gateway counted it, all environments of a question together.

use std::collections::BTreeMap;

use api::observe::PlaceMetrics;

/// By service. One whose route was not observed is not in it.
pub(super) type Rates = BTreeMap<String, Rate>;

/// The traffic of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rate {
    per_second: f64,
    requests: u64,
    failed: u64,
    /// The worst of the bounds under which 99 of 100 answers began, milliseconds.
    p99_ms: Option<u32>,
}

pub(super) fn of(metrics: &[PlaceMetrics]) -> Rates {
    let mut rates = Rates::new();
    for place in metrics {
        let Some(per_second) = place.total.per_second(place.observed_ms) else { continue };
        let rate = rates.entry(place.service.to_string()).or_default();
        rate.per_second += per_second;
        rate.requests = rate.requests.saturating_add(place.total.requests);
        let failed = place.total.server_errors.max(place.total.gateway_errors);
        rate.failed = rate.failed.saturating_add(failed);
        rate.p99_ms = rate.p99_ms.max(place.total.p99.and_then(|latency| latency.at_most_ms));
    }
    rates
}

impl Rate {
    /// `12.3/s`
    pub(super) fn short(&self) -> String {
        match self.per_second {
            n if n >= 100.0 => format!("{n:.0}/s"),
            n => format!("{n:.1}/s"),
        }
    }

    /// All of it in words.
    pub(super) fn told(&self) -> String {
        if self.requests == 0 {
            return "no requests".to_owned();
        }
        #[expect(clippy::cast_precision_loss, reason = "a part in words")]
        let failed = self.failed as f64 * 100.0 / self.requests as f64;
        let slow = self.p99_ms.map_or(String::new(), |ms| format!(", 99 of 100 within {ms} ms"));
        format!("{} requests, {failed:.1} % failed{slow}", self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(service: &str, observed_ms: u64, requests: u64, failed: u64) -> PlaceMetrics {
        serde_json::from_value(serde_json::json!({
            "service": service, "environment": "dev", "observedMs": observed_ms, "stepMs": 1000, "recent": [],
            "total": {"requests": requests, "ok": 0, "clientErrors": 0, "serverErrors": failed, "gatewayErrors": 0,
                "p99": {"aboveMs": 20, "atMostMs": 50}, "bytesIn": 0, "bytesOut": 0},
        }))
        .unwrap()
    }

    #[test]
    fn environments_are_added_and_what_was_not_observed_is_not_zero() {
        let rates = of(&[
            place("shop", 10_000, 100, 1),
            place("shop", 10_000, 20, 0),
            place("till", 0, 0, 0),
            place("idle", 9, 0, 0),
        ]);
        assert_eq!(rates["shop"].short(), "12.0/s");
        assert_eq!(rates["shop"].told(), "12.0/s requests, 0.8 % failed, 99 of 100 within 50 ms");
        assert!(!rates.contains_key("till"));
        assert_eq!(rates["idle"].told(), "no requests");
    }
}
