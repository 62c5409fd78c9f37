//! Every service that the reader may see.

use api::access::ListTeams;
use api::catalog::{CountStatus, EnvironmentStatus, Health, ListStatus, ServiceStatus, StatusOrder, StatusQuery};
use api::{Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use base::Time;
use serde::Deserialize;

use super::Outcome;
use crate::components::{Badge, Empty, Text, When};
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Services on one page.
const PAGE: u32 = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/services", get(list))
}

/// A service as a line of a table.
pub(crate) struct Line {
    pub service: String,
    pub team: String,
    pub description: Text,
    pub kind: String,
    pub places: Vec<Place>,
    /// Why the one that needs somebody most is as it is.
    pub reason: Text,
    pub since: Option<When>,
}

/// A service in one environment.
pub(crate) struct Place {
    pub environment: String,
    pub badge: Badge,
    pub release: Option<i64>,
    pub ready: u32,
    pub wanted: u32,
    pub url: Option<String>,
}

impl Line {
    pub(crate) fn of(status: ServiceStatus, now: Time) -> Self {
        let worst = status.environments.iter().min_by_key(|place| Badge::health(place.health).tone);
        Self {
            service: status.service.to_string(),
            team: status.team.to_string(),
            description: Text(status.description),
            kind: status.kind.unwrap_or_default(),
            reason: Text(worst.map_or_else(|| "never deployed".to_owned(), |place| place.reason.clone())),
            since: worst.and_then(|place| place.since).map(|at| When::new(at, now)),
            places: status.environments.into_iter().map(Place::of).collect(),
        }
    }
}

impl Place {
    fn of(place: EnvironmentStatus) -> Self {
        Self {
            environment: place.environment.to_string(),
            badge: Badge::health(place.health),
            release: place.release,
            ready: place.ready,
            wanted: place.wanted,
            // Only what a browser opens as a page.
            url: place.url.filter(|url| url.starts_with("http://") || url.starts_with("https://")),
        }
    }
}

/// What the reader asked for, as it stands in the address.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub(crate) struct Asked {
    q: String,
    team: String,
    health: String,
    kind: String,
    sort: String,
    after: String,
}

impl Asked {
    fn query(&self) -> StatusQuery {
        let word = |text: &str| serde_json::Value::from(text);
        let given = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        StatusQuery {
            limit: Some(PAGE),
            after: given(&self.after),
            team: self.team.parse().ok(),
            health: serde_json::from_value::<Health>(word(&self.health)).ok(),
            kind: given(&self.kind),
            search: given(&self.q),
            sort: serde_json::from_value::<StatusOrder>(word(&self.sort)).ok(),
        }
    }

    fn path(&self, sort: &str, after: &str) -> String {
        let Self { q, team, health, kind, .. } = self;
        let given =
            [("q", q.as_str()), ("team", team), ("health", health), ("kind", kind), ("sort", sort), ("after", after)];
        links::query("/services", &given)
    }

    fn is_filtered(&self) -> bool {
        [&self.q, &self.team, &self.health, &self.kind].iter().any(|text| !text.is_empty())
    }
}

/// A heading by which the list can be sorted.
struct Heading {
    word: &'static str,
    path: String,
    current: bool,
}

/// A filter that many want, with how much it finds.
struct View {
    word: String,
    path: String,
    current: bool,
}

#[derive(Template)]
#[template(path = "services.html")]
struct ServicesPage {
    shell: Shell,
    asked: Asked,
    total: u32,
    teams: Vec<String>,
    healths: [&'static str; 6],
    kinds: [&'static str; 3],
    views: Vec<View>,
    headings: Vec<Heading>,
    lines: Vec<Line>,
    next: Option<String>,
    empty: Option<Empty>,
}

const HEALTHS: [&str; 6] = ["down", "degraded", "changing", "unknown", "healthy", "empty"];

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let page = visit.api.ask::<ListStatus>(&Nothing {}, &asked.query()).await?;
    let counts = visit.api.get::<CountStatus>(&Nothing {}).await?;
    let teams = visit.api.ask::<ListTeams>(&Nothing {}, &PageQuery { limit: Some(200), after: None }).await?;
    let next = page.next.map(|after| asked.path(&asked.sort, &after));
    let lines: Vec<Line> = page.items.into_iter().map(|one| Line::of(one, visit.now)).collect();
    let empty = lines.is_empty().then(|| match asked.is_filtered() {
        true => Empty::new("Nothing like that", "No service that you may see fits what is asked for."),
        false => Empty::new("No services yet", "A push to a free name makes one.")
            .command("orlop new web hello && cd hello && orlop deploy"),
    });
    let heading = |word, sort: &str| Heading { word, path: asked.path(sort, ""), current: asked.sort == sort };
    html(&ServicesPage {
        shell: visit.shell(Section::Services, "Services").live("*"),
        total: counts.services,
        teams: teams.items.into_iter().map(|team| team.team.to_string()).collect(),
        healths: HEALTHS,
        kinds: ["web", "worker", "site"],
        views: views(&asked, &counts.places),
        headings: vec![
            heading("Service", ""),
            heading("Team", "team"),
            heading("State", "health"),
            heading("Since", "change"),
        ],
        lines,
        next,
        empty,
        asked,
    })
}

fn views(asked: &Asked, counts: &std::collections::BTreeMap<String, u32>) -> Vec<View> {
    let all = View { word: "All".to_owned(), path: "/services".to_owned(), current: !asked.is_filtered() };
    let by_health = HEALTHS.iter().filter_map(|health| {
        let count = counts.get(*health)?;
        Some(View {
            word: format!("{health} {count}"),
            path: format!("/services?health={health}"),
            current: asked.health == *health,
        })
    });
    std::iter::once(all).chain(by_health).collect()
}
