//! What a rollout would do, before it is started: a promotion, a way back, a restart, a release by its number.

use api::access::ServicePath;
use api::catalog::GetService;
use api::deliver::{
    ListEnvironments, NeedDifference, NewRollout, PlanQuery, PlanRollout, RolloutPlan, SettingDifference,
    SettingPointer, StartRollout,
};
use api::{Action, Nothing};
use askama::Template;
use axum::extract::{Path, Query};
use base::{EnvironmentName, ServiceName};
use serde::Deserialize;

use super::{Outcome, path_of};
use crate::client::Also;
use crate::components::{Text, When};
use crate::form::{Done, Filled};
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::visit::Visit;

/// A difference, as a line: what, how it is now, how it would be.
pub(crate) struct Difference {
    pub what: String,
    pub name: Text,
    pub from: Text,
    pub to: Text,
}

/// Settings and needs that differ between two sides.
pub(crate) fn differences(settings: &[SettingDifference], needs: &[NeedDifference]) -> Vec<Difference> {
    let pointer = |side: &Option<SettingPointer>| match side {
        Some(side) if side.scope == "environment" => Text::from(format!("its own, version {}", side.version)),
        Some(side) => Text::from(format!("of the {}, version {}", side.scope, side.version)),
        None => Text::from("not set"),
    };
    let need = |side: &Option<String>| Text::from(side.clone().unwrap_or_else(|| "not needed".to_owned()));
    let settings = settings.iter().map(|one| Difference {
        what: "setting".to_owned(),
        name: Text::from(one.name.clone()),
        from: pointer(&one.from),
        to: pointer(&one.to),
    });
    let needs = needs.iter().map(|one| Difference {
        what: "need".to_owned(),
        name: Text::from(one.name.clone()),
        from: need(&one.from),
        to: need(&one.to),
    });
    settings.chain(needs).collect()
}

/// A release on one side of a plan.
pub(crate) struct Side {
    pub number: i64,
    pub commit: Text,
    pub message: Text,
    pub since: Option<When>,
}

impl Side {
    pub(crate) fn of(standing: &api::deliver::Standing, now: base::Time) -> Self {
        Self {
            number: standing.release,
            commit: Text(standing.commit.as_deref().unwrap_or_default().chars().take(9).collect()),
            message: Text::from(standing.message.clone()),
            since: standing.since.map(|at| When::new(at, now)),
        }
    }
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    shell: Shell,
    service: String,
    environment: String,
    verb: &'static str,
    to: Side,
    now: Option<Side>,
    differences: Vec<Difference>,
    steps: Vec<Text>,
    supersedes: Option<String>,
    denied: Option<String>,
    start: String,
    query: PlanQuery,
}

/// As [`PlanQuery`], perhaps without a place.
#[derive(Deserialize, Clone)]
pub(super) struct Asked {
    environment: Option<EnvironmentName>,
    release: Option<i64>,
    from: Option<EnvironmentName>,
    #[serde(default)]
    rollback: bool,
    #[serde(default)]
    restart: bool,
}

impl Asked {
    fn in_place(&self, environment: EnvironmentName) -> PlanQuery {
        let Self { release, from, rollback, restart, .. } = self.clone();
        PlanQuery { environment, release, from, rollback, restart }
    }
}

/// Where a rollback, or another rollout of a service in its own place, is shown before it is begun.
pub(crate) fn path_to(service: &ServiceName, parameters: &[(&str, &str)]) -> String {
    crate::links::query(&format!("/services/{service}/rollouts/plan"), parameters)
}

/// The way back in a place, or the reason why there is none.
pub(crate) async fn way_back(visit: &Visit, path: &ServicePath, place: &EnvironmentName) -> Result<String, String> {
    let query = PlanQuery { environment: place.clone(), release: None, from: None, rollback: true, restart: false };
    match visit.api.ask::<PlanRollout>(path, &query).await {
        Ok(_) => Ok(path_to(&path.service, &[("environment", place.as_str()), ("rollback", "true")])),
        Err(problem) => Err(problem.message),
    }
}

/// A place that can be chosen, or the reason why not.
struct Choice {
    environment: String,
    /// What would happen there, and where it is shown.
    offer: Result<(String, String), Text>,
}

#[derive(Template)]
#[template(path = "plan_where.html")]
struct WherePage {
    shell: Shell,
    choices: Vec<Choice>,
}

fn shell(visit: &Visit, service: &ServiceName, title: String) -> Shell {
    visit
        .shell(Section::Services, title)
        .crumb("Services", "/services")
        .crumb(service.as_str(), format!("/services/{service}"))
        .crumb("Rollouts", format!("/services/{service}/rollouts"))
}

/// Asks where, where it is not said: each place with what would happen there, or why it cannot.
async fn ask_where(visit: Visit, path: ServicePath, asked: Asked) -> Outcome {
    let mut choices = Vec::new();
    for one in visit.api.get::<ListEnvironments>(&Nothing {}).await?.items {
        let place = one.environment;
        let offer = match visit.api.ask::<PlanRollout>(&path, &asked.in_place(place.clone())).await {
            Ok(plan) => Ok((title(&plan), link(&path.service, &plan, &asked))),
            Err(problem) if problem.kind == base::Kind::Conflict => Err(Text::from(problem.message)),
            Err(problem) => return Err(problem.into()),
        };
        choices.push(Choice { environment: place.to_string(), offer });
    }
    let title = match (asked.rollback, asked.restart, asked.release) {
        (true, ..) => format!("Roll {} back: where?", path.service),
        (_, true, _) => format!("Restart {}: where?", path.service),
        (.., Some(number)) => format!("Roll out release {number}: where?"),
        _ => format!("Promote {}: where to?", path.service),
    };
    html(&WherePage { shell: shell(&visit, &path.service, title), choices })
}

