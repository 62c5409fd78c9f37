//! What every [`Signals`] does. A driver's own tests give a way to make an empty one and call [`run`].

use std::sync::Arc;
use std::time::Duration;

use base::{Bytes, InstanceId, ReleaseId, RolloutId, ServiceName, Time};

use crate::{
    BackendCounters, Counts, GatewayLook, InstanceUsage, POINTS_MAX, RequestHistory, Signals, UsageLook, Used, Window,
};

/// A moment at which steps of every length begin that divides an hour.
const BEGIN_S: i64 = 1_800_000_000;

fn at(s: i64) -> Time {
    Time::from_micros((BEGIN_S + s) * 1_000_000)
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn shop() -> ServiceName {
    "shop".parse().expect("a name")
}

fn release(n: u8) -> ReleaseId {
    ReleaseId::new(at(0), [n; 10])
}

/// Counters of a rollout of a release: so many good requests of at most 1 ms, each of 10 bytes.
fn ok(n: u8, rollout: u8, requests: u64) -> BackendCounters {
    let mut latency_buckets = [0; 13];
    latency_buckets[0] = requests;
    BackendCounters {
        service: shop(),
        environment: "dev".parse().expect("a name"),
        rollout: Some(RolloutId::new(at(0), [rollout; 10])),
        release: Some(release(n)),
        by_class: [0, requests, 0, 0, 0],
        gateway_errors: 0,
        latency_buckets,
        bytes_in: 0,
        bytes_out: requests * 10,
    }
}

async fn look(signals: &dyn Signals, s: i64, since: i64, counters: &[BackendCounters]) {
    let look = GatewayLook { at: at(s), since: at(since), counters: counters.to_vec() };
    signals.record_requests(&look).await.expect("a look is taken in");
}

async fn history(signals: &dyn Signals, from: i64, to: i64, step: u64) -> RequestHistory {
    let window = Window { from: at(from), to: at(to), step: secs(step) };
    signals.requests(&shop(), window).await.expect("a history")
}

/// The requests of each step over all series, and nothing where it was not observed.
fn shown(history: &RequestHistory) -> Vec<Option<u64>> {
    let mut sums = vec![0; history.grid.len];
    for series in &history.series {
        assert_eq!(series.points.len(), history.grid.len, "one point for each step");
        for (sum, point) in sums.iter_mut().zip(&series.points) {
            *sum += point.requests();
        }
    }
    assert_eq!(history.observed.len(), history.grid.len, "one span for each step");
    sums.into_iter().zip(&history.observed).map(|(sum, seen)| (!seen.is_zero()).then_some(sum)).collect()
}

/// Runs the whole suite; `make` gives an empty one.
pub async fn run(make: &(dyn Fn() -> Arc<dyn Signals> + Send + Sync)) {
    what_was_counted_is_the_difference(&*make()).await;
    nobody_asked_is_not_nobody_looked(&*make()).await;
    a_gateway_that_starts_again_begins_at_zero(&*make()).await;
    a_gateway_with_a_wrong_clock_is_known_again(&*make()).await;
    the_first_look_at_an_old_gateway_is_a_beginning(&*make()).await;
    missed_looks_lose_no_request(&*make()).await;
    looks_come_once_and_in_order(&*make()).await;
    releases_are_apart_and_rollouts_are_not(&*make()).await;
    coarser_steps_add_up(&*make()).await;
    histograms_add_up_exactly(&*make()).await;
    usage_has_gaps_of_its_own(&*make()).await;
    what_is_not_kept_is_a_gap(&*make()).await;
    windows_are_bounded(&*make()).await;
}

async fn what_was_counted_is_the_difference(signals: &dyn Signals) {
    look(signals, 0, -1, &[ok(1, 1, 100)]).await;
    look(signals, 5, -1, &[ok(1, 1, 103)]).await;
    look(signals, 15, -1, &[ok(1, 1, 110)]).await;
    let got = history(signals, 0, 20, 10).await;
    assert_eq!(shown(&got), [Some(103), Some(7)]);
    assert_eq!(got.observed, [secs(6), secs(10)], "from the gateway's start on, and from look to look");
    let [series] = got.series.as_slice() else { panic!("one series: {got:?}") };
    assert_eq!((series.release, series.points[1].bytes_out), (Some(release(1)), 70));
}

async fn nobody_asked_is_not_nobody_looked(signals: &dyn Signals) {
    for s in [0, 10, 20] {
        look(signals, s, -5, &[]).await;
    }
    let got = history(signals, 0, 60, 10).await;
    assert!(got.series.is_empty(), "nothing was counted: {got:?}");
    assert_eq!(shown(&got), [Some(0), Some(0), Some(0), None, None, None]);
}

async fn a_gateway_that_starts_again_begins_at_zero(signals: &dyn Signals) {
    look(signals, 0, -5, &[ok(1, 1, 50)]).await;
    look(signals, 10, -5, &[ok(1, 1, 60)]).await;
    // It ended, and another one began at 14, which has counted more than the first one.
    look(signals, 20, 14, &[ok(1, 1, 75)]).await;
    // Counters that are smaller began anew as well, whatever the gateway says of its start.
    look(signals, 30, 14, &[ok(1, 1, 4)]).await;
    let got = history(signals, 10, 40, 10).await;
    assert_eq!(shown(&got), [Some(10), Some(75), Some(4)]);
    assert_eq!(got.observed[1], secs(6), "what the first one counted at last is not known");
}

async fn a_gateway_with_a_wrong_clock_is_known_again(signals: &dyn Signals) {
    let ahead = 1_000_000;
    look(signals, 0, ahead, &[ok(1, 1, 50)]).await;
    look(signals, 10, ahead, &[ok(1, 1, 55)]).await;
    look(signals, 20, ahead + 1, &[ok(1, 1, 3)]).await;
    assert_eq!(shown(&history(signals, 0, 30, 10).await), [None, Some(5), Some(3)]);
}

async fn the_first_look_at_an_old_gateway_is_a_beginning(signals: &dyn Signals) {
    look(signals, 0, -100_000, &[ok(1, 1, 5_000_000)]).await;
    look(signals, 10, -100_000, &[ok(1, 1, 5_000_001), ok(1, 2, 3)]).await;
    let got = history(signals, 0, 20, 10).await;
    assert_eq!(shown(&got), [None, Some(4)], "what is new since the first look, a new rollout from zero");
}

async fn missed_looks_lose_no_request(signals: &dyn Signals) {
    look(signals, 0, -5, &[ok(1, 1, 0)]).await;
    look(signals, 35, -5, &[ok(1, 1, 35)]).await;
    let got = history(signals, 0, 40, 10).await;
    assert_eq!(shown(&got), [Some(0), None, None, Some(35)]);
    assert_eq!(got.observed[3], secs(35), "the counts are those of the whole span");
    // After too long nothing can be said but where it begins.
    look(signals, 1000, -5, &[ok(1, 1, 9000)]).await;
    look(signals, 1010, -5, &[ok(1, 1, 9001)]).await;
    assert_eq!(shown(&history(signals, 990, 1020, 10).await), [None, None, Some(1)]);
}

async fn looks_come_once_and_in_order(signals: &dyn Signals) {
    look(signals, 0, -5, &[ok(1, 1, 1)]).await;
    look(signals, 10, -5, &[ok(1, 1, 2)]).await;
    look(signals, 10, -5, &[ok(1, 1, 2)]).await;
    look(signals, 5, -5, &[ok(1, 1, 1)]).await;
    look(signals, 20, -5, &[ok(1, 1, 4)]).await;
    assert_eq!(shown(&history(signals, 10, 30, 10).await), [Some(1), Some(2)]);
}

async fn releases_are_apart_and_rollouts_are_not(signals: &dyn Signals) {
    look(signals, 0, -5, &[]).await;
    let unanswered = BackendCounters { rollout: None, release: None, ..ok(0, 0, 2) };
    look(signals, 10, -5, &[ok(1, 1, 10), ok(1, 2, 5), ok(2, 3, 7), unanswered]).await;
    let got = history(signals, 10, 20, 10).await;
    let by: Vec<_> = got.series.iter().map(|s| (s.release, s.points[0].requests())).collect();
    assert_eq!(by, [(None, 2), (Some(release(1)), 15), (Some(release(2)), 7)]);
    let other = "other".parse().expect("a name");
    let window = Window { from: at(10), to: at(20), step: secs(10) };
    let other = signals.requests(&other, window).await.expect("a history");
    assert!(other.series.is_empty() && !other.observed[0].is_zero(), "observed, and without a request");
}

async fn coarser_steps_add_up(signals: &dyn Signals) {
    for s in 0..60i64 {
        look(signals, s * 10, -5, &[ok(1, 1, (s * s).unsigned_abs())]).await;
    }
    let fine = history(signals, 0, 600, 10).await;
    let coarse = history(signals, 0, 600, 60).await;
    assert_eq!((fine.grid.step, coarse.grid.step, coarse.grid.len), (secs(10), secs(60), 10));
    let sum = |of: &[Option<u64>]| of.iter().flatten().sum::<u64>();
    assert_eq!(sum(&shown(&fine)), 59 * 59);
    assert_eq!(sum(&shown(&coarse)), 59 * 59);
    assert_eq!(coarse.observed[3], secs(60));
    let by_hand: u64 = shown(&fine)[18..24].iter().flatten().sum();
    assert_eq!(shown(&coarse)[3], Some(by_hand));
    // A step that is no multiple of what is kept becomes one, and never a finer one.
    assert!(history(signals, 0, 600, 11).await.grid.step >= secs(11));
}

async fn histograms_add_up_exactly(signals: &dyn Signals) {
    let slow = |n: u64| {
        let mut counters = ok(1, 9, n);
        counters.latency_buckets = [0; 13];
        counters.latency_buckets[9] = n;
        counters
    };
    look(signals, 0, -5, &[]).await;
    look(signals, 10, -5, &[ok(1, 1, 90), slow(5)]).await;
    look(signals, 20, -5, &[ok(1, 1, 180), slow(15)]).await;
    let got = history(signals, 0, 40, 40).await;
    let mut all = Counts::default();
    for series in &got.series {
        all = series.points.iter().fold(all, |sum, point| sum.plus(point));
    }
    assert_eq!((all.latency[0], all.latency[9], all.requests()), (180, 15, 195));
    let bounds = |percent| all.quantile(percent).map(|b| (b.above_ms, b.at_most_ms));
    assert_eq!((bounds(92), bounds(93)), (Some((0, Some(1))), Some((500, Some(1000)))));
}

async fn usage_has_gaps_of_its_own(signals: &dyn Signals) {
    let one = |n: u8, started, cpu_us, mib: u64| InstanceUsage {
        instance: InstanceId::new(at(0), [n; 10]),
        service: shop(),
        environment: "dev".parse().expect("a name"),
        release: Some(release(1)),
        process: "web".parse().expect("a name"),
        started: at(started),
        memory: Some(Bytes(mib << 20)),
        cpu_us: Some(cpu_us),
    };
    let look = |s, instances| UsageLook { at: at(s), instances };
    let looks = [
        look(0, vec![one(1, -3, 500, 10)]),
        look(10, vec![one(1, -3, 700, 30), one(2, 6, 90, 5)]),
        look(15, vec![one(1, -3, 1000, 20), one(2, 6, 100, 5)]),
        // The first one has ended; it is back at 30, with a counter that began anew.
        look(20, vec![one(2, 6, 150, 0)]),
        look(30, vec![one(1, 26, 40, 1), InstanceUsage { memory: None, cpu_us: None, ..one(2, 6, 0, 0) }]),
    ];
    for look in &looks {
        signals.record_usage(look).await.expect("a look is taken in");
    }
    let window = Window { from: at(0), to: at(40), step: secs(10) };
    let got = signals.usage(&shop(), window).await.expect("a history");
    let [first, second] = got.series.as_slice() else { panic!("two instances: {got:?}") };
    let used =
        |s, cpu_us, memory: Option<u64>| Used { observed: secs(s), cpu_us, memory: memory.map(|mib| Bytes(mib << 20)) };
    assert_eq!(first.points, [used(3, 500, Some(10)), used(15, 500, Some(30)), Used::default(), used(4, 40, Some(1))]);
    assert_eq!(second.points, [Used::default(), used(9, 100, Some(5)), used(5, 50, Some(0)), used(10, 0, None)]);
    assert_eq!(second.process.as_str(), "web");
    let holding = signals.holding().await.expect("what is kept");
    assert_eq!((holding.usage_at, holding.instances), (Some(at(30)), 2));
}

async fn what_is_not_kept_is_a_gap(signals: &dyn Signals) {
    for s in 0..400i64 {
        let requests = s.unsigned_abs();
        look(signals, s * 600, -5, &[ok(1, 1, requests)]).await;
        look(signals, s * 600 + 10, -5, &[ok(1, 1, requests + 1)]).await;
    }
    let holding = signals.holding().await.expect("what is kept");
    assert!(holding.bytes <= holding.bytes_max, "{holding:?}");
    let Some((_, oldest)) = holding.resolutions.last().copied() else { panic!("a resolution: {holding:?}") };
    if oldest > at(0) {
        let before = history(signals, 0, 3600, 600).await;
        assert!(shown(&before).iter().all(Option::is_none), "nothing is said of what is forgotten: {before:?}");
    }
    let got = history(signals, 398 * 600, 400 * 600, 600).await;
    assert_eq!(shown(&got), [Some(1), Some(1)]);
    let future = history(signals, 500 * 600, 501 * 600, 600).await;
    assert_eq!(shown(&future), [None], "nobody has looked there yet");
}

async fn windows_are_bounded(signals: &dyn Signals) {
    let most = i64::try_from(POINTS_MAX).unwrap_or(i64::MAX);
    let window = Window { from: at(0), to: at(most * 100_000), step: secs(1) };
    let refused = signals.requests(&shop(), window).await.expect_err("too many points");
    assert_eq!(refused.code, "too-many-points");
    let nothing = Window { from: at(50), to: at(20), step: secs(10) };
    assert_eq!(signals.requests(&shop(), nothing).await.expect("an empty history").grid.len, 0);
}
