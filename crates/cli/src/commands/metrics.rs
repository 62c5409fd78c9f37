use api::Nothing;
use api::access::ServicePath;
use api::observe::{
    Counted, EnvironmentMetrics, GetMetrics, InstanceMetrics, Latency, ListMetrics, Metrics, MetricsQuery,
    OverviewQuery, PlaceMetrics,
};
use base::{Bytes, EnvironmentName, Result, Span};

use crate::Exit;
use crate::args::{Paging, WhichFirst};
use crate::context::Ctx;
use crate::output::{Paint, Table};
use crate::text::{bytes, number, or_dash, spark};

/// As wide as a sparkline becomes.
const BARS: usize = 30;

/// Show recent requests, errors and latency of a service, and what its instances use
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop metrics
  orlop metrics shop --env prod --window 6h
  orlop metrics --all

A dot in a line of bars is a time that nobody observed. Latencies are told as the bounds
between which they lie.")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
    /// Only this environment; default: all
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
    /// How far back, 1m to 24h; default 1h, with --all 5m
    #[arg(short, long, value_name = "SPAN")]
    window: Option<Span>,
    /// All services that you may see, in short
    #[arg(short, long, conflicts_with = "service")]
    all: bool,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        if self.all { self.overview(ctx).await } else { self.detail(ctx).await }
    }

    async fn detail(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let query = MetricsQuery { environment: self.environment, window: self.window, ..MetricsQuery::default() };
        let metrics = ctx.client().await?.list::<GetMetrics>(&path, &query).await?;
        ctx.out.reply(&metrics, |paint| detail(&metrics, *paint))?;
        Ok(Exit::Done)
    }

    async fn overview(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let query = OverviewQuery {
            limit: self.paging.limit,
            after: self.paging.after,
            services: None,
            environment: self.environment,
            window: self.window,
        };
        let page = ctx.client().await?.list::<ListMetrics>(&Nothing {}, &query).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["SERVICE", "ENV", "REQ/S", "FAILING", "P50", "P99", "OVER TIME"]);
            for place in &page.items {
                table.plain(short(place));
            }
            table.show(*paint, "No routes yet: orlop deploy.")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}

fn short(place: &PlaceMetrics) -> [String; 7] {
    let [rate, failing, p50, _, p99] = figures(&place.total, place.observed_ms);
    let recent: Vec<_> = place.recent.iter().map(|n| n.map(|n| n as f64)).collect();
    [place.service.to_string(), place.environment.to_string(), rate, failing, p50, p99, spark(&recent)]
}

fn detail(metrics: &Metrics, paint: Paint) -> String {
    let seconds: u64 = metrics.observed_ms.iter().sum::<u64>() / 1000;
    let whole = metrics.observed_ms.len() as u64 * metrics.step_ms / 1000;
    let mut text = format!("Observed {seconds} s of {whole} s, in steps of {} s.\n", metrics.step_ms / 1000);
    let mut table = Table::new(["ENV", "RELEASE", "REQ/S", "FAILING", "P50", "P90", "P99", "REQUESTS", "OVER TIME"]);
    for environment in &metrics.environments {
        table.plain(row(metrics, environment, "all", &environment.total, &environment.points));
        for release in environment.releases.iter().filter(|_| environment.releases.len() > 1) {
            let name = release.release.map_or_else(|| "none".to_owned(), |release| release.short());
            table.plain(row(metrics, environment, &name, &release.total, &release.points));
        }
    }
    text.push_str(&table.show(paint, "No route and no requests."));
    let mut used = Table::new(["ENV", "PROCESS", "INSTANCE", "CPU", "MEMORY", "CPU OVER TIME"]);
    for environment in &metrics.environments {
        for instance in &environment.instances {
            used.plain(usage(environment, instance));
        }
    }
    if metrics.environments.iter().any(|environment| !environment.instances.is_empty()) {
        text.push_str("\n\n");
        text.push_str(&used.text(paint));
    }
    text
}

fn row(
    metrics: &Metrics,
    environment: &EnvironmentMetrics,
    release: &str,
    total: &Counted,
    points: &[Counted],
) -> [String; 9] {
    let [rate, failing, p50, p90, p99] = figures(total, metrics.observed_ms.iter().sum());
    let rates: Vec<_> = points.iter().zip(&metrics.observed_ms).map(|(point, seen)| point.per_second(*seen)).collect();
    let requests = total.requests.to_string();
    let line = spark(&squeeze(&rates));
    [environment.environment.to_string(), release.to_owned(), rate, failing, p50, p90, p99, requests, line]
}

fn figures(total: &Counted, observed_ms: u64) -> [String; 5] {
    let percent = |part: f64| if part == 0.0 { "0%".to_owned() } else { format!("{}%", number(part * 100.0)) };
    [
        or_dash(total.per_second(observed_ms).map(number)),
        or_dash(total.failing().map(percent)),
        latency(total.p50),
        latency(total.p90),
        latency(total.p99),
    ]
}

fn latency(latency: Option<Latency>) -> String {
    or_dash(latency.map(|Latency { above_ms, at_most_ms }| match at_most_ms {
        Some(at_most) => format!("{above_ms}–{at_most} ms"),
        None => format!(">{above_ms} ms"),
    }))
}

fn usage(environment: &EnvironmentMetrics, instance: &InstanceMetrics) -> [String; 6] {
    let cpu: Vec<_> = instance.points.iter().map(api::observe::Used::millicores).collect();
    let memory = instance.points.iter().rev().find_map(|point| point.memory);
    [
        environment.environment.to_string(),
        instance.process.to_string(),
        instance.instance.short(),
        or_dash(cpu.iter().rev().flatten().next().map(|millis| format!("{millis:.0}m"))),
        or_dash(memory.map(|Bytes(n)| bytes(n))),
        spark(&squeeze(&cpu)),
    ]
}

/// Neighbours together, until there are few enough to stand in a line: the mean of what is known.
fn squeeze(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let together = values.len().div_ceil(BARS).max(1);
    let mean = |some: &[Option<f64>]| {
        let known: Vec<f64> = some.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    values.chunks(together).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_become_short_and_gaps_stay() {
        let values: Vec<_> = (0..90).map(|n| (n >= 30).then_some(f64::from(n))).collect();
        let got = squeeze(&values);
        assert_eq!((got.len(), got[0], got[10]), (30, None, Some(31.0)));
        assert_eq!(squeeze(&[Some(1.0), None]), [Some(1.0), None]);
    }
}
