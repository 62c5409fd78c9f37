//! The help: documents, the service file, the API, every code of an error, and a search over all of it.

use api::errors::{ErrorCode, error_codes, explain_error};
use api::manifest::{Explanation, explanations};
use api::{Access, Row, TABLE};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::Problem;
use serde::Deserialize;

use super::Outcome;
use crate::fault::Fault;
use crate::help::{Found, Topic, search, topics};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/help", get(index))
        .route("/help/service-file", get(service_file))
        .route("/help/api", get(endpoints))
        .route("/help/errors", get(errors))
        .route("/help/errors/{code}", get(error))
        .route("/help/{topic}", get(topic))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    q: String,
}

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    shell: Shell,
    q: String,
    found: Vec<Found>,
    topics: &'static [Topic],
    codes: usize,
    keys: usize,
    endpoints: usize,
}

async fn index(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let q: String = asked.q.chars().take(100).collect();
    html(&HelpPage {
        shell: visit.shell(Section::Help, "Help"),
        found: search(&q),
        q,
        topics: topics(),
        codes: error_codes().len(),
        keys: explanations().len(),
        endpoints: TABLE.len(),
    })
}

#[derive(Template)]
#[template(path = "help_topic.html")]
struct TopicPage {
    shell: Shell,
    topic: &'static Topic,
}

async fn topic(visit: Visit, Path(name): Path<String>) -> Outcome {
    let topic = topics().iter().find(|topic| topic.topic == name).ok_or_else(no_topic)?;
    html(&TopicPage { shell: visit.shell(Section::Help, topic.title).crumb("Help", "/help"), topic })
}

fn no_topic() -> Fault {
    Fault(Problem::not_found("help-not-found", "there is no such page of the help").hint("look for it: /help"))
}

#[derive(Template)]
#[template(path = "help_service_file.html")]
struct ServiceFilePage {
    shell: Shell,
    keys: Vec<Explanation>,
}

async fn service_file(visit: Visit) -> Outcome {
    let shell = visit.shell(Section::Help, "The service file").crumb("Help", "/help");
    html(&ServiceFilePage { shell, keys: explanations() })
}

/// An endpoint, as a line.
struct EndpointLine {
    id: &'static str,
    call: String,
    summary: &'static str,
    who: String,
}

impl EndpointLine {
    fn of(row: &Row) -> Self {
        let action = |action: api::Action| format!("{action:?}").to_lowercase();
        let who = match row.access {
            Access::Public => "anybody".to_owned(),
            Access::SignedIn => "anybody who is signed in; shows what they may see".to_owned(),
            Access::Platform(_) => "platform admins".to_owned(),
            Access::Team(of) => format!("who may {} in the team", action(of)),
            Access::Service(of) => format!("who may {} in the service's team", action(of)),
            Access::ServiceOrNew(of) => format!("who may {} in the service's team, or make it", action(of)),
        };
        Self { id: row.id, call: format!("{} {}", row.method.word(), row.path), summary: row.summary.trim(), who }
    }
}

#[derive(Template)]
#[template(path = "help_api.html")]
struct ApiPage {
    shell: Shell,
    endpoints: Vec<EndpointLine>,
}

async fn endpoints(visit: Visit) -> Outcome {
    let shell = visit.shell(Section::Help, "The API").crumb("Help", "/help");
    html(&ApiPage { shell, endpoints: TABLE.iter().map(EndpointLine::of).collect() })
}

struct Group {
    name: &'static str,
    codes: Vec<ErrorCode>,
}

#[derive(Template)]
#[template(path = "help_errors.html")]
struct ErrorsPage {
    shell: Shell,
    groups: Vec<Group>,
}

async fn errors(visit: Visit) -> Outcome {
    let mut groups: Vec<Group> = Vec::new();
    for code in error_codes() {
        match groups.last_mut().filter(|group| group.name == code.group) {
            Some(group) => group.codes.push(*code),
            None => groups.push(Group { name: code.group, codes: vec![*code] }),
        }
    }
    html(&ErrorsPage { shell: visit.shell(Section::Help, "Errors").crumb("Help", "/help"), groups })
}

#[derive(Template)]
#[template(path = "help_error.html")]
struct ErrorPage {
    shell: Shell,
    code: ErrorCode,
    beside: Vec<ErrorCode>,
}

async fn error(visit: Visit, Path(code): Path<String>) -> Outcome {
    let code = explain_error(&code).ok_or_else(|| {
        Fault(
            Problem::not_found("help-not-found", "there is no such code of an error").hint("all of them: /help/errors"),
        )
    })?;
    let beside = error_codes().iter().filter(|other| other.group == code.group && other.code != code.code).copied();
    let shell = visit.shell(Section::Help, code.code).crumb("Help", "/help").crumb("Errors", "/help/errors");
    html(&ErrorPage { shell, code, beside: beside.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_told() {
        for row in TABLE.iter() {
            let line = EndpointLine::of(row);
            assert!(!line.summary.is_empty() && !line.who.is_empty(), "{}", line.id);
        }
    }
}
