//! What is mine, what changed, what waits for me.

use std::collections::BTreeMap;

use api::PageQuery;
use api::catalog::{Health, ListStatus};
use askama::Template;
use axum::Router;
use axum::routing::get;

use super::Outcome;
use super::services::Line;
use crate::components::{Badge, Empty};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/", get(show))
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    counts: Vec<(usize, Badge, &'static str)>,
    waiting: Vec<Line>,
    empty: Option<Empty>,
}

async fn show(visit: Visit) -> Outcome {
    let query = PageQuery { limit: Some(500), after: None };
    let status = visit.api.ask::<ListStatus>(&api::Nothing {}, &query).await?;
    let lines: Vec<Line> = status.items.into_iter().flat_map(|one| Line::of(one, visit.now)).collect();
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for line in &lines {
        let count = counts.entry(order(line.health)).or_default();
        *count = count.saturating_add(1);
    }
    let counts = HEALTHS
        .iter()
        .filter_map(|(health, word)| Some((*counts.get(&order(*health))?, Badge::health(*health), *word)))
        .collect();
    let empty = lines.is_empty().then(|| {
        Empty::new("Nothing runs yet", "Push a repository, and this page shows how it gets on.")
            .command("orlop new web hello && cd hello && orlop deploy")
    });
    let waiting = lines.into_iter().filter(|line| matches!(line.health, Health::Down | Health::Degraded)).collect();
    html(&HomePage { shell: visit.shell(Section::Home, "Home").live("*"), counts, waiting, empty })
}

const HEALTHS: [(Health, &str); 6] = [
    (Health::Down, "down"),
    (Health::Degraded, "degraded"),
    (Health::Changing, "changing"),
    (Health::Unknown, "unknown"),
    (Health::Healthy, "healthy"),
    (Health::Empty, "empty"),
];

fn order(health: Health) -> usize {
    HEALTHS.iter().position(|(known, _)| *known == health).unwrap_or(HEALTHS.len())
}
