//! Services and what they need of each other: a picture, a table behind it, and what breaks with each.

mod picture;
mod rates;

use std::collections::BTreeMap;

use api::Nothing;
use api::access::ServicePath;
use api::catalog::{GetImpact, GetTopology, Topology, TopologyNeed, TopologyPlace, TopologyQuery, TopologyService};
use api::deliver::ListEnvironments;
use api::observe::{ListMetrics, OverviewQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde::Deserialize;

use super::Outcome;
use crate::components::{Badge, Empty, Text};
use crate::graph::Drawing;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/topology", get(show)).route("/topology/{service}", get(impact))
}

/// How the picture is looked at; every part of it is in its address.
#[derive(Debug, Clone, Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct View {
    pub environment: String,
    /// A service whose neighbours are looked at.
    pub focus: String,
    /// `team`: one node for each team; `service`: one for each service; empty: as many fit.
    pub group: String,
    /// A team that is unfolded.
    pub open: String,
}

impl View {
    /// The address of the same picture with one thing changed.
    pub(crate) fn with(&self, key: &str, value: &str) -> String {
        let value_of = |name: &str, now: &str| if name == key { value.to_owned() } else { now.to_owned() };
        let parts = [
            ("environment", value_of("environment", &self.environment)),
            ("focus", value_of("focus", &self.focus)),
            ("group", value_of("group", &self.group)),
            ("open", value_of("open", &self.open)),
        ];
        let parts: Vec<(&str, &str)> = parts.iter().map(|(name, value)| (*name, value.as_str())).collect();
        crate::links::query("/topology", &parts)
    }
}

struct Line {
    service: String,
    team: String,
    states: Vec<(String, Badge)>,
    /// What it does now, where that was observed.
    traffic: String,
    needs: Vec<Need>,
    needed_by: usize,
}

struct Need {
    word: Text,
    path: Option<String>,
}

impl Need {
    fn of(need: &TopologyNeed) -> Self {
        let word = match (&need.service, &need.external) {
            (Some(service), _) => service.to_string(),
            (None, Some(external)) => external.clone(),
            (None, None) => need.name.to_string(),
        };
        Self { word: Text::from(word), path: need.service.as_ref().map(|service| format!("/topology/{service}")) }
    }
}

#[derive(Template)]
#[template(path = "topology.html")]
struct TopologyPage {
    shell: Shell,
    view: View,
    environments: Vec<String>,
    drawing: Drawing,
    grouped: bool,
    lines: Vec<Line>,
    empty: Option<Empty>,
}

/// Rates are asked for so many services at most.
const RATES_MAX: usize = 500;

async fn show(visit: Visit, Query(view): Query<View>) -> Outcome {
    let query = TopologyQuery { environment: view.environment.parse().ok() };
    let (topology, environments) = tokio::try_join!(
        visit.api.ask::<GetTopology>(&Nothing {}, &query),
        visit.api.get::<ListEnvironments>(&Nothing {}),
    )?;
    let drawn: Vec<&str> = picture::drawn(&topology, &view).take(RATES_MAX).collect();
    let rates = match drawn.is_empty() {
        true => rates::Rates::new(),
        false => rates(&visit, drawn.join(","), query.environment).await,
    };
    let lines = lines(&topology, &rates);
    let empty = lines.is_empty().then(|| {
        Empty::new("Nothing runs yet", "What a service needs stands in its service file, under `needs`.")
            .command("orlop explain needs")
    });
    let picture = picture::of(&topology, &rates, &view);
    let environments = environments.items.iter().map(|one| one.environment.to_string()).collect();
    let shell = visit.shell(Section::Topology, "Topology").live("*");
    html(&TopologyPage { shell, environments, grouped: picture.grouped, drawing: picture.drawing, view, lines, empty })
}

/// What services do now. A picture without rates is better than none.
async fn rates(visit: &Visit, services: String, environment: Option<base::EnvironmentName>) -> rates::Rates {
    let query = OverviewQuery { services: Some(services), environment, ..OverviewQuery::default() };
    visit.api.ask::<ListMetrics>(&Nothing {}, &query).await.map(|page| rates::of(&page.items)).unwrap_or_default()
}

fn lines(topology: &Topology, rates: &rates::Rates) -> Vec<Line> {
    let (mut needs, mut needed_by) = (BTreeMap::<_, Vec<Need>>::new(), BTreeMap::<_, usize>::new());
    for need in &topology.needs {
        needs.entry(&need.from).or_default().push(Need::of(need));
        if let Some(to) = &need.service {
            let count = needed_by.entry(to).or_default();
            *count = count.saturating_add(1);
        }
    }
    let badge = |place: &TopologyPlace| (place.environment.to_string(), Badge::health(place.health));
    let line = |one: &TopologyService| Line {
        service: one.service.to_string(),
        team: one.team.to_string(),
        states: one.environments.iter().map(badge).collect(),
        traffic: rates.get(one.service.as_str()).map(rates::Rate::told).unwrap_or_default(),
        needs: needs.remove(&one.service).unwrap_or_default(),
        needed_by: needed_by.get(&one.service).copied().unwrap_or_default(),
    };
    topology.services.iter().map(line).collect()
}

struct DependentLine {
    service: String,
    team: String,
    steps: u32,
    through: Vec<String>,
}

#[derive(Template)]
#[template(path = "impact.html")]
struct ImpactPage {
    shell: Shell,
    service: String,
    answer: Text,
    dependents: Vec<DependentLine>,
    needs: Vec<Need>,
}

async fn impact(visit: Visit, Path(path): Path<ServicePath>, Query(view): Query<View>) -> Outcome {
    let query = TopologyQuery { environment: view.environment.parse().ok() };
    let impact = visit.api.ask::<GetImpact>(&path, &query).await?;
    let service = path.service.to_string();
    let shell = visit
        .shell(Section::Topology, format!("If {service} is down"))
        .crumb("Topology", "/topology")
        .crumb(&service, format!("/services/{service}"))
        .live(&service);
    let dependents = impact.dependents.iter().map(|one| DependentLine {
        service: one.service.to_string(),
        team: one.team.to_string(),
        steps: one.distance,
        through: one.through.iter().skip(1).map(ToString::to_string).collect(),
    });
    html(&ImpactPage {
        shell,
        service,
        dependents: dependents.collect(),
        needs: impact.needs.iter().map(Need::of).collect(),
        answer: Text::from(impact.answer),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_the_whole_view() {
        let view = View { environment: "prod".into(), group: "team".into(), ..View::default() };
        assert_eq!(view.with("open", "a&b"), "/topology?environment=prod&group=team&open=a%26b");
        assert_eq!(view.with("group", ""), "/topology?environment=prod");
    }
}
