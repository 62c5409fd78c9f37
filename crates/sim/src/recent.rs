//! Recent history, the long way round: it keeps every look and works each answer out anew.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, ServiceName, Time};
use parking_lot::Mutex;
use ports::{
    Counts, GatewayLook, Grid, Holding, RequestHistory, RequestSeries, Signals, UsageHistory, UsageLook, UsageSeries,
    Used, Window, covered,
};

/// Looks that are kept of each sort.
const LOOKS: usize = 1_000;
/// Steps are whole seconds.
const UNIT: Duration = Duration::from_secs(1);

/// The history as one life of the control plane has it.
#[derive(Default)]
pub struct Recent {
    gateway: Mutex<VecDeque<GatewayLook>>,
    usage: Mutex<VecDeque<UsageLook>>,
}

fn keep<T>(looks: &Mutex<VecDeque<T>>, look: T, at: fn(&T) -> Time) {
    let mut looks = looks.lock();
    if looks.back().is_none_or(|last| at(last) < at(&look)) {
        looks.push_back(look);
    }
    while looks.len() > LOOKS {
        looks.pop_front();
    }
}

#[async_trait]
impl Signals for Recent {
    async fn record_requests(&self, look: &GatewayLook) -> Result<()> {
        keep(&self.gateway, look.clone(), |look| look.at);
        Ok(())
    }

    async fn record_usage(&self, look: &UsageLook) -> Result<()> {
        keep(&self.usage, look.clone(), |look| look.at);
        Ok(())
    }

    async fn requests(&self, service: &ServiceName, window: Window) -> Result<RequestHistory> {
        let grid = Grid::over(window, UNIT)?;
        let mut observed = vec![Duration::ZERO; grid.len];
        let mut series = BTreeMap::new();
        let looks = self.gateway.lock();
        let mut before: Option<&GatewayLook> = None;
        for look in looks.iter() {
            let seen = covered(before.map(|look| (look.at, look.since)), look.since, look.at);
            let last = before.replace(look);
            let (Some(seen), Some(step)) = (seen, grid.index(look.at)) else { continue };
            observed[step] += seen.span;
            for now in look.counters.iter().filter(|counters| counters.service == *service) {
                let same = |c: &&ports::BackendCounters| {
                    (&c.service, &c.environment, c.rollout) == (&now.service, &now.environment, now.rollout)
                };
                let known = last.filter(|_| !seen.from_zero).and_then(|look| look.counters.iter().find(same));
                let counted = Counts::from(now).since(&known.map(Counts::from).unwrap_or_default());
                let points = series
                    .entry((now.environment.clone(), now.release))
                    .or_insert_with(|| vec![Counts::default(); grid.len]);
                points[step] = points[step].plus(&counted);
            }
        }
        series.retain(|_, points: &mut Vec<Counts>| points.iter().any(|point| !point.is_zero()));
        let series =
            series.into_iter().map(|((environment, release), points)| RequestSeries { environment, release, points });
        Ok(RequestHistory { grid, observed, series: series.collect() })
    }

    async fn usage(&self, service: &ServiceName, window: Window) -> Result<UsageHistory> {
        let grid = Grid::over(window, UNIT)?;
        let mut series = BTreeMap::new();
        let looks = self.usage.lock();
        let mut before: Option<&UsageLook> = None;
        for look in looks.iter() {
            let last = before.replace(look);
            let Some(step) = grid.index(look.at) else { continue };
            for now in look.instances.iter().filter(|one| one.service == *service) {
                let known = last
                    .and_then(|look| Some((look.at, look.instances.iter().find(|one| one.instance == now.instance)?)));
                let Some(seen) = covered(known.map(|(at, _)| (at, now.started)), now.started, look.at) else {
                    continue;
                };
                let base = if seen.from_zero { Some(0) } else { known.and_then(|(_, one)| one.cpu_us) };
                let cpu_us = now.cpu_us.zip(base).map_or(0, |(now, base)| now.checked_sub(base).unwrap_or(now));
                let key = (now.environment.clone(), now.process.clone(), now.instance, now.release);
                let points = series.entry(key).or_insert_with(|| vec![Used::default(); grid.len]);
                points[step] = points[step].plus(&Used { observed: seen.span, cpu_us, memory: now.memory });
            }
        }
        let series = series.into_iter().map(|((environment, process, instance, release), points)| UsageSeries {
            instance,
            environment,
            release,
            process,
            points,
        });
        Ok(UsageHistory { grid, series: series.collect() })
    }

    async fn holding(&self) -> Result<Holding> {
        let (gateway, usage) = (self.gateway.lock(), self.usage.lock());
        let oldest = gateway.front().map_or(Time::from_micros(0), |look| look.at);
        Ok(Holding {
            requests_at: gateway.back().map(|look| look.at),
            usage_at: usage.back().map(|look| look.at),
            instances: usage.back().map_or(0, |look| look.instances.len()),
            resolutions: vec![(UNIT, oldest)],
            ..Holding::default()
        })
    }
}
