use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use api::observe::{
    Counted, EnvironmentMetrics, InstanceMetrics, Latency, Metrics, PlaceMetrics, ReleaseMetrics, Used,
};
use base::{EnvironmentName, ServiceName, Time};
use ports::{Counts, RequestHistory, UsageHistory};

/// The history of a service as it is told. `served` are the environments that have a route.
pub(crate) fn metrics(
    service: ServiceName,
    seen: Option<Time>,
    served: &BTreeSet<EnvironmentName>,
    requests: RequestHistory,
    usage: UsageHistory,
) -> Metrics {
    let len = requests.grid.len;
    let mut environments: BTreeMap<EnvironmentName, Environment> =
        served.iter().map(|environment| (environment.clone(), Environment::empty(len))).collect();
    for series in requests.series {
        let environment = environments.entry(series.environment).or_insert_with(|| Environment::empty(len));
        for (sum, point) in environment.points.iter_mut().zip(&series.points) {
            *sum = sum.plus(point);
        }
        environment.releases.push(ReleaseMetrics {
            release: series.release,
            total: counted(&sum(&series.points)),
            points: series.points.iter().map(counted).collect(),
        });
    }
    for series in usage.series {
        let environment = environments.entry(series.environment).or_insert_with(|| Environment::empty(len));
        environment.instances.push(InstanceMetrics {
            instance: series.instance,
            process: series.process,
            release: series.release,
            points: series.points.iter().map(used).collect(),
        });
    }
    Metrics {
        service,
        start: requests.grid.start,
        step_ms: millis(requests.grid.step),
        observed_ms: requests.observed.into_iter().map(millis).collect(),
        seen,
        environments: environments.into_iter().map(|(name, environment)| environment.told(name)).collect(),
    }
}

/// What a service does now in one environment, of all that it does.
pub(crate) fn place(service: &ServiceName, environment: &EnvironmentName, requests: &RequestHistory) -> PlaceMetrics {
    let mut points = vec![Counts::default(); requests.grid.len];
    for series in requests.series.iter().filter(|series| series.environment == *environment) {
        for (sum, point) in points.iter_mut().zip(&series.points) {
            *sum = sum.plus(point);
        }
    }
    let recent = points.iter().zip(&requests.observed).map(|(point, seen)| (!seen.is_zero()).then(|| point.requests()));
    PlaceMetrics {
        service: service.clone(),
        environment: environment.clone(),
        observed_ms: millis(requests.observed.iter().sum()),
        total: counted(&sum(&points)),
        step_ms: millis(requests.grid.step),
        recent: recent.collect(),
    }
}

struct Environment {
    points: Vec<Counts>,
    releases: Vec<ReleaseMetrics>,
    instances: Vec<InstanceMetrics>,
}

impl Environment {
    fn empty(len: usize) -> Self {
        Self { points: vec![Counts::default(); len], releases: Vec::new(), instances: Vec::new() }
    }

    fn told(self, environment: EnvironmentName) -> EnvironmentMetrics {
        let Self { points, releases, instances } = self;
        let total = counted(&sum(&points));
        EnvironmentMetrics { environment, total, points: points.iter().map(counted).collect(), releases, instances }
    }
}

fn sum(points: &[Counts]) -> Counts {
    points.iter().fold(Counts::default(), |sum, point| sum.plus(point))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn counted(counts: &Counts) -> Counted {
    let [informational, success, redirect, client, server] = counts.by_class;
    let latency = |percent| {
        counts.quantile(percent).map(|between| Latency { above_ms: between.above_ms, at_most_ms: between.at_most_ms })
    };
    Counted {
        requests: counts.requests(),
        ok: informational.saturating_add(success).saturating_add(redirect),
        client_errors: client,
        server_errors: server,
        gateway_errors: counts.gateway_errors,
        p50: latency(50),
        p90: latency(90),
        p99: latency(99),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
    }
}

fn used(used: &ports::Used) -> Used {
    Used { observed_ms: millis(used.observed), cpu_us: used.cpu_us, memory: used.memory }
}

#[cfg(test)]
mod tests {
    use base::{Bytes, InstanceId, ReleaseId};
    use ports::{Grid, RequestSeries, UsageSeries};

    use super::*;

    const STEP: Duration = Duration::from_secs(10);

    fn grid() -> Grid {
        Grid { start: Time::from_micros(1_000_000_000), step: STEP, len: 3 }
    }

    fn requests() -> RequestHistory {
        let counts = |ok, bad, at: usize| {
            let mut counts = Counts { by_class: [0, ok, 0, 0, bad], gateway_errors: bad, ..Counts::default() };
            counts.latency[at] = ok + bad;
            counts
        };
        let series = |n: u8, points| RequestSeries {
            environment: "dev".parse().unwrap(),
            release: (n > 0).then(|| ReleaseId::new(Time::from_micros(0), [n; 10])),
            points,
        };
        let zero = Counts::default();
        RequestHistory {
            grid: grid(),
            observed: vec![STEP, Duration::ZERO, 2 * STEP],
            series: vec![
                series(0, vec![counts(0, 2, 12), zero, zero]),
                series(1, vec![counts(5, 0, 0), zero, counts(93, 0, 0)]),
            ],
        }
    }

    #[test]
    fn releases_add_up_and_gaps_stay_gaps() {
        let usage = UsageHistory {
            grid: grid(),
            series: vec![UsageSeries {
                instance: InstanceId::new(Time::from_micros(0), [1; 10]),
                environment: "dev".parse().unwrap(),
                release: None,
                process: "web".parse().unwrap(),
                points: vec![
                    ports::Used { observed: STEP, cpu_us: 2_500_000, memory: Some(Bytes(7)) },
                    ports::Used::default(),
                    ports::Used::default(),
                ],
            }],
        };
        let served = ["dev", "prod"].map(|name| name.parse().unwrap()).into();
        let got = metrics("shop".parse().unwrap(), None, &served, requests(), usage);
        assert_eq!(got.observed_ms, [10_000, 0, 20_000]);
        let [dev, prod] = got.environments.as_slice() else { panic!("{got:?}") };
        assert_eq!((dev.points[0].requests, dev.points[0].server_errors, dev.total.requests), (7, 2, 100));
        assert_eq!(dev.points[2].per_second(got.observed_ms[2]), Some(4.65));
        assert_eq!(dev.points[1].per_second(got.observed_ms[1]), None);
        assert_eq!(dev.total.failing(), Some(0.02));
        assert_eq!(dev.total.p50, Some(Latency { above_ms: 0, at_most_ms: Some(1) }));
        assert_eq!(dev.total.p99, Some(Latency { above_ms: 5000, at_most_ms: None }));
        assert_eq!(dev.releases.len(), 2);
        let used: Vec<_> = dev.instances[0].points.iter().map(Used::millicores).collect();
        assert_eq!(used, [Some(250.0), None, None]);
        assert_eq!((prod.total.requests, prod.points.len()), (0, 3), "a place without requests is there");
    }

    #[test]
    fn a_place_is_told_in_short() {
        let got = place(&"shop".parse().unwrap(), &"dev".parse().unwrap(), &requests());
        assert_eq!(got.recent, [Some(7), None, Some(93)]);
        assert_eq!((got.observed_ms, got.total.requests), (30_000, 100));
        let idle = place(&"shop".parse().unwrap(), &"prod".parse().unwrap(), &requests());
        assert_eq!((idle.recent, idle.total), (vec![Some(0), None, Some(0)], Counted::default()));
    }
}
