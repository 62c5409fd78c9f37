use std::time::Duration;

use async_trait::async_trait;
use base::{Bytes, EnvironmentName, InstanceId, ProcessName, ReleaseId, Result, RolloutId, ServiceName, Time};

use crate::BackendCounters;
use crate::gateway::LATENCY_BOUNDS_MS;

/// A look that covers more than this is a beginning and nothing else: what was counted in it cannot
/// honestly be shown at one moment.
pub const LOOK_SPAN_MAX: Duration = Duration::from_secs(120);
/// Most points of a history; a window that has more of its step is refused (`too-many-points`).
pub const POINTS_MAX: usize = 2_000;

/// Recent history of requests and of what instances use.
///
/// What goes in are *looks*: everything that was counted, at one moment. Counters are cumulative,
/// with the moment from which they count, as in OTLP's cumulative temporality: a look that is missed
/// loses resolution and no request. What comes out are histories on a grid of equal steps, which say
/// for each step how long it was *observed*: nothing observed is a gap, never zero.
///
/// What is kept is bounded; [`Signals::holding`] says how much and how far back. A history of what is
/// no longer kept, or not yet, is a gap.
#[async_trait]
pub trait Signals: Send + Sync {
    /// Takes in a look at the gateway. Its counts are those of the span that [`covered`] says; they
    /// stand in the step in which the look was taken. Counters that went back began anew. A look
    /// that is not newer than the last one changes nothing.
    async fn record_requests(&self, look: &GatewayLook) -> Result<()>;

    /// Takes in a look at the running instances. Who is not in it does not run any more.
    async fn record_usage(&self, look: &UsageLook) -> Result<()>;

    /// Requests to a service, one series for each environment and release. Where there is no series
    /// no request was counted; whether that means anything is said by `observed`.
    async fn requests(&self, service: &ServiceName, window: Window) -> Result<RequestHistory>;

    /// What the instances of a service used, one series for each instance.
    async fn usage(&self, service: &ServiceName, window: Window) -> Result<UsageHistory>;

    /// What is kept.
    async fn holding(&self) -> Result<Holding>;
}

/// What the gateway had counted at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayLook {
    /// When it was asked.
    pub at: Time,
    /// From when on these counters count: the start of the gateway's process.
    pub since: Time,
    /// All of them. One that is missing counts nothing.
    pub counters: Vec<BackendCounters>,
}

/// What the running instances had used at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLook {
    /// When the engine was asked.
    pub at: Time,
    /// All that run.
    pub instances: Vec<InstanceUsage>,
}

/// What one instance had used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceUsage {
    /// Which.
    pub instance: InstanceId,
    /// Of which service.
    pub service: ServiceName,
    /// Where.
    pub environment: EnvironmentName,
    /// Of which release.
    pub release: Option<ReleaseId>,
    /// Which process of it.
    pub process: ProcessName,
    /// Since when it runs, and its processor time counts.
    pub started: Time,
    /// Resident memory at that moment, where it can be told.
    pub memory: Option<Bytes>,
    /// Processor time used since it was started, microseconds, where it can be told.
    pub cpu_us: Option<u64>,
}

/// What a look covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// How long, up to the look.
    pub span: Duration,
    /// Whether the counters began within the span: all that they say belongs to it.
    pub from_zero: bool,
}

/// What a look at `at` covers, of counters that count since `since`, where the look before was at the
/// first time of `before`, at counters since the second one. The same beginning means the same
/// counters: then it is the time since the look before, whatever the clock says of which the beginning
/// was read. Counters with another beginning are new. `None` where nothing can be said: nobody looked
/// before and they are not new, or it is more than [`LOOK_SPAN_MAX`].
pub fn covered(before: Option<(Time, Time)>, since: Time, at: Time) -> Option<Covered> {
    let (from, from_zero) = match before {
        Some((last, same)) if same == since => (last, false),
        Some((last, _)) => (if since > last && since < at { since } else { last }, true),
        None => (since, true),
    };
    let span = at.since(from);
    (!span.is_zero() && span <= LOOK_SPAN_MAX).then_some(Covered { span, from_zero })
}

/// Requests counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By status class: 1xx (upgrades), 2xx, 3xx, 4xx, 5xx. Together: all finished requests.
    pub by_class: [u64; 5],
    /// Those of them that failed for a fault of the gateway or of the way to the instance.
    pub gateway_errors: u64,
    /// Time to the head of the answer, in the buckets of [`LATENCY_BOUNDS_MS`] and above.
    pub latency: [u64; 13],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
}

impl From<&BackendCounters> for Counts {
    fn from(counters: &BackendCounters) -> Self {
        let BackendCounters { by_class, gateway_errors, latency_buckets, bytes_in, bytes_out, .. } = counters;
        Self {
            by_class: *by_class,
            gateway_errors: *gateway_errors,
            latency: *latency_buckets,
            bytes_in: *bytes_in,
            bytes_out: *bytes_out,
        }
    }
}

impl Counts {
    /// How many numbers there are.
    pub const FIELDS: usize = 21;

