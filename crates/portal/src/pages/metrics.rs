//! What a service does now and did lately, with what was deployed when.

use std::collections::BTreeMap;

use api::access::ServicePath;
use api::deliver::{ListRollouts, Rollout, RolloutQuery, RolloutState};
use api::observe::{Counted, EnvironmentMetrics, GetMetrics, Metrics, MetricsQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{EnvironmentName, ServiceName, Span};
use serde::Deserialize;

use super::Outcome;
use super::service::Head;
use crate::components::chart::{Mark, Picture, Tone, pictures, requests_in};
use crate::components::{Empty, When};
use crate::links;
use crate::shell::{Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// How far back one can look, and how long a step is then. Sixty or so steps are what a line shows.
const WINDOWS: [(&str, &str); 5] = [("15m", "20s"), ("1h", "1m"), ("3h", "4m"), ("6h", "6m"), ("24h", "24m")];
/// Rollouts that are looked at for marks.
const ROLLOUTS: u32 = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/services/{service}/metrics", get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    environment: String,
    window: String,
}

/// A choice among several: a word and where it leads.
struct Choice {
    word: String,
    path: String,
    current: bool,
}

/// A number with what it is.
pub(super) struct Figure {
    pub(super) word: &'static str,
    pub(super) number: String,
}

#[derive(Template)]
#[template(path = "metrics.html")]
struct MetricsPage {
    shell: Shell,
    head: Head,
    environments: Vec<Choice>,
    windows: Vec<Choice>,
    figures: Vec<Figure>,
    /// Part of the window that was observed, in words; empty where all of it was.
    unseen: String,
    seen: Option<When>,
    pictures: Vec<Picture>,
    empty: Option<Empty>,
}

async fn show(visit: Visit, Path(service): Path<ServiceName>, Query(asked): Query<Asked>) -> Outcome {
    let (window, step) = WINDOWS.into_iter().find(|(word, _)| *word == asked.window).unwrap_or(("1h", "1m"));
    let span = |text: &str| text.parse::<Span>().ok();
    let query = MetricsQuery { window: span(window), step: span(step), ..MetricsQuery::default() };
    let path = ServicePath { service: service.clone() };
    let metrics = visit.api.ask::<GetMetrics>(&path, &query).await?;
    let chosen = choose(&metrics, &asked.environment);
    let head = Head::of(&visit, &service, "Metrics").await?;
    let here = format!("/services/{service}/metrics");
    let Some(environment) = chosen else {
        let text = "Once it is deployed and has a route, its requests are counted here.";
        let empty = Empty::new("Nothing to measure yet", text).command("orlop deploy");
        return html(&MetricsPage::of(head, &metrics, Some(empty), &visit));
    };
    let name = environment.environment.clone();
    let marks = marks(&visit, &service, &name).await?;
    let mut page = MetricsPage::of(head, &metrics, None, &visit);
    let observed = metrics.observed_ms.iter().fold(0u64, |sum, seen| sum.saturating_add(*seen));
    page.figures = figures(&environment.total, observed);
    page.pictures = pictures(&metrics, environment, &marks).into_iter().map(Picture::of).collect();
    let link =
        |environment: &str, window: &str| links::query(&here, &[("environment", environment), ("window", window)]);
    page.environments = metrics
        .environments
        .iter()
        .map(|one| Choice {
            word: one.environment.to_string(),
            path: link(one.environment.as_str(), window),
            current: one.environment == name,
        })
        .collect();
    let choice = |(word, _): (&str, &str)| Choice {
        word: word.to_owned(),
        path: link(name.as_str(), word),
        current: word == window,
    };
    page.windows = WINDOWS.into_iter().map(choice).collect();
    html(&page)
}

impl MetricsPage {
    fn of(head: Head, metrics: &Metrics, empty: Option<Empty>, visit: &Visit) -> Self {
        Self {
            shell: head.shell(visit, "Metrics").every(10),
            head,
            environments: Vec::new(),
            windows: Vec::new(),
            figures: Vec::new(),
            unseen: unseen(metrics),
            seen: metrics.seen.map(|at| When::new(at, visit.now)),
            pictures: Vec::new(),
            empty,
        }
    }
}

/// Requests of the last hour where there were any, with what was deployed when. A page without them is better
/// than none.
pub(super) async fn lately(visit: &Visit, service: &ServiceName) -> BTreeMap<EnvironmentName, Picture> {
    let path = ServicePath { service: service.clone() };
    let query = MetricsQuery { step: "1m".parse().ok(), ..MetricsQuery::default() };
    let Ok(metrics) = visit.api.ask::<GetMetrics>(&path, &query).await else { return BTreeMap::new() };
    let mut pictures = BTreeMap::new();
    for one in metrics.environments.iter().filter(|one| one.total.requests > 0) {
        let marks = marks(visit, service, &one.environment).await.unwrap_or_default();
        pictures.insert(one.environment.clone(), Picture::of(requests_in(&metrics, one, &marks)));
    }
    pictures
}

/// The environment that was asked for; else the one with the most requests.
fn choose<'m>(metrics: &'m Metrics, asked: &str) -> Option<&'m EnvironmentMetrics> {
    let named = metrics.environments.iter().find(|one| one.environment.as_str() == asked);
    // Of several without requests the first one, so that the page stays where it is.
    named.or_else(|| metrics.environments.iter().rev().max_by_key(|one| one.total.requests))
}

