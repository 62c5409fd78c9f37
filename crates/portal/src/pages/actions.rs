//! Doing something to a service: a page that says exactly what will happen, then the call that does it.

use std::collections::BTreeMap;

use api::access::{ListSettings, ServicePath, SettingQuery};
use api::catalog::{GetStatus, RemoveService, RestoreService};
use api::deliver::{ListReleases, ListRollouts, NewRollout, Rollout, RolloutQuery, RolloutState, StartRollout};
use api::run::{Scale, ScaleTo};
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{EnvironmentName, Problem, Result, ServiceName};
use serde::Deserialize;

use super::{Head, Outcome};
use crate::client::Also;
use crate::components::Text;
use crate::form::{Done, Filled};
use crate::shell::{Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Rollouts looked through for the one to go back to.
const LOOKED_THROUGH: u32 = 100;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/services/{service}/do/{verb}", get(preview).post(carry_out))
}

#[derive(Deserialize)]
struct Subject {
    service: ServiceName,
    verb: String,
}

/// What is asked for, in the address of the preview and in its form.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Asked {
    environment: String,
    release: String,
    process: String,
    instances: String,
    reason: String,
    version: String,
}

impl Asked {
    fn place(&self) -> Result<EnvironmentName> {
        Ok(self.environment.parse()?)
    }

    fn number(&self) -> Result<i64> {
        let bad = |_| {
            Problem::unprocessable("bad-release", "the release is not a number")
                .hint("choose it from the list of releases")
        };
        self.release.parse().map_err(bad)
    }
}

/// What will happen.
#[derive(Default)]
struct Plan {
    title: String,
    /// What the button says.
    button: String,
    danger: bool,
    /// What will be so, one sentence each.
    will: Vec<Text>,
    /// What stays as it is.
    stays: Vec<Text>,
    /// What differs, as a list of changes.
    changes: Vec<(bool, Text)>,
    /// Fields that go along unseen.
    hidden: Vec<(&'static str, String)>,
    /// Environments to choose from.
    environments: Vec<String>,
    /// The number of instances now, where that is asked for.
    instances: Option<u32>,
    asks_reason: bool,
}

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    shell: Shell,
    head: Head,
    plan: Plan,
    denied: Option<String>,
    back: String,
    here: String,
}

const fn needed(verb: &str) -> Option<Action> {
    match verb.as_bytes() {
        b"rollback" | b"restart" | b"release" => Some(Action::Deploy),
        b"scale" => Some(Action::Operate),
        b"remove" | b"restore" => Some(Action::Manage),
        _ => None,
    }
}

fn unknown() -> Problem {
    Problem::not_found("no-such-action", "there is no such action").hint("the pages of the service offer what there is")
}

async fn preview(visit: Visit, Path(subject): Path<Subject>, Query(asked): Query<Asked>) -> Outcome {
    let action = needed(&subject.verb).ok_or_else(unknown)?;
    let head = Head::of(&visit, &subject.service, "").await?;
    let path = ServicePath { service: subject.service.clone() };
    let plan = match subject.verb.as_str() {
        "rollback" => rollback(&visit, &path, &asked).await?,
        "restart" => restart(&visit, &path, &asked).await?,
        "release" => release(&visit, &path, &asked).await?,
        "scale" => scale(&visit, &path, &asked).await?,
        "remove" => remove(&head),
        _ => restore(&head),
    };
    let shell = head.shell(&visit, &plan.title);
    let back = format!("/services/{}", subject.service);
    let here = format!("{back}/do/{}", subject.verb);
    html(&ActionPage { shell, denied: head.denied(action), head, plan, back, here })
}

async fn rollback(visit: &Visit, path: &ServicePath, asked: &Asked) -> Result<Plan> {
    let place = asked.place()?;
    let done = finished(visit, path, &place).await?;
    let current = done.first().ok_or_else(|| nothing_runs(&place))?;
    let wanted = asked.release.parse::<i64>().ok();
    let target =
        done.iter().find(|one| wanted.map_or(one.number != current.number, |n| one.number == n)).ok_or_else(|| {
            Problem::conflict("nothing-before", format!("nothing else has run in {place} that could come back"))
                .hint("releases can be rolled out from their list")
        })?;
    Ok(Plan {
        title: format!("Roll {place} back to release {}", target.number),
        button: format!("Roll back to release {}", target.number),
        will: vec![
            format!("A rollout makes release {} current in {place} again; release {} serves until the other one was seen to answer.", target.number, current.number).into(),
            "It runs with the settings it ran with then. Nothing is built.".into(),
        ],
        stays: vec![format!("Release {} is kept, and the settings of now are kept: the next deploy takes them.", current.number).into()],
        changes: versions(&current.settings, &target.settings),
        hidden: vec![("environment", place.to_string()), ("release", target.number.to_string())],
        asks_reason: true,
        ..Plan::default()
    })
}