    /// All numbers in one row.
    pub fn fields(&self) -> [u64; Self::FIELDS] {
        let [a, b, c, d, e] = self.by_class;
        let [f, g, h, i, j, k, l, m, n, o, p, q, r] = self.latency;
        let Self { gateway_errors, bytes_in, bytes_out, .. } = *self;
        [a, b, c, d, e, gateway_errors, f, g, h, i, j, k, l, m, n, o, p, q, r, bytes_in, bytes_out]
    }

    /// From the row of [`Counts::fields`].
    pub fn of_fields(fields: [u64; Self::FIELDS]) -> Self {
        let [a, b, c, d, e, gateway_errors, f, g, h, i, j, k, l, m, n, o, p, q, r, bytes_in, bytes_out] = fields;
        let latency = [f, g, h, i, j, k, l, m, n, o, p, q, r];
        Self { by_class: [a, b, c, d, e], gateway_errors, latency, bytes_in, bytes_out }
    }

    /// All finished requests.
    pub fn requests(&self) -> u64 {
        self.by_class.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Both together. Histograms with the same bounds add up exactly.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.fields();
        for (to, from) in sum.iter_mut().zip(other.fields()) {
            *to = to.saturating_add(from);
        }
        Self::of_fields(sum)
    }

    /// What was counted since `before`. Where a counter is smaller than it was, all of them began anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut counted = self.fields();
        for (now, before) in counted.iter_mut().zip(before.fields()) {
            match now.checked_sub(before) {
                Some(difference) => *now = difference,
                None => return *self,
            }
        }
        Self::of_fields(counted)
    }

    /// Between which bounds the given percentile of the latencies lies; nothing without requests.
    /// The bounds are exact: the histogram does not say where between them. The percentile is the
    /// smallest latency that so many percent of the requests do not exceed.
    pub fn quantile(&self, percent: u8) -> Option<Between> {
        let total = self.latency.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
        if total == 0 {
            return None;
        }
        let rank = total.saturating_mul(u64::from(percent.min(100))).div_ceil(100).max(1);
        let bounds = LATENCY_BOUNDS_MS.into_iter().map(Some).chain([None]);
        let (mut seen, mut above_ms) = (0u64, 0);
        for (count, at_most_ms) in self.latency.into_iter().zip(bounds) {
            seen = seen.saturating_add(count);
            if seen >= rank {
                return Some(Between { above_ms, at_most_ms });
            }
            above_ms = at_most_ms.unwrap_or(above_ms);
        }
        None
    }
}

/// Two bounds, milliseconds: above the one, at most the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// More than this (0: anything).
    pub above_ms: u32,
    /// Not more than this; `None`: no bound is known.
    pub at_most_ms: Option<u32>,
}

/// Which part of the past, and how fine. The answer is at least as coarse and begins where a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when.
    pub from: Time,
    /// To when.
    pub to: Time,
    /// Steps of at least this length.
    pub step: Duration,
}

/// Equal steps of time, one after the other; multiples of the step since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Begin of the first step.
    pub start: Time,
    /// Length of a step.
    pub step: Duration,
    /// How many.
    pub len: usize,
}

impl Grid {
    /// The grid that covers a window in steps that are multiples of `unit`, at least as long as the
    /// window wants.
    ///
    /// # Errors
    /// `too-many-points` where there are more than [`POINTS_MAX`].
    pub fn over(window: Window, unit: Duration) -> Result<Self> {
        let unit_us = i64::try_from(unit.as_micros()).unwrap_or(i64::MAX).max(1);
        let wanted_us = i64::try_from(window.step.as_micros()).unwrap_or(i64::MAX).max(1);
        let units = wanted_us.saturating_sub(1).div_euclid(unit_us).saturating_add(1);
        let step_us = units.saturating_mul(unit_us);
        let start_us = window.from.micros().div_euclid(step_us).saturating_mul(step_us);
        let span_us = window.to.micros().saturating_sub(start_us).max(0);
        let len = span_us.saturating_add(step_us.saturating_sub(1)).div_euclid(step_us);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > POINTS_MAX {
            return Err(base::Problem::unprocessable(
                "too-many-points",
                format!("the window has {len} steps of {} s; at most {POINTS_MAX} are told", step_us / 1_000_000),
            )
            .hint("ask for a longer step or a shorter window"));
        }
        let step = Duration::from_micros(u64::try_from(step_us).unwrap_or(u64::MAX));
        Ok(Self { start: Time::from_micros(start_us), step, len })
    }

    /// In which step a moment lies, if in any.
    pub fn index(&self, at: Time) -> Option<usize> {
        let step_us = i64::try_from(self.step.as_micros()).ok()?.max(1);
        let index = at.micros().checked_sub(self.start.micros())?.div_euclid(step_us);
        usize::try_from(index).ok().filter(|index| *index < self.len)
    }
}

/// Requests over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHistory {
    /// The steps.
    pub grid: Grid,
    /// How long each step was observed, for all services alike. Zero: nobody looked, and what stands
    /// there says nothing. More than the step: looks were missed before, and the counts are those of
    /// the whole span up to here.
    pub observed: Vec<Duration>,
    /// In a stable order.
    pub series: Vec<RequestSeries>,
}