/// How much of the window nobody observed.
fn unseen(metrics: &Metrics) -> String {
    let steps = metrics.observed_ms.len();
    let gaps = metrics.observed_ms.iter().filter(|seen| **seen == 0).count();
    match (gaps, steps) {
        (0, _) => String::new(),
        (gaps, steps) if gaps == steps => "Nobody observed the gateway in this time.".to_owned(),
        (gaps, steps) => format!("{gaps} of {steps} steps were not observed; they are grey and count as nothing."),
    }
}

/// Requests a second over a span that was observed, with its unit.
pub(super) fn rate(requests: u64, observed_ms: u64) -> String {
    use crate::components::chart::{Unit, Value};
    let rate = requests as f64 * 1000.0 / observed_ms.max(1) as f64;
    Unit::PerSecond.value(Some(Value::Exactly(rate)))
}

/// The numbers of a span of which so many milliseconds were observed.
pub(super) fn figures(total: &Counted, observed: u64) -> Vec<Figure> {
    use crate::components::chart::{Unit, Value};
    let exactly = |unit: Unit, n: Option<f64>| unit.value(n.map(Value::Exactly));
    let latency = |latency: Option<api::observe::Latency>| {
        Unit::Millis.value(latency.map(|l| Value::Between(f64::from(l.above_ms), l.at_most_ms.map(f64::from))))
    };
    vec![
        Figure { word: "requests a second", number: exactly(Unit::PerSecond, total.per_second(observed)) },
        Figure { word: "failing", number: exactly(Unit::Percent, total.failing().map(|part| part * 100.0)) },
        Figure { word: "half within", number: latency(total.p50) },
        Figure { word: "99 of 100 within", number: latency(total.p99) },
        Figure { word: "requests", number: total.requests.to_string() },
    ]
}

/// What was deployed when: a rollout is marked where it moved the traffic, else where it ended.
async fn marks(visit: &Visit, service: &ServiceName, environment: &EnvironmentName) -> base::Result<Vec<Mark>> {
    let path = ServicePath { service: service.clone() };
    let query = RolloutQuery { limit: Some(ROLLOUTS), after: None, environment: Some(environment.clone()) };
    let rollouts = visit.api.ask::<ListRollouts>(&path, &query).await?;
    Ok(rollouts.items.iter().map(|rollout| mark(service, rollout)).collect())
}

fn mark(service: &ServiceName, rollout: &Rollout) -> Mark {
    let moved = rollout.history.iter().find(|step| step.state == RolloutState::Shifting).map(|step| step.at);
    let (word, tone) = match rollout.state {
        RolloutState::Succeeded => ("became current", Tone::Good),
        RolloutState::Failed | RolloutState::Undoing => ("failed", Tone::Bad),
        RolloutState::Superseded | RolloutState::Cancelled => ("was taken back", Tone::Warn),
        _ => ("is under way", Tone::Main),
    };
    Mark {
        at: moved.or(rollout.ended).unwrap_or(rollout.created),
        label: format!("#{}", rollout.number),
        about: format!("release {} {word} ({}): {}", rollout.number, rollout.cause, rollout.reason),
        href: format!("/services/{service}/rollouts/{}", rollout.rollout),
        tone,
    }
}
