//! What a service's instances say: the last lines, what is searched for in them with its surroundings, and
//! new lines as they come.

use std::convert::Infallible;

use api::access::ServicePath;
use api::deliver::ListEnvironments;
use api::run::{ListInstances, LogLine, LogQuery, WatchLogs};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use base::Result;
use futures_util::{Stream, StreamExt as _, future, stream};
use serde::Deserialize;

use super::{Head, Outcome};
use crate::components::{Empty, Output, plain};
use crate::fault::Fault;
use crate::links;
use crate::shell::{Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Lines shown where nobody says how many.
const LINES: u32 = 300;
/// Most lines shown.
const LINES_MAX: u32 = 2_000;
/// Lines looked through for what is searched for, or for a moment: as many as the API keeps ready.
const LOOKED_THROUGH: u32 = 10_000;
/// Lines shown around the one that a link names.
const AROUND: usize = 60;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/services/{service}/logs", get(show)).route("/services/{service}/logs/tail", get(tail))
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Asked {
    environment: String,
    process: String,
    instance: String,
    stream: String,
    q: String,
    context: String,
    lines: String,
    /// The line that a link names: its instant in microseconds.
    at: String,
}

impl Asked {
    fn query(&self, tail: u32, follow: bool) -> LogQuery {
        LogQuery {
            environment: self.environment.parse().ok(),
            process: self.process.parse().ok(),
            instance: self.instance.parse().ok(),
            tail: Some(tail),
            follow,
        }
    }

    fn path(&self, path: &str, at: &str) -> String {
        let Self { environment, process, instance, stream, .. } = self;
        let searched = if at.is_empty() { self.q.as_str() } else { "" };
        let given = [
            ("environment", environment.as_str()),
            ("process", process),
            ("instance", instance),
            ("stream", stream),
            ("q", searched),
            ("at", at),
        ];
        links::query(path, &given)
    }

    /// Whether a line is among what is asked for, apart from its surroundings.
    fn wants(&self, line: &LogLine) -> bool {
        (self.stream.is_empty() || self.stream == line.stream)
            && (self.q.is_empty() || plain(&line.text).to_lowercase().contains(&self.q.to_lowercase()))
    }
}

/// One line.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<span class="line{% if line.stream == "err" %} err{% else if line.stream == "platform" %} platform{% endif %}{% if found %} found{% endif %}" id="{{ id }}"><a class="at" href="{{ link }}"><time datetime="{{ line.at }}" data-clock>{{ clock }}</time></a> <span class="from">{{ line.process }}·{{ line.instance.short() }}</span> {{ text }}</span>"#
)]
struct LineView {
    line: LogLine,
    id: String,
    link: String,
    clock: String,
    text: Output,
    found: bool,
}

impl HtmlSafe for LineView {}

impl LineView {
    fn of(line: LogLine, asked: &Asked, service: &base::ServiceName) -> Self {
        let at = line.at.micros().to_string();
        let id = format!("l{at}-{}", line.instance.short());
        let link = format!("{}#{id}", asked.path(&format!("/services/{service}/logs"), &at));
        let text = line.at.to_string();
        Self {
            clock: text.get(11..23).unwrap_or(&text).to_owned(),
            text: Output::new(line.text.clone(), &asked.q),
            found: asked.at == at,
            id,
            link,
            line,
        }
    }
}

/// A choice in a list.
struct Choice {
    value: String,
    word: String,
    chosen: bool,
}

fn choices(values: impl Iterator<Item = (String, String)>, chosen: &str) -> Vec<Choice> {
    values.map(|(value, word)| Choice { chosen: value == chosen, value, word }).collect()
}

#[derive(Template)]
#[template(path = "logs.html")]
struct LogsPage {
    shell: Shell,
    head: Head,
    asked: Asked,
    environments: Vec<Choice>,
    instances: Vec<Choice>,
    streams: Vec<Choice>,
    contexts: Vec<Choice>,
    /// Runs of lines that follow one another.
    runs: Vec<Vec<LineView>>,
    looked: usize,
    found: usize,
    tail: Option<String>,
    latest: String,
    empty: Option<Empty>,
}