fn title(plan: &RolloutPlan) -> String {
    format!("{} release {} in {}", verb(plan), plan.to.release, plan.environment)
}

fn link(service: &ServiceName, plan: &RolloutPlan, asked: &Asked) -> String {
    let release = asked.release.map(|number| number.to_string()).unwrap_or_default();
    let word = |is: bool| if is { "true" } else { "" };
    let parameters = [
        ("environment", plan.environment.as_str()),
        ("release", &release),
        ("from", asked.from.as_ref().map_or("", |from| from.as_str())),
        ("rollback", word(asked.rollback)),
        ("restart", word(asked.restart)),
    ];
    path_to(service, &parameters)
}

pub(super) async fn show(visit: Visit, Path(path): Path<ServicePath>, Query(asked): Query<Asked>) -> Outcome {
    let Some(place) = asked.environment.clone() else { return ask_where(visit, path, asked).await };
    let asked = asked.in_place(place);
    let plan = visit.api.ask::<PlanRollout>(&path, &asked).await?;
    let service = visit.api.get::<GetService>(&path).await?;
    let verb = verb(&plan);
    let name = path.service.to_string();
    let shell = shell(&visit, &path.service, title(&plan));
    html(&PlanPage {
        shell,
        environment: plan.environment.to_string(),
        verb,
        to: Side::of(&plan.to, visit.now),
        now: plan.now.as_ref().map(|now| Side::of(now, visit.now)),
        differences: differences(&plan.settings, &plan.needs),
        steps: plan.steps.iter().cloned().map(Text::from).collect(),
        supersedes: plan.supersedes.map(|id| format!("/services/{name}/rollouts/{id}")),
        denied: Rights::of(&visit.me).why_not(Action::Deploy, &service.team, Some(&service.service)),
        start: format!("/services/{name}/rollouts"),
        service: name,
        query: asked,
    })
}

fn verb(plan: &RolloutPlan) -> &'static str {
    match plan.cause.as_str() {
        "promotion" => "Promote",
        "rollback" => "Roll back to",
        "restart" => "Restart",
        _ => "Roll out",
    }
}

#[derive(Deserialize)]
pub(super) struct Fields {
    environment: String,
    #[serde(default)]
    release: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    rollback: String,
    #[serde(default)]
    restart: String,
    #[serde(default)]
    reason: String,
}

impl Fields {
    fn rollout(self) -> base::Result<NewRollout> {
        let given = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let number = |text: String| {
            text.parse::<i64>().map_err(|_| {
                base::Problem::unprocessable("bad-parameter", "a release is named by its number").at("release")
            })
        };
        Ok(NewRollout {
            environment: self.environment.parse().map_err(base::Problem::from)?,
            release: given(self.release).map(number).transpose()?,
            from: given(self.from).map(|from| from.parse()).transpose().map_err(base::Problem::from)?,
            rollback: self.rollback == "true",
            restart: self.restart == "true",
            reason: given(self.reason),
        })
    }
}

/// Starts what was shown, and leads to it.
pub(super) async fn start(Path(path): Path<ServicePath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let also = Also { key: Some(&key), ..Also::default() };
    let rollout = visit.api.call::<StartRollout>(&path, &Nothing {}, &fields.rollout()?, also).await?.value;
    let said = format!("The {} of release {} has begun.", rollout.cause, rollout.number);
    Ok(Done::to(path_of(&rollout), said).see(visit.headers()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(release: &str, from: &str, rollback: &str) -> Fields {
        Fields {
            environment: "dev".into(),
            release: release.into(),
            from: from.into(),
            rollback: rollback.into(),
            restart: String::new(),
            reason: " ".into(),
        }
    }

    #[test]
    fn a_form_becomes_a_rollout() {
        let rollout = fields("", "", "true").rollout().unwrap();
        assert!(rollout.rollback && rollout.release.is_none() && rollout.reason.is_none());
        assert_eq!(fields("42", "", "").rollout().unwrap().release, Some(42));
        assert_eq!(fields("", "staging", "").rollout().unwrap().from.unwrap().as_str(), "staging");
        assert!(fields("x", "", "").rollout().is_err());
        assert!(fields("", "../..", "").rollout().is_err());
    }

    #[test]
    fn differences_name_both_sides() {
        let settings = [SettingDifference {
            name: "<b>".into(),
            from: Some(SettingPointer { version: 3, scope: "service".into() }),
            to: Some(SettingPointer { version: 1, scope: "environment".into() }),
        }];
        let needs = [NeedDifference { name: "stock".into(), from: None, to: Some("service inventory".into()) }];
        let told: Vec<String> = differences(&settings, &needs)
            .iter()
            .map(|d| format!("{} {} {} {}", d.what, d.name, d.from.0, d.to.0))
            .collect();
        assert_eq!(
            told,
            [
                "setting <bdi>&lt;b&gt;</bdi> of the service, version 3 its own, version 1",
                "need <bdi>stock</bdi> not needed service inventory"
            ]
        );
    }
}
