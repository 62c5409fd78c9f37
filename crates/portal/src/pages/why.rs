//! Why a service is as it is: the answer, the chain of facts that it follows from, and what a person can do.

use api::access::ServicePath;
use api::catalog::{GetStatus, WhyQuery, WhyService};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde::Deserialize;

use super::Outcome;
use crate::components::{Badge, Text, When, say_actor};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/why/{service}", get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    environment: String,
}

struct PlaceLine {
    environment: String,
    badge: Badge,
    reason: Text,
    since: Option<When>,
    evidence: Vec<Text>,
    next: Option<Text>,
    deadline: Option<When>,
    rollout: Option<String>,
}

struct Fact {
    at: When,
    actor: Text,
    what: Text,
    seq: i64,
    path: String,
}

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage {
    shell: Shell,
    service: String,
    answer: Text,
    places: Vec<PlaceLine>,
    because: Vec<Fact>,
    advice: Vec<Text>,
}

async fn show(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let query = WhyQuery { environment: asked.environment.parse().ok() };
    let (why, status) =
        tokio::try_join!(visit.api.ask::<WhyService>(&path, &query), visit.api.get::<GetStatus>(&path))?;
    let service = path.service.to_string();
    let places = status
        .environments
        .into_iter()
        .filter(|place| query.environment.as_ref().is_none_or(|only| *only == place.environment))
        .map(|place| PlaceLine {
            environment: place.environment.to_string(),
            badge: Badge::health(place.health),
            reason: Text::from(place.reason),
            since: place.since.map(|at| When::new(at, visit.now)),
            evidence: place.evidence.into_iter().map(Text::from).collect(),
            next: place.next.map(Text::from),
            deadline: place.deadline.map(|at| When::new(at, visit.now)),
            rollout: place.rollout.map(|id| format!("/services/{service}/rollouts/{id}")),
        })
        .collect();
    let because = why.because.into_iter().map(|fact| Fact {
        at: When::new(fact.at, visit.now),
        actor: Text(fact.actor.parse().map_or_else(|_| fact.actor.clone(), |actor| say_actor(&actor))),
        what: Text::from(fact.what),
        seq: fact.seq.0,
        path: format!("/services/{service}/activity#{}", fact.seq),
    });
    let shell = visit
        .shell(Section::Services, format!("Why {service} is as it is"))
        .crumb("Services", "/services")
        .crumb(&service, format!("/services/{service}"))
        .live(&service);
    html(&WhyPage {
        shell,
        answer: Text::from(why.answer),
        places,
        because: because.collect(),
        advice: why.advice.into_iter().map(Text::from).collect(),
        service,
    })
}
