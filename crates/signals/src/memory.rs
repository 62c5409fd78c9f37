use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use base::{Bytes, EnvironmentName, InstanceId, ProcessName, ReleaseId, Result, ServiceName, Time};
use parking_lot::Mutex;
use ports::{
    CounterKey, Counts, GatewayLook, Grid, Holding, RequestHistory, RequestSeries, Signals, UsageHistory, UsageLook,
    UsageSeries, Used, Window, covered,
};

use crate::book::{Book, Cell, Each, Series};

/// Length of a step and how long it is kept, seconds; from the finest on.
pub(crate) const RESOLUTIONS: [(u64, u64); 2] = [(10, 3600), (120, 24 * 3600)];
/// Where memory is used up, this part of what is kept in the largest resolution is forgotten at once.
const FORGET_PART: u64 = 12;
/// Memory that a store may take, bytes.
const BYTES_MAX: usize = 32 << 20;

/// Bounds.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory that the history may take, bytes. What was last counted comes on top: 300 bytes for
    /// each rollout that had requests.
    pub bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { bytes_max: BYTES_MAX }
    }
}

/// Recent history in memory.
#[derive(Debug, Default)]
pub struct Memory {
    options: Options,
    state: Mutex<State>,
}

/// What a series of requests is of, within its service.
type RequestKey = (EnvironmentName, Option<ReleaseId>);
/// What a series of usage is of, within its service.
type UsageKey = (EnvironmentName, ProcessName, InstanceId, Option<ReleaseId>);

#[derive(Debug, Default)]
struct State {
    requests: Book<RequestKey, Counts, { Counts::FIELDS }>,
    usage: Book<UsageKey, Used, 3>,
    /// How long the gateway was observed: one series for all places.
    observed: Series<Observed, 1>,
    /// The last look at the gateway.
    counted: Option<Counted>,
    /// When the instances were last looked at, and the processor time that they had used then.
    used: Option<(Time, HashMap<InstanceId, Option<u64>>)>,
    /// The first step that is kept in each resolution.
    floors: Each<u64>,
    /// The step in which was last looked what is to be forgotten.
    trimmed: u64,
}

/// What the gateway had counted when it was last looked at.
#[derive(Debug)]
struct Counted {
    at: Time,
    since: Time,
    counts: HashMap<CounterKey, Counts>,
}

/// Microseconds.
#[derive(Debug, Clone, Copy)]
struct Observed(u64);

impl Cell<1> for Observed {
    fn row(&self) -> [u64; 1] {
        [self.0]
    }

    fn of_row([us]: [u64; 1]) -> Self {
        Self(us)
    }