async fn restart(visit: &Visit, path: &ServicePath, asked: &Asked) -> Result<Plan> {
    let place = asked.place()?;
    let done = finished(visit, path, &place).await?;
    let current = done.first().ok_or_else(|| nothing_runs(&place))?;
    let now = settings_of(visit, path, &place).await?;
    Ok(Plan {
        title: format!("Restart {place}"),
        button: "Restart".to_owned(),
        will: vec![format!("A rollout starts release {} anew in {place}; the instances of now serve until the new ones were seen to answer, and end then.", current.number).into(),
            "It takes the settings of now.".into()],
        stays: vec!["The release and the number of instances.".into()],
        changes: versions(&current.settings, &now),
        hidden: vec![("environment", place.to_string())],
        asks_reason: true,
        ..Plan::default()
    })
}

async fn release(visit: &Visit, path: &ServicePath, asked: &Asked) -> Result<Plan> {
    let number = asked.number()?;
    let environments = visit.api.get::<api::deliver::ListEnvironments>(&Nothing {}).await?;
    let releases = visit.api.ask::<ListReleases>(path, &PageQuery { limit: Some(500), after: None }).await?.items;
    let chosen = releases.iter().find(|one| one.number == number).ok_or_else(|| {
        Problem::not_found("release-not-found", format!("there is no release {number} among those that are kept"))
    })?;
    Ok(Plan {
        title: format!("Roll out release {number}"),
        button: format!("Roll out release {number}"),
        will: vec![
            format!("A rollout makes release {number} current in the environment that you choose; what serves there serves until the new one was seen to answer.").into(),
            format!("Release {number}: {}", chosen.message).into(),
            "It takes the settings of now. Nothing is built.".into(),
        ],
        stays: vec!["Every other environment.".into()],
        hidden: vec![("release", number.to_string())],
        environments: environments.items.into_iter().map(|one| one.environment.to_string()).collect(),
        asks_reason: true,
        ..Plan::default()
    })
}

async fn scale(visit: &Visit, path: &ServicePath, asked: &Asked) -> Result<Plan> {
    let place = asked.place()?;
    let status = visit.api.get::<GetStatus>(path).await?;
    let now = status.environments.iter().find(|one| one.environment == place).ok_or_else(|| nothing_runs(&place))?;
    Ok(Plan {
        title: format!("Scale {place}"),
        button: "Scale".to_owned(),
        will: vec![
            format!("{} instances shall run in {place} now, and {} are ready. The number that you choose holds at once, and over rollouts until it is set again.", now.wanted, now.ready).into(),
            "New instances get traffic once they answer; those that are too many finish their requests and end. With 0 nothing runs and nothing answers.".into(),
        ],
        stays: vec!["The release and its settings.".into()],
        hidden: vec![("environment", place.to_string())],
        instances: Some(now.wanted),
        ..Plan::default()
    })
}

fn remove(head: &Head) -> Plan {
    let name = &head.service.service;
    Plan {
        title: format!("Take {name} out of use"),
        button: format!("Take {name} out of use"),
        danger: true,
        will: vec!["Its instances end in every environment, and its routes close: its addresses answer that nothing runs there.".into(),
            "Services that need it get errors from then on.".into()],
        stays: vec!["Its history, settings and secrets, releases, repository and name. It can be brought back from its page.".into()],
        hidden: vec![("version", head.version.map_or_else(String::new, |v| v.to_string()))],
        ..Plan::default()
    }
}

fn restore(head: &Head) -> Plan {
    let name = &head.service.service;
    Plan {
        title: format!("Bring {name} back"),
        button: format!("Bring {name} back"),
        will: vec!["The service is in use again, and can be deployed.".into()],
        stays: vec!["Its history, settings and releases, as they were.".into()],
        hidden: vec![("version", head.version.map_or_else(String::new, |v| v.to_string()))],
        ..Plan::default()
    }
}