/// Requests to one release in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSeries {
    /// Where.
    pub environment: EnvironmentName,
    /// Which release; `None`: what no instance answered.
    pub release: Option<ReleaseId>,
    /// One for each step.
    pub points: Vec<Counts>,
}

/// What instances used over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageHistory {
    /// The steps.
    pub grid: Grid,
    /// In a stable order.
    pub series: Vec<UsageSeries>,
}

/// What one instance used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSeries {
    /// Which.
    pub instance: InstanceId,
    /// Where.
    pub environment: EnvironmentName,
    /// Of which release.
    pub release: Option<ReleaseId>,
    /// Which process of it.
    pub process: ProcessName,
    /// One for each step.
    pub points: Vec<Used>,
}

/// What was used in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// How much of the time was observed; as in [`RequestHistory::observed`].
    pub observed: Duration,
    /// Processor time, microseconds; 0 where it cannot be told.
    pub cpu_us: u64,
    /// Most resident memory seen.
    pub memory: Option<Bytes>,
}

impl Used {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            observed: self.observed.saturating_add(other.observed),
            cpu_us: self.cpu_us.saturating_add(other.cpu_us),
            memory: self.memory.max(other.memory),
        }
    }
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// When the gateway was last looked at.
    pub requests_at: Option<Time>,
    /// When the instances were last looked at.
    pub usage_at: Option<Time>,
    /// How many instances ran then.
    pub instances: usize,
    /// Series of requests and of usage.
    pub series: usize,
    /// Memory that they take, bytes.
    pub bytes: usize,
    /// Memory that they may take at most, bytes.
    pub bytes_max: usize,
    /// From the finest on: the length of a step, and from when on it is kept.
    pub resolutions: Vec<(Duration, Time)>,
}

/// Which counters are one counter: those of a rollout behind a route.
pub type CounterKey = (ServiceName, EnvironmentName, Option<RolloutId>);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_micros(s * 1_000_000)
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_look_covers_what_can_be_said() {
        let check = |before: Option<(i64, i64)>, since, now, expect: Option<(u64, bool)>| {
            let before = before.map(|(last, same)| (at(last), at(same)));
            let got = covered(before, at(since), at(now)).map(|c| (c.span.as_secs(), c.from_zero));
            assert_eq!(got, expect, "{before:?} {since} {now}");
        };
        check(Some((100, 0)), 0, 105, Some((5, false)));
        // The gateway started in between: its own span is all that is known.
        check(Some((100, 0)), 103, 105, Some((2, true)));
        // The first look at a young gateway, and at an old one.
        check(None, 100, 105, Some((5, true)));
        check(None, 0, 1000, None);
        // Nobody looked for too long.
        check(Some((100, 0)), 0, 1000, None);
        check(Some((105, 0)), 0, 105, None);
        check(Some((110, 0)), 0, 105, None);
        // A gateway whose clock is wrong is known again, and one that is new is new.
        check(None, 900, 105, None);
        check(Some((100, 900)), 900, 105, Some((5, false)));
        check(Some((100, 900)), 7, 105, Some((5, true)));
    }

    #[test]
    fn what_was_counted_is_a_difference_and_never_negative() {
        let counts = |ok, bytes| Counts { by_class: [0, ok, 0, 0, 0], bytes_out: bytes, ..Counts::default() };
        assert_eq!(counts(10, 50).since(&counts(4, 20)), counts(6, 30));
        assert_eq!(counts(3, 50).since(&counts(4, 20)), counts(3, 50), "began anew");
        assert_eq!(Counts::of_fields(counts(3, 9).fields()), counts(3, 9));
    }

    #[test]
    fn quantiles_are_the_bounds_of_their_bucket() {
        let check = |latency: [u64; 13], percent, expect: Option<(u32, Option<u32>)>| {
            let got = Counts { latency, ..Counts::default() }.quantile(percent);
            assert_eq!(got.map(|b| (b.above_ms, b.at_most_ms)), expect);
        };
        let mut latency = [0; 13];
        check(latency, 50, None);
        latency[0] = 99;
        latency[5] = 1;
        check(latency, 50, Some((0, Some(1))));
        check(latency, 99, Some((0, Some(1))));
        check(latency, 100, Some((20, Some(50))));
        latency[12] = 1000;
        check(latency, 50, Some((5000, None)));
    }

    #[test]
    fn a_grid_begins_where_steps_begin() {
        let grid =
            |from, to, step, unit| Grid::over(Window { from: at(from), to: at(to), step: secs(step) }, secs(unit));
        let got = grid(105, 131, 1, 10).unwrap();
        assert_eq!((got.start, got.step, got.len), (at(100), secs(10), 4));
        assert_eq!(
            (got.index(at(99)), got.index(at(100)), got.index(at(139)), got.index(at(140))),
            (None, Some(0), Some(3), None)
        );
        assert_eq!(grid(105, 131, 11, 10).unwrap().step, secs(20));
        assert_eq!(grid(105, 100, 10, 10).unwrap().len, 0);
        assert_eq!(grid(0, 1_000_000, 10, 10).unwrap_err().code, "too-many-points");
    }
}