    fn plus(&self, other: &Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Cell<{ Counts::FIELDS }> for Counts {
    fn row(&self) -> [u64; Counts::FIELDS] {
        self.fields()
    }

    fn of_row(row: [u64; Counts::FIELDS]) -> Self {
        Self::of_fields(row)
    }

    fn plus(&self, other: &Self) -> Self {
        Self::plus(self, other)
    }
}

impl Cell<3> for Used {
    fn row(&self) -> [u64; 3] {
        // One more, so that unknown memory is something else than none.
        [micros(self.observed), self.cpu_us, self.memory.map_or(0, |bytes| bytes.0.saturating_add(1))]
    }

    fn of_row([observed, cpu_us, memory]: [u64; 3]) -> Self {
        let memory = memory.checked_sub(1).map(Bytes);
        Self { observed: Duration::from_micros(observed), cpu_us, memory }
    }

    fn plus(&self, other: &Self) -> Self {
        Self::plus(self, other)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(at: Time) -> u64 {
    u64::try_from(at.micros() / 1_000_000).unwrap_or(0)
}

fn time(s: u64) -> Time {
    Time::from_micros(i64::try_from(s).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

impl Memory {
    /// Nothing yet.
    pub fn new(options: Options) -> Self {
        Self { options, state: Mutex::default() }
    }
}

#[async_trait]
impl Signals for Memory {
    async fn record_requests(&self, look: &GatewayLook) -> Result<()> {
        let mut state = self.state.lock();
        state.count(look);
        state.keep_bounds(seconds(look.at), self.options.bytes_max);
        Ok(())
    }

    async fn record_usage(&self, look: &UsageLook) -> Result<()> {
        let mut state = self.state.lock();
        state.weigh(look);
        state.keep_bounds(seconds(look.at), self.options.bytes_max);
        Ok(())
    }

    async fn requests(&self, service: &ServiceName, window: Window) -> Result<RequestHistory> {
        let state = self.state.lock();
        let view = state.view(window)?;
        let observed = view.points(&state.observed, Observed(0));
        let mut series = Vec::new();
        for ((environment, release), cells) in state.requests.of(service) {
            let points = view.points(cells, Counts::default());
            if points.iter().any(|point| !point.is_zero()) {
                series.push(RequestSeries { environment: environment.clone(), release: *release, points });
            }
        }
        let observed = observed.into_iter().map(|Observed(us)| Duration::from_micros(us)).collect();
        Ok(RequestHistory { grid: view.grid, observed, series })
    }

    async fn usage(&self, service: &ServiceName, window: Window) -> Result<UsageHistory> {
        let state = self.state.lock();
        let view = state.view(window)?;
        let mut series = Vec::new();
        for ((environment, process, instance, release), cells) in state.usage.of(service) {
            let points = view.points(cells, Used::default());
            if points.iter().any(|point| !point.observed.is_zero()) {
                let (environment, process) = (environment.clone(), process.clone());
                series.push(UsageSeries { instance: *instance, environment, release: *release, process, points });
            }
        }
        Ok(UsageHistory { grid: view.grid, series })
    }

    async fn holding(&self) -> Result<Holding> {
        let state = self.state.lock();
        let from = |(step_s, floor): (u64, u64)| (Duration::from_secs(step_s), time(floor.saturating_mul(step_s)));
        Ok(Holding {
            requests_at: state.counted.as_ref().map(|counted| counted.at),
            usage_at: state.used.as_ref().map(|(at, _)| *at),
            instances: state.used.as_ref().map_or(0, |(_, used)| used.len()),
            series: state.requests.len().saturating_add(state.usage.len()),
            bytes: state.memory().into_iter().sum(),
            bytes_max: self.options.bytes_max,
            resolutions: RESOLUTIONS
                .into_iter()
                .zip(state.floors)
                .map(|((step_s, _), floor)| from((step_s, floor)))
                .collect(),
        })
    }
}

/// How a window is read.
struct View {
    grid: Grid,
    resolution: usize,
    /// Length of a step of the resolution, seconds.
    step_s: u64,
}

impl View {
    /// The cells of a series, put together in the steps of the grid.
    fn points<C: Cell<N>, const N: usize>(&self, series: &Series<C, N>, zero: C) -> Vec<C> {
        let mut points = vec![zero; self.grid.len];
        for (step, cell) in series.read(self.resolution, seconds(self.grid.start) / self.step_s) {
            let at = self.grid.index(time(step.saturating_mul(self.step_s)));
            if let Some(point) = at.and_then(|at| points.get_mut(at)) {
                *point = point.plus(&cell);
            }
        }
        points
    }
}

impl State {
    /// Puts away what is new in a look at the gateway.
    fn count(&mut self, look: &GatewayLook) {
        if self.counted.as_ref().is_some_and(|counted| counted.at >= look.at) {
            return;
        }
        let at_s = seconds(look.at);
        let (before, last) = self.counted.take().map(|last| ((last.at, last.since), last.counts)).unzip();
        let last = last.unwrap_or_default();
        let seen = covered(before, look.since, look.at);
        if let Some(seen) = seen {
            self.observed.add(at_s, Observed(micros(seen.span)));
        }
        let zero = Counts::default();
        let mut now = HashMap::with_capacity(last.len());
        for counters in &look.counters {
            let counts = Counts::from(counters);
            if counts.is_zero() {
                continue;
            }
            let key = (counters.service.clone(), counters.environment.clone(), counters.rollout);
            if let Some(seen) = seen {
                let base = if seen.from_zero { &zero } else { last.get(&key).unwrap_or(&zero) };
                let new = counts.since(base);
                if !new.is_zero() {
                    let of = (counters.environment.clone(), counters.release);
                    self.requests.add(&counters.service, of, at_s, new);
                }
            }
            now.insert(key, counts);
        }
        self.counted = Some(Counted { at: look.at, since: look.since, counts: now });
    }

    /// Puts away what is new in a look at the instances.
    fn weigh(&mut self, look: &UsageLook) {
        if self.used.as_ref().is_some_and(|(at, _)| *at >= look.at) {
            return;
        }
        let (before, last) = self.used.take().unzip();
        let last = last.unwrap_or_default();
        let mut now = HashMap::with_capacity(look.instances.len());
        for one in &look.instances {
            let known = last.get(&one.instance);
            now.insert(one.instance, one.cpu_us);
            let before = before.filter(|_| known.is_some()).map(|at| (at, one.started));
            let Some(seen) = covered(before, one.started, look.at) else { continue };
            let base = if seen.from_zero { Some(0) } else { known.copied().flatten() };
            let cpu_us = one.cpu_us.zip(base).map_or(0, |(now, base)| now.checked_sub(base).unwrap_or(now));
            let used = Used { observed: seen.span, cpu_us, memory: one.memory };
            let of = (one.environment.clone(), one.process.clone(), one.instance, one.release);
            self.usage.add(&one.service, of, seconds(look.at), used);
        }
        self.used = Some((look.at, now));
    }

    /// The finest resolution that goes back far enough, and the grid in it.
    fn view(&self, window: Window) -> Result<View> {
        let from_s = seconds(window.from);
        let kept = RESOLUTIONS.into_iter().zip(self.floors).position(|((step_s, _), floor)| from_s / step_s >= floor);
        let resolution = kept.unwrap_or(RESOLUTIONS.len() - 1);
        let [fine, coarse] = RESOLUTIONS;
        let (step_s, _) = if resolution == 0 { fine } else { coarse };
        Ok(View { grid: Grid::over(window, Duration::from_secs(step_s))?, resolution, step_s })
    }

    /// Once a step: forgets what is too old, and more where memory is used up.
    fn keep_bounds(&mut self, now_s: u64, bytes_max: usize) {
        let [(step_s, _), _] = RESOLUTIONS;
        if now_s / step_s == self.trimmed {
            return;
        }
        self.trimmed = now_s / step_s;
        for (floor, (step_s, kept_s)) in self.floors.iter_mut().zip(RESOLUTIONS) {
            *floor = (*floor).max(now_s.saturating_sub(kept_s) / step_s);
        }
        self.trim(now_s);
        // Each turn forgets a part of one resolution: there are no more turns than parts.
        for _ in 0..FORGET_PART * RESOLUTIONS.len() as u64 {
            let memory = self.memory();
            if memory.iter().sum::<usize>() <= bytes_max {
                break;
            }
            let largest = memory.iter().enumerate().max_by_key(|(_, bytes)| **bytes).map_or(0, |(at, _)| at);
            if let (Some(floor), Some((step_s, kept_s))) = (self.floors.get_mut(largest), RESOLUTIONS.get(largest)) {
                *floor = floor.saturating_add(kept_s / step_s / FORGET_PART).min(now_s / step_s);
            }
            self.trim(now_s);
        }
    }

    fn trim(&mut self, now_s: u64) {
        self.requests.trim(self.floors, now_s);
        self.usage.trim(self.floors, now_s);
        self.observed.trim(self.floors, now_s);
    }

    fn memory(&self) -> Each<usize> {
        let mut sum = self.requests.memory();
        for other in [self.usage.memory(), self.observed.memory()] {
            for (sum, more) in sum.iter_mut().zip(other) {
                *sum = sum.saturating_add(more);
            }
        }
        sum
    }
}
