//! The pictures of a service: from what the API tells of its recent past.

use std::time::Duration;

use api::observe::{Counted, EnvironmentMetrics, InstanceMetrics, Latency, Metrics, Used};
use base::Bytes;

use super::{Chart, Form, Mark, Series, Tone, Unit, Value};

/// Instances that have a line of their own in a picture.
const LINES_MAX: usize = 12;

/// All pictures of a service in one environment.
pub(crate) fn pictures(metrics: &Metrics, environment: &EnvironmentMetrics, marks: &[Mark]) -> Vec<Chart> {
    let of = Pictures { metrics, marks };
    let mut all = vec![of.requests(environment), of.latency(environment), of.failing(environment)];
    all.extend((environment.releases.len() > 1).then(|| of.releases(environment)));
    if !environment.instances.is_empty() {
        all.push(of.cpu(&environment.instances));
        all.push(of.memory(&environment.instances));
    }
    all.push(of.bytes(environment));
    all
}

/// Requests of one environment, for a page that shows several.
pub(crate) fn requests_in(metrics: &Metrics, environment: &EnvironmentMetrics, marks: &[Mark]) -> Chart {
    let chart = Pictures { metrics, marks }.requests(environment);
    Chart { title: format!("Requests in {}", environment.environment), ..chart }
}

struct Pictures<'a> {
    metrics: &'a Metrics,
    marks: &'a [Mark],
}

impl Pictures<'_> {
    fn chart(&self, title: &str, unit: Unit, series: Vec<Series>) -> Chart {
        Chart {
            title: title.to_owned(),
            unit,
            start: self.metrics.start,
            step: Duration::from_millis(self.metrics.step_ms),
            len: self.metrics.observed_ms.len(),
            series,
            marks: self.marks.to_vec(),
        }
    }

    /// What happened in a second of each step that was observed.
    fn rates(&self, points: &[Counted], of: impl Fn(&Counted) -> u64) -> Vec<Option<Value>> {
        let rate = |(point, seen): (&Counted, &u64)| {
            (*seen > 0).then(|| Value::Exactly(of(point) as f64 * 1000.0 / *seen as f64))
        };
        points.iter().zip(&self.metrics.observed_ms).map(rate).collect()
    }

    fn requests(&self, environment: &EnvironmentMetrics) -> Chart {
        let series = |name: &str, tone, of: fn(&Counted) -> u64| Series {
            name: name.to_owned(),
            form: Form::Stacked,
            tone,
            points: self.rates(&environment.points, of),
        };
        let all = vec![
            series("answered well", Tone::Main, |c| c.ok),
            series("refused (4xx)", Tone::Warn, |c| c.client_errors),
            series("failed (5xx)", Tone::Bad, |c| c.server_errors),
        ];
        self.chart("Requests", Unit::PerSecond, all)
    }

    fn latency(&self, environment: &EnvironmentMetrics) -> Chart {
        let bounds = |latency: Latency| Value::Between(f64::from(latency.above_ms), latency.at_most_ms.map(f64::from));
        let series = |name: &str, tone, of: fn(&Counted) -> Option<Latency>| Series {
            name: name.to_owned(),
            form: Form::Band,
            tone,
            points: environment.points.iter().map(|point| of(point).map(bounds)).collect(),
        };
        let all = vec![
            series("99 of 100 within", Tone::Third, |c| c.p99),
            series("90 of 100 within", Tone::Second, |c| c.p90),
            series("half within", Tone::Main, |c| c.p50),
        ];
        self.chart("Latency", Unit::Millis, all)
    }

    fn failing(&self, environment: &EnvironmentMetrics) -> Chart {
        let part = |point: &Counted| point.failing().map(|part| Value::Exactly(part * 100.0));
        let points = environment.points.iter().map(part).collect();
        let series = Series { name: "of all requests".to_owned(), form: Form::Line, tone: Tone::Bad, points };
        self.chart("Failing", Unit::Percent, vec![series])
    }

    fn releases(&self, environment: &EnvironmentMetrics) -> Chart {
        let series = environment.releases.iter().enumerate().map(|(number, release)| Series {
            name: release.release.map_or_else(|| "no instance".to_owned(), |release| release.short()),
            form: Form::Stacked,
            tone: if release.release.is_some() { Tone::of(number) } else { Tone::Bad },
            points: self.rates(&release.points, |c| c.requests),
        });
        self.chart("Requests by release", Unit::PerSecond, series.collect())
    }

    fn cpu(&self, instances: &[InstanceMetrics]) -> Chart {
        let millicores = |used: &Used| used.millicores().map(Value::Exactly);
        self.chart("Processor by instance", Unit::Millicores, lines(instances, millicores))
    }

    fn memory(&self, instances: &[InstanceMetrics]) -> Chart {
        let bytes = |used: &Used| used.memory.map(|Bytes(n)| Value::Exactly(n as f64));
        self.chart("Memory by instance", Unit::Bytes, lines(instances, bytes))
    }

    fn bytes(&self, environment: &EnvironmentMetrics) -> Chart {
        let series = |name: &str, tone, of: fn(&Counted) -> u64| Series {
            name: name.to_owned(),
            form: Form::Line,
            tone,
            points: self.rates(&environment.points, of),
        };
        let all =
            vec![series("answers", Tone::Main, |c| c.bytes_out), series("requests", Tone::Second, |c| c.bytes_in)];
        self.chart("Bytes a second", Unit::Bytes, all)
    }
}

/// A line for each instance that is seen in the window, the newest of them where there are too many.
fn lines(instances: &[InstanceMetrics], of: impl Fn(&Used) -> Option<Value>) -> Vec<Series> {
    let line = |(number, instance): (usize, &InstanceMetrics)| Series {
        name: format!("{} {}", instance.process, instance.instance.short()),
        form: Form::Line,
        tone: Tone::of(number),
        points: instance.points.iter().map(&of).collect(),
    };
    let skipped = instances.len().saturating_sub(LINES_MAX);
    instances.iter().skip(skipped).enumerate().map(line).collect()
}
