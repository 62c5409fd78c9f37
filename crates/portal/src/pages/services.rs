//! Every service that the reader may see.

use api::PageQuery;
use api::catalog::{Health, ListStatus, ServiceStatus};
use askama::Template;
use axum::Router;
use axum::routing::get;
use base::Time;

use super::Outcome;
use crate::components::{Badge, Empty, Text, When};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/services", get(list))
}

/// A service in one environment, as a line of a table.
pub(crate) struct Line {
    pub service: String,
    pub team: String,
    pub environment: String,
    pub health: Health,
    pub badge: Badge,
    pub reason: Text,
    pub since: Option<When>,
    pub release: Option<i64>,
    pub ready: u32,
    pub wanted: u32,
    pub url: Option<String>,
}

impl Line {
    pub(crate) fn of(status: ServiceStatus, now: Time) -> Vec<Self> {
        let ServiceStatus { service, team, environments } = status;
        let lines = environments.into_iter().map(|place| Self {
            service: service.to_string(),
            team: team.to_string(),
            environment: place.environment.to_string(),
            health: place.health,
            badge: Badge::health(place.health),
            reason: Text(place.reason),
            since: place.since.map(|at| When::new(at, now)),
            release: place.release,
            ready: place.ready,
            wanted: place.wanted,
            url: place.url,
        });
        lines.collect()
    }
}

#[derive(Template)]
#[template(path = "services.html")]
struct ServicesPage {
    shell: Shell,
    lines: Vec<Line>,
    empty: Option<Empty>,
}

async fn list(visit: Visit) -> Outcome {
    let query = PageQuery { limit: Some(500), after: None };
    let status = visit.api.ask::<ListStatus>(&api::Nothing {}, &query).await?;
    let lines: Vec<Line> = status.items.into_iter().flat_map(|one| Line::of(one, visit.now)).collect();
    let empty =
        lines.is_empty().then(|| Empty::new("No services", "A push to a free name makes one.").command("orlop deploy"));
    html(&ServicesPage { shell: visit.shell(Section::Services, "Services").live("*"), lines, empty })
}
