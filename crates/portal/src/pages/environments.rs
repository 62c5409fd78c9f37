//! What runs where: services × environments, and which of them is behind the one before it.

use api::Nothing;
use api::catalog::{EnvironmentStatus, Health, ListStatus, ServiceStatus, StatusQuery};
use api::deliver::{Environment, ListEnvironments};
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use base::{EnvironmentName, Time};
use serde::Deserialize;

use super::Outcome;
use crate::components::{Badge, Empty, Text, When};
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Services on one page.
const SERVICES: u32 = 60;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/environments", get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    after: String,
}

/// What one environment runs of one service.
pub(crate) struct Cell {
    pub release: Option<i64>,
    pub badge: Badge,
    pub why: Text,
    pub since: Option<When>,
    pub url: Option<String>,
    pub path: String,
    /// How many releases it is behind the environment before it; negative: ahead.
    pub behind: Option<i64>,
    /// Where the difference is shown.
    pub compare: Option<String>,
}

impl Cell {
    /// How far behind, in words.
    pub(crate) fn told(&self) -> Option<String> {
        self.behind.map(behind_words)
    }
}

/// A service with its cells in the order of promotion.
pub(crate) struct Row {
    pub service: String,
    pub team: String,
    pub cells: Vec<Option<Cell>>,
}

impl Row {
    pub(crate) fn of(status: &ServiceStatus, order: &[EnvironmentName], now: Time) -> Self {
        let find = |name: &EnvironmentName| status.environments.iter().find(|one| one.environment == *name);
        let before = std::iter::once(None).chain(order.iter().map(Some));
        let cells = order
            .iter()
            .zip(before)
            .map(|(name, before)| {
                let here = find(name).filter(|one| one.health != Health::Empty || one.release.is_some())?;
                Some(cell(status, here, before.and_then(find), now))
            })
            .collect();
        Self { service: status.service.to_string(), team: status.team.to_string(), cells }
    }
}

fn cell(status: &ServiceStatus, here: &EnvironmentStatus, before: Option<&EnvironmentStatus>, now: Time) -> Cell {
    let behind = before.and_then(|before| Some(before.release?.saturating_sub(here.release?))).filter(|n| *n != 0);
    let compare = before.filter(|_| behind.is_some()).map(|before| {
        let parameters = [
            ("from", before.environment.as_str()),
            ("to", here.environment.as_str()),
            ("service", status.service.as_str()),
        ];
        links::query("/environments/compare", &parameters)
    });
    let path = match here.rollout {
        Some(rollout) => format!("/services/{}/rollouts/{rollout}", status.service),
        None => format!("/services/{}", status.service),
    };
    Cell {
        release: here.release,
        badge: Badge::health(here.health),
        why: Text::from(here.reason.clone()),
        since: here.since.map(|at| When::new(at, now)),
        url: here.url.clone(),
        path,
        behind,
        compare,
    }
}

/// How far behind, in words.
pub(crate) fn behind_words(behind: i64) -> String {
    match behind {
        1 => "1 release behind".to_owned(),
        n if n > 1 => format!("{n} releases behind"),
        -1 => "1 release ahead".to_owned(),
        n => format!("{} releases ahead", n.saturating_neg()),
    }
}

/// An environment as the head of a column.
struct Head {
    name: String,
    /// Where it is compared with the one before it.
    compare: Option<(String, String)>,
}

fn heads(known: &[Environment]) -> Vec<Head> {
    let before = std::iter::once(None).chain(known.iter().map(Some));
    known
        .iter()
        .zip(before)
        .map(|(one, before)| Head {
            name: one.environment.to_string(),
            compare: before.map(|before| {
                let parameters = [("from", before.environment.as_str()), ("to", one.environment.as_str())];
                (before.environment.to_string(), links::query("/environments/compare", &parameters))
            }),
        })
        .collect()
}

#[derive(Template)]
#[template(path = "environments.html")]
struct EnvironmentsPage {
    shell: Shell,
    heads: Vec<Head>,
    rows: Vec<Row>,
    next: Option<String>,
    empty: Option<Empty>,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let after = Some(asked.after).filter(|after| !after.is_empty());
    let query = StatusQuery { limit: Some(SERVICES), after, ..StatusQuery::default() };
    let (known, status) = tokio::try_join!(
        visit.api.get::<ListEnvironments>(&Nothing {}),
        visit.api.ask::<ListStatus>(&Nothing {}, &query),
    )?;
    let order: Vec<EnvironmentName> = known.items.iter().map(|one| one.environment.clone()).collect();
    let rows: Vec<Row> = status.items.iter().map(|one| Row::of(one, &order, visit.now)).collect();
    let empty = rows
        .is_empty()
        .then(|| Empty::new("No services", "The board fills with the first deploy.").command("orlop deploy"));
    let next = status.next.map(|next| links::query("/environments", &[("after", &next)]));
    let shell = visit.shell(Section::Environments, "Environments").live("*");
    html(&EnvironmentsPage { shell, heads: heads(&known.items), rows, next, empty })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(places: &[(&str, Option<i64>)]) -> ServiceStatus {
        let place = |(environment, release): &(&str, Option<i64>)| EnvironmentStatus {
            environment: environment.parse().unwrap(),
            health: if release.is_some() { Health::Healthy } else { Health::Empty },
            reason: "<b>".into(),
            since: None,
            evidence: Vec::new(),
            next: None,
            deadline: None,
            url: None,
            release: *release,
            ready: 1,
            wanted: 1,
            rollout: None,
            crash_loop: None,
        };
        ServiceStatus {
            service: "shop".parse().unwrap(),
            team: "pay".parse().unwrap(),
            description: String::new(),
            kind: None,
            environments: places.iter().map(place).collect(),
        }
    }

    fn check(places: &[(&str, Option<i64>)], expect: &[&str]) {
        let order: Vec<EnvironmentName> = ["dev", "staging", "prod"].map(|n| n.parse().unwrap()).into();
        let row = Row::of(&status(places), &order, Time::default());
        let told: Vec<String> = row
            .cells
            .iter()
            .map(|cell| match cell {
                None => "-".to_owned(),
                Some(cell) => {
                    let behind = cell.behind.map_or_else(String::new, |n| format!(" {}", behind_words(n)));
                    format!("{}{behind}", cell.release.unwrap_or_default())
                }
            })
            .collect();
        assert_eq!(told, expect);
    }

    #[test]
    fn each_is_compared_with_the_one_before_it() {
        check(&[("dev", Some(5)), ("staging", Some(3)), ("prod", Some(3))], &["5", "3 2 releases behind", "3"]);
        check(&[("staging", Some(3)), ("prod", Some(4))], &["-", "3", "4 1 release ahead"]);
        check(&[("dev", Some(5)), ("prod", Some(4))], &["5", "-", "4"]);
        check(&[("dev", None)], &["-", "-", "-"]);
    }

    #[test]
    fn a_difference_leads_to_where_it_is_shown() {
        let order: Vec<EnvironmentName> = ["dev", "prod"].map(|n| n.parse().unwrap()).into();
        let row = Row::of(&status(&[("dev", Some(2)), ("prod", Some(1))]), &order, Time::default());
        let cell = row.cells[1].as_ref().unwrap();
        assert_eq!(cell.compare.as_deref(), Some("/environments/compare?from=dev&to=prod&service=shop"));
        assert_eq!(cell.why.to_string(), "<bdi>&lt;b&gt;</bdi>");
    }
}