/// Rollouts of a place that succeeded, newest first: the first one is current.
async fn finished(visit: &Visit, path: &ServicePath, place: &EnvironmentName) -> Result<Vec<Rollout>> {
    let query = RolloutQuery { limit: Some(LOOKED_THROUGH), after: None, environment: Some(place.clone()) };
    let all = visit.api.ask::<ListRollouts>(path, &query).await?.items;
    Ok(all.into_iter().filter(|one| one.state == RolloutState::Succeeded).collect())
}

fn nothing_runs(place: &EnvironmentName) -> Problem {
    Problem::conflict("nothing-runs", format!("nothing runs in {place}")).hint("deploy there first: `orlop deploy`")
}

/// The settings that hold in a place: those of the place before those of all.
async fn settings_of(visit: &Visit, path: &ServicePath, place: &EnvironmentName) -> Result<BTreeMap<String, i64>> {
    let query = SettingQuery { environment: Some(place.clone()) };
    let mut all = visit.api.ask::<ListSettings>(path, &query).await?.items;
    all.sort_by_key(|setting| setting.environment.is_some());
    Ok(all.into_iter().map(|setting| (setting.name.to_string(), setting.version)).collect())
}

/// What differs between two sets of settings: whether a line comes, and its text.
fn versions(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> Vec<(bool, Text)> {
    let mut lines = Vec::new();
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        lines.extend(old.map(|version| (false, format!("- {name} version {version}").into())));
        lines.extend(new.map(|version| (true, format!("+ {name} version {version}").into())));
    }
    lines
}

async fn carry_out(Path(subject): Path<Subject>, filled: Filled<Asked>) -> Outcome {
    needed(&subject.verb).ok_or_else(unknown)?;
    let Filled { visit, key, fields } = filled;
    let path = ServicePath { service: subject.service.clone() };
    let also = Also { key: Some(&key), version: fields.version.parse().ok(), token: None };
    let none = Nothing {};
    let page = format!("/services/{}", subject.service);
    let started = |body: NewRollout| {
        let (api, path, key) = (visit.api.clone(), path.clone(), key.clone());
        async move { api.call::<StartRollout>(&path, &Nothing {}, &body, Also { key: Some(&key), ..Also::default() }).await }
    };
    let (to, said) = match subject.verb.as_str() {
        verb @ ("rollback" | "restart" | "release") => {
            let body = NewRollout {
                environment: fields.place()?,
                release: if verb == "restart" { None } else { Some(fields.number()?) },
                from: None,
                rollback: verb == "rollback",
                restart: verb == "restart",
                reason: Some(fields.reason.trim().to_owned()).filter(|r| !r.is_empty()),
            };
            let rollout = started(body).await?.value;
            (
                format!("{page}/rollouts/{}", rollout.rollout),
                format!("The rollout of release {} has begun.", rollout.number),
            )
        }
        "scale" => {
            let bad = |_| {
                Problem::unprocessable("bad-number", "the number of instances is not a number")
                    .hint("a number from 0 to 100")
            };
            let body = ScaleTo {
                environment: fields.place()?,
                process: Some(fields.process.clone())
                    .filter(|p| !p.is_empty())
                    .map(|p| p.parse())
                    .transpose()
                    .map_err(Problem::from)?,
                instances: fields.instances.trim().parse().map_err(bad)?,
            };
            let scaled = visit.api.call::<Scale>(&path, &none, &body, also).await?.value;
            (
                page,
                format!(
                    "{} instances of {} shall run in {}; before: {}.",
                    scaled.instances, scaled.process, scaled.environment, scaled.before
                ),
            )
        }
        "remove" => {
            visit.api.call::<RemoveService>(&path, &none, &none, also).await?;
            (page, format!("{} is out of use.", subject.service))
        }
        _ => {
            visit.api.call::<RestoreService>(&path, &none, &none, also).await?;
            (page, format!("{} is in use again.", subject.service))
        }
    };
    Ok(Done::to(to, said).see(visit.headers()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_listed_and_nothing_else() {
        let set = |pairs: &[(&str, i64)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        let lines = versions(&set(&[("A", 1), ("B", 2), ("C", 1)]), &set(&[("A", 1), ("B", 3), ("D", 1)]));
        let texts: Vec<String> = lines.into_iter().map(|(_, text)| text.0).collect();
        assert_eq!(texts, ["- B version 2", "+ B version 3", "- C version 1", "+ D version 1"]);
    }

    #[test]
    fn every_action_needs_a_right() {
        for verb in ["rollback", "restart", "release", "scale", "remove", "restore"] {
            assert!(needed(verb).is_some(), "{verb}");
        }
        assert!(needed("destroy").is_none());
    }
}
