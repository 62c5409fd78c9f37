//! What is mine, what changed, what waits for me.

use std::time::Duration;

use api::Nothing;
use api::PageQuery;
use api::access::{ListTokens, Token, TokenKind};
use api::catalog::{CountStatus, EnvironmentStatus, Health, ListStatus, ServiceStatus, StatusOrder, StatusQuery};
use api::platform::{Doctor, DoctorQuery, Verdict};
use askama::Template;
use axum::Router;
use axum::routing::get;
use base::Time;

use super::Outcome;
use super::services::Line;
use crate::components::{Badge, Empty, Text, When};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// A token that ends within this span waits for its owner.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// Most lines of one sort.
const LINES: u32 = 12;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(show))
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    counts: Vec<(u32, Badge, &'static str)>,
    crashing: Vec<Crash>,
    waiting: Vec<Line>,
    expiring: Vec<(Text, When)>,
    changed: Vec<Line>,
    checks: Vec<(Badge, Text, Text, Text)>,
    empty: Option<Empty>,
}

/// A process that crashes again and again.
struct Crash {
    service: String,
    environment: String,
    process: String,
    crashes: u32,
    trouble: Text,
    last_line: Option<Text>,
}

impl Crash {
    /// Each of a service's.
    fn of(status: ServiceStatus) -> Vec<Self> {
        let service = status.service.to_string();
        let of = |place: EnvironmentStatus| {
            let crash = place.crash_loop?;
            Some(Self {
                service: service.clone(),
                environment: place.environment.to_string(),
                process: crash.process.to_string(),
                crashes: crash.crashes,
                trouble: Text(crash.trouble),
                last_line: crash.last_line.map(Text),
            })
        };
        status.environments.into_iter().filter_map(of).collect()
    }
}

async fn show(visit: Visit) -> Outcome {
    let counted = visit.api.get::<CountStatus>(&Nothing {}).await?;
    let query = StatusQuery { crash_loop: Some(true), limit: Some(LINES), ..StatusQuery::default() };
    let crashing = visit.api.ask::<ListStatus>(&Nothing {}, &query).await?.items;
    let mut waiting = Vec::new();
    for health in [Health::Down, Health::Degraded] {
        waiting.extend(some(&visit, StatusQuery { health: Some(health), ..StatusQuery::default() }).await?);
    }
    waiting.dedup_by(|a, b| a.service == b.service);
    let changed = some(&visit, StatusQuery { sort: Some(StatusOrder::Change), ..StatusQuery::default() }).await?;
    let tokens = visit.api.ask::<ListTokens>(&Nothing {}, &PageQuery { limit: Some(500), after: None }).await?;
    let checks = visit.api.ask::<Doctor>(&Nothing {}, &DoctorQuery::default()).await?;
    let counts = HEALTHS
        .iter()
        .filter_map(|(health, word)| Some((*counted.places.get(*word)?, Badge::health(*health), *word)))
        .collect();
    let empty = (counted.services == 0).then(|| {
        Empty::new("Nothing runs yet", "Push a repository, and this page shows how it gets on.")
            .command("orlop new web hello && cd hello && orlop deploy")
    });
    html(&HomePage {
        counts,
        crashing: crashing.into_iter().flat_map(Crash::of).collect(),
        waiting,
        changed,
        expiring: expiring(tokens.items, visit.now),
        checks: checks.items.into_iter().filter_map(check).collect(),
        empty,
        shell: visit.shell(Section::Home, "Home").live("*"),
    })
}

async fn some(visit: &Visit, query: StatusQuery) -> base::Result<Vec<Line>> {
    let query = StatusQuery { limit: Some(LINES), ..query };
    let page = visit.api.ask::<ListStatus>(&Nothing {}, &query).await?;
    Ok(page.items.into_iter().map(|one| Line::of(one, visit.now)).collect())
}

fn expiring(tokens: Vec<Token>, now: Time) -> Vec<(Text, When)> {
    let soon = now.plus(SOON);
    let ours = tokens.into_iter().filter(|token| token.kind == TokenKind::Token);
    ours.filter_map(|token| {
        token.expires.filter(|at| *at > now && *at < soon).map(|at| (Text(token.name), When::new(at, now)))
    })
    .collect()
}

/// What the platform itself lacks; what is as it should be needs no line.
fn check(check: api::platform::Check) -> Option<(Badge, Text, Text, Text)> {
    let badge = match check.verdict {
        Verdict::Ok => return None,
        Verdict::Limited => Badge::new(crate::components::Tone::Warn, "limited"),
        Verdict::Broken => Badge::new(crate::components::Tone::Bad, "broken"),
    };
    Some((badge, Text(check.name), Text(check.found), Text(check.fix.unwrap_or_default())))
}

const HEALTHS: [(Health, &str); 6] = [
    (Health::Down, "down"),
    (Health::Degraded, "degraded"),
    (Health::Changing, "changing"),
    (Health::Unknown, "unknown"),
    (Health::Healthy, "healthy"),
    (Health::Empty, "empty"),
];