async fn show(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let mut head = Head::of(&visit, &path.service, "Logs").await?;
    // New lines come by a stream of their own.
    let shell = head.shell(&visit, "Logs").live("");
    let environments = visit.api.get::<ListEnvironments>(&api::Nothing {}).await?.items;
    let instances = visit.api.get::<ListInstances>(&path).await?.items;
    let searching = !asked.q.is_empty() || !asked.stream.is_empty() || !asked.at.is_empty();
    let lines = asked.lines.parse().unwrap_or(LINES).clamp(1, LINES_MAX);
    let query = asked.query(if searching { LOOKED_THROUGH } else { lines }, false);
    let all = last(&visit, &path, &query).await?;
    let looked = all.len();
    let wanted: Vec<usize> = match asked.at.parse::<i64>() {
        Ok(at) => all.iter().position(|line| line.at.micros() >= at).into_iter().collect(),
        Err(_) => all.iter().enumerate().filter(|(_, line)| asked.wants(line)).map(|(at, _)| at).collect(),
    };
    let around = if asked.at.is_empty() { asked.context.parse().unwrap_or(0_usize).min(50) } else { AROUND };
    let most = usize::try_from(LINES_MAX).unwrap_or(usize::MAX);
    let newest = wanted.len().saturating_sub(most);
    let runs = runs(all, wanted.get(newest..).unwrap_or_default(), around);
    let found = wanted.len();
    let runs: Vec<Vec<LineView>> = runs
        .into_iter()
        .map(|run| run.into_iter().map(|line| LineView::of(line, &asked, &path.service)).collect())
        .collect();
    let empty = runs.is_empty().then(|| match looked {
        0 => Empty::new("Nothing was said", "No instance has written a line here, or those that did are long gone."),
        _ => Empty::new("Nothing like that", format!("{looked} lines were looked through.")),
    });
    let tail = asked.at.is_empty().then(|| asked.path(&format!("/services/{}/logs/tail", path.service), ""));
    let named = |words: &[(&str, &str)]| {
        words.iter().map(|(v, w)| ((*v).to_owned(), (*w).to_owned())).collect::<Vec<_>>().into_iter()
    };
    head.about = String::new().into();
    html(&LogsPage {
        environments: choices(
            environments.into_iter().map(|e| (e.environment.to_string(), e.environment.to_string())),
            &asked.environment,
        ),
        instances: choices(
            instances
                .into_iter()
                .map(|i| (i.instance.to_string(), format!("{} {} · {}", i.process, i.instance.short(), i.state))),
            &asked.instance,
        ),
        streams: choices(named(&[("out", "output"), ("err", "errors"), ("platform", "the platform")]), &asked.stream),
        contexts: choices(named(&[("2", "2 lines"), ("5", "5 lines"), ("20", "20 lines")]), &asked.context),
        latest: Asked { at: String::new(), ..asked.clone() }.path(&format!("/services/{}/logs", path.service), ""),
        shell,
        head,
        asked,
        runs,
        looked,
        found,
        tail,
        empty,
    })
}

/// The last lines, to their end.
async fn last(visit: &Visit, path: &ServicePath, query: &LogQuery) -> Result<Vec<LogLine>> {
    let events = visit.api.events::<WatchLogs>(path, query).await?;
    let limit = usize::try_from(LOOKED_THROUGH).unwrap_or(usize::MAX);
    events.take(limit).collect::<Vec<_>>().await.into_iter().collect()
}

/// The wanted lines with those around them; lines that follow one another stand together.
fn runs<T>(all: Vec<T>, wanted: &[usize], around: usize) -> Vec<Vec<T>> {
    let mut wanted = wanted.iter().copied().peekable();
    let mut runs: Vec<Vec<T>> = Vec::new();
    let mut was = false;
    let mut last: Option<usize> = None;
    for (at, line) in all.into_iter().enumerate() {
        while let Some(next) = wanted.next_if(|next| *next <= at) {
            last = Some(next);
        }
        let behind = last.is_some_and(|last| at.saturating_sub(last) <= around);
        let before = wanted.peek().is_some_and(|next| next.saturating_sub(at) <= around);
        if behind || before {
            match runs.last_mut() {
                Some(run) if was => run.push(line),
                _ => runs.push(vec![line]),
            }
        }
        was = behind || before;
    }
    runs
}

/// New lines as pieces of the page.
async fn tail(
    visit: Visit,
    Path(path): Path<ServicePath>,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let lines = visit.api.unattended().events::<WatchLogs>(&path, &asked.query(1, true)).await?;
    let service = path.service;
    let pieces = lines.filter_map(move |line| {
        future::ready(match line {
            Ok(line) if asked.wants(&line) => {
                let piece = LineView::of(line, &asked, &service).to_string();
                // A line break would end the field of the event, a return is none that is allowed.
                Some(Event::default().event("line").data(piece.replace(['\n', '\r'], " ")))
            }
            Ok(_) => None,
            Err(_) => Some(Event::default().event("end").data("over")),
        })
    });
    let over = stream::once(future::ready(Event::default().event("end").data("over")));
    Ok(Sse::new(pieces.chain(over).map(Ok)).keep_alive(KeepAlive::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &[usize], around: usize, expect: &[&[usize]]) {
        assert_eq!(runs((0..10).collect(), wanted, around), expect, "{wanted:?} ± {around}");
    }

    #[test]
    fn lines_stand_with_those_around_them() {
        check(&[], 3, &[]);
        check(&[2, 3, 7], 0, &[&[2, 3], &[7]]);
        check(&[2, 7], 1, &[&[1, 2, 3], &[6, 7, 8]]);
        check(&[2, 7], 2, &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
        check(&[0, 9], 1, &[&[0, 1], &[8, 9]]);
    }

    #[test]
    fn a_line_of_output_is_only_text() {
        let hostile = "\u{1b}[31m<script>alert('x')</script>\u{1b}[0m \u{202e}\"quoted\" \r\n";
        let line = LogLine {
            at: base::Time::from_micros(1_790_000_000_000_000),
            instance: base::InstanceId::new(base::Time::from_micros(1), [1; 10]),
            process: "web".parse().unwrap(),
            stream: "err\"><b>".to_owned(),
            text: hostile.to_owned(),
        };
        let service = "shop".parse().unwrap();
        let asked = Asked { q: "<SCRIPT>".to_owned(), ..Asked::default() };
        assert!(asked.wants(&line));
        let view = LineView::of(line, &asked, &service).to_string();
        assert!(
            !view.contains("<script")
                && !view.contains("<b>")
                && !view.contains('\u{1b}')
                && !view.contains('\u{202e}'),
            "{view}"
        );
        assert!(view.contains("<mark>&lt;script&gt;</mark>"), "{view}");
    }
}
