//! Doing something to a service that is no rollout: a page that says exactly what will happen, then the call
//! that does it.

use api::access::ServicePath;
use api::catalog::{GetStatus, RemoveService, RestoreService};
use api::run::{Scale, ScaleTo};
use api::{Action, Nothing};
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
    process: String,
    instances: String,
    version: String,
}

impl Asked {
    fn place(&self) -> Result<EnvironmentName> {
        Ok(self.environment.parse()?)
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
    /// Fields that go along unseen.
    hidden: Vec<(&'static str, String)>,
    /// The number of instances now, where that is asked for.
    instances: Option<u32>,
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
        "scale" => scale(&visit, &path, &asked).await?,
        "remove" => remove(&head),
        _ => restore(&head),
    };
    let shell = head.shell(&visit, &plan.title);
    let back = format!("/services/{}", subject.service);
    let here = format!("{back}/do/{}", subject.verb);
    html(&ActionPage { shell, denied: head.denied(action), head, plan, back, here })
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

fn nothing_runs(place: &EnvironmentName) -> Problem {
    Problem::conflict("nothing-runs", format!("nothing runs in {place}")).hint("deploy there first: `orlop deploy`")
}

async fn carry_out(Path(subject): Path<Subject>, filled: Filled<Asked>) -> Outcome {
    needed(&subject.verb).ok_or_else(unknown)?;
    let Filled { visit, key, fields } = filled;
    let path = ServicePath { service: subject.service.clone() };
    let also = Also { key: Some(&key), version: fields.version.parse().ok(), token: None };
    let none = Nothing {};
    let page = format!("/services/{}", subject.service);
    let (to, said) = match subject.verb.as_str() {
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
    fn every_action_needs_a_right() {
        for verb in ["scale", "remove", "restore"] {
            assert!(needed(verb).is_some(), "{verb}");
        }
        assert!(needed("destroy").is_none());
    }
}
