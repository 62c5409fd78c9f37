//! What a service's instances say: the last lines, what is searched for in them with its surroundings, and
//! new lines as they come.

use std::convert::Infallible;

use api::access::ServicePath;
use api::deliver::ListEnvironments;
use api::run::{
    FoundLine, ListInstances, LogLine, LogQuery, LogSearch, LogSearchQuery, SearchLogs, Stream as Source, WatchLogs,
};
use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use base::Time;
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
/// Lines shown around the one that a link names.
const AROUND: u32 = 60;

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
    /// Where a search goes on, further back.
    after: String,
}

impl Asked {
    /// New lines as they come.
    fn following(&self) -> LogQuery {
        LogQuery {
            environment: self.environment.parse().ok(),
            process: self.process.parse().ok(),
            instance: self.instance.parse().ok(),
            tail: Some(1),
            follow: true,
        }
    }

    /// Past lines: the newest ones, those that hold something, or those around one that a link names.
    fn search(&self) -> LogSearchQuery {
        let around = self.at.parse::<i64>().ok().map(Time::from_micros);
        let lines = self.lines.parse().unwrap_or(LINES).clamp(1, LINES_MAX);
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let place = LogSearchQuery {
            environment: self.environment.parse().ok(),
            process: self.process.parse().ok(),
            instance: self.instance.parse().ok(),
            ..LogSearchQuery::default()
        };
        match around {
            Some(until) => LogSearchQuery { until: Some(until), limit: Some(1), context: Some(AROUND), ..place },
            None => LogSearchQuery {
                stream: serde_json::from_value::<Source>(self.stream.as_str().into()).ok(),
                text: given(&self.q),
                context: self.context.parse().ok(),
                limit: Some(lines),
                after: given(&self.after),
                ..place
            },
        }
    }

    fn is_search(&self) -> bool {
        !self.q.is_empty() || !self.stream.is_empty()
    }

    fn path(&self, path: &str, at: &str) -> String {
        // Around a line stands everything, whatever it was found by.
        let (q, stream) = if at.is_empty() { (self.q.as_str(), self.stream.as_str()) } else { ("", "") };
        self.of_place(path, &[("stream", stream), ("q", q), ("at", at)])
    }

    /// The same search, further back.
    fn further(&self, path: &str, after: &str) -> String {
        let Self { stream, q, context, lines, .. } = self;
        self.of_place(path, &[("stream", stream), ("q", q), ("context", context), ("lines", lines), ("after", after)])
    }

    fn of_place(&self, path: &str, more: &[(&str, &str)]) -> String {
        let Self { environment, process, instance, .. } = self;
        let place = [("environment", environment.as_str()), ("process", process), ("instance", instance)];
        links::query(path, &[&place, more].concat())
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
    source = r#"<span class="line{% if line.stream == "err" %} err{% else if line.stream == "platform" %} platform{% endif %}{% if found %} found{% endif %}{% if beside %} beside{% endif %}" id="{{ id }}"><a class="at" href="{{ link }}"><time datetime="{{ line.at }}" data-clock>{{ clock }}</time></a> <span class="from">{{ line.process }}·{{ line.instance.short() }}</span> {{ text }}</span>"#
)]
struct LineView {
    line: LogLine,
    id: String,
    link: String,
    clock: String,
    text: Output,
    /// It is the one that a link names.
    found: bool,
    /// It stands beside one that was searched for.
    beside: bool,
}

impl HtmlSafe for LineView {}

impl LineView {
    fn of(line: LogLine, beside: bool, asked: &Asked, service: &base::ServiceName) -> Self {
        let at = line.at.micros().to_string();
        let id = format!("l{at}-{}", line.instance.short());
        let link = format!("{}#{id}", asked.path(&format!("/services/{service}/logs"), &at));
        let text = line.at.to_string();
        Self {
            clock: text.get(11..23).unwrap_or(&text).to_owned(),
            text: Output::new(line.text.clone(), &asked.q),
            found: asked.at == at,
            beside,
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
    told: Told,
    /// Where to go on, further back.
    next: Option<String>,
    tail: Option<String>,
    latest: String,
    empty: Option<Empty>,
}

async fn show(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Logs").await?;
    // New lines come by a stream of their own.
    let shell = head.shell(&visit, "Logs").live("");
    let environments = visit.api.get::<ListEnvironments>(&api::Nothing {}).await?.items;
    let instances = visit.api.get::<ListInstances>(&path).await?.items;
    let here = format!("/services/{}/logs", path.service);
    let found = visit.api.ask::<SearchLogs>(&path, &asked.search()).await?;
    let told = Told::of(&found);
    let empty = found.runs.is_empty().then(|| nothing(&asked, &found));
    let next = found.next.filter(|_| asked.at.is_empty()).map(|next| asked.further(&here, &next));
    let view = |one: FoundLine| LineView::of(one.line, asked.is_search() && !one.found, &asked, &path.service);
    let runs = found.runs.into_iter().map(|run| run.into_iter().map(view).collect()).collect();
    let tail = (asked.at.is_empty() && asked.after.is_empty()).then(|| asked.path(&format!("{here}/tail"), ""));
    let named = |words: &[(&str, &str)]| {
        words.iter().map(|(v, w)| ((*v).to_owned(), (*w).to_owned())).collect::<Vec<_>>().into_iter()
    };
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
        latest: Asked { at: String::new(), ..asked.clone() }.path(&here, ""),
        shell,
        head,
        asked,
        runs,
        told,
        next,
        tail,
        empty,
    })
}

/// How far a search has looked.
struct Told {
    found: u32,
    looked: u32,
    back_to: String,
}

impl Told {
    fn of(search: &LogSearch) -> Self {
        let back_to = search.back_to.map_or_else(String::new, |at| at.to_string());
        Self { found: search.found, looked: search.looked, back_to }
    }
}

fn nothing(asked: &Asked, search: &LogSearch) -> Empty {
    match (search.looked, search.next.is_some()) {
        (0, _) if asked.after.is_empty() => {
            Empty::new("No output", "No instance has written a line here, or those that did are long gone.")
        }
        (_, true) => {
            Empty::new("Not in this part", "What was looked through holds nothing like it. The log goes further back.")
        }
        (_, false) => Empty::new("Nothing like that", "Everything that is kept was looked through."),
    }
}

/// New lines as pieces of the page.
async fn tail(
    visit: Visit,
    Path(path): Path<ServicePath>,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let lines = visit.api.unattended().events::<WatchLogs>(&path, &asked.following()).await?;
    let service = path.service;
    let pieces = lines.filter_map(move |line| {
        future::ready(match line {
            Ok(line) if asked.wants(&line) => {
                let piece = LineView::of(line, false, &asked, &service).to_string();
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
        let view = LineView::of(line, false, &asked, &service).to_string();
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
