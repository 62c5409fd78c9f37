//! The driver keeps what its port promises, within its bound.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{InstanceId, ReleaseId, Result, RolloutId, ServiceName, Time};
use ports::conformance::signals::run;
use ports::{
    BackendCounters, GatewayLook, Holding, InstanceUsage, RequestHistory, Signals, UsageHistory, UsageLook, Window,
};
use signals::{Memory, Options};

#[tokio::test]
async fn conformance() {
    run(&|| Arc::new(Memory::default())).await;
}

/// A store with a fault.
struct Planted {
    inner: Memory,
    fault: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Says that it looked where it did not.
    GapsAreZero,
    /// Takes counters for what was counted.
    CountersAreCounts,
    /// Says of every gateway that it is the one from before.
    NeverStartsAgain,
}

#[async_trait]
impl Signals for Planted {
    async fn record_requests(&self, look: &GatewayLook) -> Result<()> {
        let mut look = look.clone();
        match self.fault {
            Fault::GapsAreZero => {}
            Fault::CountersAreCounts => look.since = look.at.minus(Duration::from_secs(5)),
            Fault::NeverStartsAgain => look.since = Time::from_micros(0),
        }
        self.inner.record_requests(&look).await
    }

    async fn record_usage(&self, look: &UsageLook) -> Result<()> {
        self.inner.record_usage(look).await
    }

    async fn requests(&self, service: &ServiceName, window: Window) -> Result<RequestHistory> {
        let mut history = self.inner.requests(service, window).await?;
        if matches!(self.fault, Fault::GapsAreZero) {
            history.observed.fill(history.grid.step);
        }
        Ok(history)
    }

    async fn usage(&self, service: &ServiceName, window: Window) -> Result<UsageHistory> {
        self.inner.usage(service, window).await
    }

    async fn holding(&self) -> Result<Holding> {
        self.inner.holding().await
    }
}

#[tokio::test]
async fn the_suite_catches_planted_faults() {
    for fault in [Fault::GapsAreZero, Fault::CountersAreCounts, Fault::NeverStartsAgain] {
        let make = move || Arc::new(Planted { inner: Memory::default(), fault }) as Arc<dyn Signals>;
        let suite: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { run(&make).await });
        assert!(tokio::spawn(suite).await.is_err(), "{fault:?} was not noticed");
    }
}

fn at(s: u64) -> Time {
    Time::from_micros(1_800_000_000_000_000).plus(Duration::from_secs(s))
}

fn service(n: u32) -> ServiceName {
    format!("service-{n}").parse().unwrap()
}

fn id<T>(make: fn(Time, [u8; 10]) -> T, n: u32) -> T {
    let mut bytes = [0; 10];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    make(at(0), bytes)
}

/// Counters of a service after so many looks, as of one that is asked a few times a second.
fn counters(n: u32, looks: u64) -> BackendCounters {
    let requests = looks * u64::from(30 + n % 50);
    let mut latency_buckets = [0; 13];
    latency_buckets[0] = requests / 2;
    latency_buckets[1] = requests / 4;
    latency_buckets[3] = requests / 5;
    BackendCounters {
        service: service(n),
        environment: "prod".parse().unwrap(),
        rollout: Some(id(RolloutId::new, n)),
        release: Some(id(ReleaseId::new, n)),
        by_class: [0, requests, 0, requests / 50, 0],
        gateway_errors: 0,
        latency_buckets,
        bytes_in: requests * 200,
        bytes_out: requests * 3000,
    }
}

fn window(from: u64, to: u64, step: u64) -> Window {
    Window { from: at(from), to: at(to), step: Duration::from_secs(step) }
}

#[tokio::test]
async fn memory_has_a_bound_and_what_is_forgotten_is_a_gap() {
    let bytes_max = 120_000;
    let memory = Memory::new(Options { bytes_max });
    for looks in 0..1500u64 {
        let counters = (0..40).map(|n| counters(n, looks)).collect();
        memory
            .record_requests(&GatewayLook { at: at(looks * 10), since: at(0).minus(Duration::from_secs(9)), counters })
            .await
            .unwrap();
        let held = memory.holding().await.unwrap();
        assert!(held.bytes <= bytes_max + 20_000, "within a step: {held:?}");
    }
    let held = memory.holding().await.unwrap();
    let floor = held.resolutions.last().unwrap().1;
    assert!(floor > at(0), "something had to go: {held:?}");
    let whole = memory.requests(&service(7), window(0, 15_000, 120)).await.unwrap();
    let (gone, kept): (Vec<_>, Vec<_>) =
        whole.observed.iter().zip(0u64..).partition(|(_, step)| at(step * 120 + 120) <= floor);
    assert!(gone.iter().all(|(seen, _)| seen.is_zero()) && !gone.is_empty());
    assert!(kept.iter().all(|(seen, _)| !seen.is_zero()));
    println!("40 busy services within {bytes_max} bytes: {held:?}");
}

/// Not a test of speed: what the bound of the README is made of is printed, and held.
#[tokio::test]
async fn what_a_thousand_services_cost() {
    let memory = Memory::default();
    let idle =
        |n| BackendCounters { by_class: [0; 5], latency_buckets: [0; 13], bytes_in: 0, bytes_out: 0, ..counters(n, 0) };
    let since = at(0).minus(Duration::from_secs(9));
    // 3,000 places of which 30 are asked, and an instance for each.
    for looks in 0..400u64 {
        let counters = (0..3000).map(|n| if n < 30 { counters(n, looks) } else { idle(n) }).collect();
        memory.record_requests(&GatewayLook { at: at(looks * 10), since, counters }).await.unwrap();
        if looks.is_multiple_of(6) {
            let instances = (0..3000).map(|n| InstanceUsage {
                instance: id(InstanceId::new, n),
                service: service(n),
                environment: "prod".parse().unwrap(),
                release: Some(id(ReleaseId::new, n)),
                process: "web".parse().unwrap(),
                started: since,
                memory: Some(base::Bytes((20 << 20) + u64::from(n % 7) * 4096)),
                cpu_us: Some(looks * 400),
            });
            memory.record_usage(&UsageLook { at: at(looks * 10), instances: instances.collect() }).await.unwrap();
        }
    }
    let held = memory.holding().await.unwrap();
    println!("3,000 places, 30 of them busy, 3,000 instances, 67 minutes: {held:?}");
    assert!(held.bytes < 16 << 20, "{held:?}");
    assert_eq!(held.series, 3030);
    let none = memory.requests(&service(2000), window(400, 1000, 60)).await.unwrap();
    assert!(none.series.is_empty() && none.observed.iter().all(|seen| !seen.is_zero()), "observed and idle");
}
