//! What differs between two environments, and promotion of one or several services from one to the other.

use std::collections::BTreeMap;

use api::access::{CompareSettings, ServicePath, SettingComparison, SettingComparisonQuery, SettingVerdict};
use api::catalog::GetService;
use api::deliver::{
    CompareEnvironments, Comparison, ComparisonQuery, EnvironmentPath, ListEnvironments, NewRollout, PlanQuery,
    PlanRollout, StartRollout,
};
use api::{Action, Nothing};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{EnvironmentName, Problem, ServiceName, Time};
use serde::Deserialize;

use super::Outcome;
use super::environments::behind_words;
use super::rollout::{Difference, Side, differences};
use crate::client::Also;
use crate::components::{Empty, Text};
use crate::fault::Fault;
use crate::form::{Done, Filled};
use crate::links;
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Services on one page.
const SERVICES: u32 = 60;
/// Most services that are promoted at once.
const AT_ONCE_MAX: usize = 50;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/environments/compare", get(show))
        .route("/environments/promote", get(preview).post(promote))
        .route("/environments/{from}/{to}/settings/{service}", get(settings))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    from: String,
    to: String,
    service: String,
    after: String,
    /// Only what differs.
    differs: String,
}

/// A service in two environments.
pub(crate) struct Row {
    pub service: String,
    pub team: String,
    pub from: Option<Side>,
    pub to: Option<Side>,
    pub behind: String,
    pub ahead: Vec<Side>,
    pub differences: Vec<Difference>,
    /// A promotion would change something, and may be begun.
    pub can: bool,
    /// Why it may not, where it may not.
    pub denied: Option<String>,
    pub under_way: Option<String>,
    pub settings: String,
    pub same: bool,
}

impl Row {
    pub(crate) fn of(one: &Comparison, from: &str, to: &str, rights: &Rights<'_>, now: Time) -> Self {
        let same = one.behind == 0
            && one.settings.is_empty()
            && one.needs.is_empty()
            && one.from.is_some() == one.to.is_some();
        let denied = rights.why_not(Action::Deploy, &one.team, Some(&one.service));
        let behind = match (&one.from, &one.to) {
            (Some(_), None) => "runs nothing there".to_owned(),
            (None, _) => "runs only there".to_owned(),
            _ if one.behind == 0 => "the same release".to_owned(),
            _ => behind_words(one.behind),
        };
        Self {
            service: one.service.to_string(),
            team: one.team.to_string(),
            from: one.from.as_ref().map(|side| Side::of(side, now)),
            to: one.to.as_ref().map(|side| Side::of(side, now)),
            behind,
            ahead: one.ahead.iter().map(|side| Side::of(side, now)).collect(),
            differences: differences(&one.settings, &one.needs),
            can: one.from.is_some() && !same && denied.is_none(),
            denied,
            under_way: one.rollout.map(|id| format!("/services/{}/rollouts/{id}", one.service)),
            settings: format!("/environments/{from}/{to}/settings/{}", one.service),
            same,
        }
    }
}

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    shell: Shell,
    from: String,
    to: String,
    environments: Vec<String>,
    differs: bool,
    rows: Vec<Row>,
    hidden: usize,
    any: bool,
    next: Option<String>,
    empty: Option<Empty>,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let environments = names(&visit).await?;
    let (from, to) = pair(&environments, &asked.from, &asked.to)?;
    let query = ComparisonQuery {
        from: from.clone(),
        service: asked.service.parse().ok(),
        limit: Some(SERVICES),
        after: Some(asked.after.clone()).filter(|after| !after.is_empty()),
    };
    let page = visit.api.ask::<CompareEnvironments>(&EnvironmentPath { environment: to.clone() }, &query).await?;
    let rights = Rights::of(&visit.me);
    let (from, to) = (from.to_string(), to.to_string());
    let mut rows: Vec<Row> = page.items.iter().map(|one| Row::of(one, &from, &to, &rights, visit.now)).collect();
    let all = rows.len();
    let differs = !asked.differs.is_empty();
    rows.retain(|row| !differs || !row.same);
    let empty = (all == 0)
        .then(|| Empty::new("Nothing to compare", format!("No service that you may see runs in {from} or {to}.")));
    let next = page.next.map(|next| {
        links::query(
            "/environments/compare",
            &[("from", &from), ("to", &to), ("differs", &asked.differs), ("after", &next)],
        )
    });
    let shell = visit
        .shell(Section::Environments, format!("{from} beside {to}"))
        .crumb("Environments", "/environments")
        .live("*");
    let environments = environments.iter().map(ToString::to_string).collect();
    let (any, hidden) = (rows.iter().any(|row| row.can), all.saturating_sub(rows.len()));
    html(&ComparePage { shell, from, to, environments, differs, rows, hidden, any, next, empty })
}

async fn names(visit: &Visit) -> base::Result<Vec<EnvironmentName>> {
    let known = visit.api.get::<ListEnvironments>(&Nothing {}).await?;
    Ok(known.items.into_iter().map(|one| one.environment).collect())
}

/// The two environments: those that were asked for, or the last one and the one before it.
fn pair(known: &[EnvironmentName], from: &str, to: &str) -> base::Result<(EnvironmentName, EnvironmentName)> {
    let asked = |text: &str| known.iter().position(|one| one.as_str() == text);
    let last = known.len().saturating_sub(1);
    let to = asked(to).unwrap_or(last);
    let from = asked(from).filter(|from| *from != to).unwrap_or_else(|| to.checked_sub(1).unwrap_or(1));
    let find = |at: usize| {
        known.get(at).cloned().ok_or_else(|| {
            Problem::conflict("no-environment", "there is only one environment, and nothing to compare it with")
                .hint("add one: `orlop env put staging --after dev`")
        })
    };
    Ok((find(from)?, find(to)?))
}

#[derive(Deserialize)]
struct SettingsPath {
    from: EnvironmentName,
    to: EnvironmentName,
    service: ServiceName,
}

/// A setting on both sides. Values of secrets are nowhere in it.
struct SettingRow {
    name: String,
    verdict: &'static str,
    differs: bool,
    from: Text,
    to: Text,
}

impl SettingRow {
    fn of(one: &SettingComparison) -> Self {
        let side = |side: &Option<api::access::Setting>| match side {
            None => Text::from("not set"),
            Some(setting) => match &setting.value {
                Some(value) => Text::from(value.chars().take(200).collect::<String>()),
                None if setting.secret => Text::from(format!("a secret, version {}", setting.version)),
                None => Text::from(format!("of the installation, version {}", setting.version)),
            },
        };
        let verdict = match one.verdict {
            SettingVerdict::Equal => "equal",
            SettingVerdict::Different => "different",
            SettingVerdict::Own => "each its own",
            SettingVerdict::OnlyFrom => "only on the left",
            SettingVerdict::OnlyTo => "only on the right",
        };
        Self {
            name: one.name.to_string(),
            verdict,
            differs: one.verdict != SettingVerdict::Equal,
            from: side(&one.from),
            to: side(&one.to),
        }
    }
}

#[derive(Template)]
#[template(path = "compare_settings.html")]
struct SettingsPage {
    shell: Shell,
    service: String,
    from: String,
    to: String,
    rows: Vec<SettingRow>,
}

async fn settings(visit: Visit, Path(path): Path<SettingsPath>) -> Outcome {
    let SettingsPath { from, to, service } = path;
    let query = SettingComparisonQuery { from: from.clone(), to: to.clone() };
    let page = visit.api.ask::<CompareSettings>(&ServicePath { service: service.clone() }, &query).await?;
    let shell = visit
        .shell(Section::Environments, format!("Settings of {service} in {from} and {to}"))
        .crumb("Environments", "/environments")
        .crumb(
            format!("{from} beside {to}"),
            links::query("/environments/compare", &[("from", from.as_str()), ("to", to.as_str())]),
        );
    html(&SettingsPage {
        shell,
        service: service.to_string(),
        from: from.to_string(),
        to: to.to_string(),
        rows: page.items.iter().map(SettingRow::of).collect(),
    })
}

/// `service=a&service=b&from=…&to=…`: names that repeat are no map, so that they are read as pairs.
fn chosen(pairs: &[(String, String)]) -> Result<(EnvironmentName, EnvironmentName, Vec<ServiceName>), Fault> {
    let mut single: BTreeMap<&str, &str> = BTreeMap::new();
    let mut services: Vec<ServiceName> = Vec::new();
    for (name, value) in pairs {
        match name.as_str() {
            "service" => services.push(value.parse().map_err(Problem::from)?),
            name => {
                single.insert(name, value);
            }
        }
    }
    services.sort();
    services.dedup();
    let environment = |name: &str| -> Result<EnvironmentName, Fault> {
        Ok(single.get(name).copied().unwrap_or_default().parse().map_err(Problem::from)?)
    };
    if services.is_empty() {
        return Err(Fault(
            Problem::unprocessable("nothing-chosen", "no service was chosen").hint("tick at least one of them"),
        ));
    }
    if services.len() > AT_ONCE_MAX {
        return Err(Fault(Problem::unprocessable(
            "too-many-chosen",
            format!("at most {AT_ONCE_MAX} services are promoted at once"),
        )));
    }
    Ok((environment("from")?, environment("to")?, services))
}

/// What one promotion among several would do, or why it cannot be.
struct Promotion {
    service: String,
    now: Option<Side>,
    to: Option<Side>,
    differences: Vec<Difference>,
    supersedes: bool,
    refused: Option<Text>,
}

#[derive(Template)]
#[template(path = "promote.html")]
struct PromotePage {
    shell: Shell,
    from: String,
    to: String,
    promotions: Vec<Promotion>,
    can: usize,
}

async fn preview(visit: Visit, Query(pairs): Query<Vec<(String, String)>>) -> Outcome {
    let (from, to, services) = chosen(&pairs)?;
    let mut promotions = Vec::new();
    for service in services {
        let query = PlanQuery {
            environment: to.clone(),
            release: None,
            from: Some(from.clone()),
            rollback: false,
            restart: false,
        };
        let path = ServicePath { service: service.clone() };
        let plan = match visit.api.ask::<PlanRollout>(&path, &query).await {
            Ok(plan) => may(&visit, &path).await?.map_or(Ok(plan), Err),
            Err(problem) => Err(problem.to_string()),
        };
        let name = service.to_string();
        promotions.push(match plan {
            Ok(plan) => Promotion {
                service: name,
                now: plan.now.as_ref().map(|now| Side::of(now, visit.now)),
                to: Some(Side::of(&plan.to, visit.now)),
                differences: differences(&plan.settings, &plan.needs),
                supersedes: plan.supersedes.is_some(),
                refused: None,
            },
            Err(why) => Promotion {
                service: name,
                now: None,
                to: None,
                differences: Vec::new(),
                supersedes: false,
                refused: Some(Text::from(why)),
            },
        });
    }
    let can = promotions.iter().filter(|one| one.refused.is_none()).count();
    let shell = visit
        .shell(Section::Environments, format!("Promote from {from} to {to}"))
        .crumb("Environments", "/environments")
        .crumb(
            format!("{from} beside {to}"),
            links::query("/environments/compare", &[("from", from.as_str()), ("to", to.as_str())]),
        );
    html(&PromotePage { shell, from: from.to_string(), to: to.to_string(), promotions, can })
}

/// Why the reader may not deploy a service, if they may not.
async fn may(visit: &Visit, path: &ServicePath) -> base::Result<Option<String>> {
    let service = visit.api.get::<GetService>(path).await?;
    Ok(Rights::of(&visit.me).why_not(Action::Deploy, &service.team, Some(&service.service)))
}

/// Starts each promotion; one that is refused stops no other, and is named.
async fn promote(filled: Filled<Vec<(String, String)>>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let (from, to, services) = chosen(&fields)?;
    let (mut begun, mut refused) = (0_usize, Vec::new());
    for service in services {
        let path = ServicePath { service: service.clone() };
        let body = NewRollout {
            environment: to.clone(),
            release: None,
            from: Some(from.clone()),
            rollback: false,
            restart: false,
            reason: None,
        };
        let key = format!("{key}.{service}");
        let also = Also { key: Some(&key), ..Also::default() };
        match visit.api.call::<StartRollout>(&path, &Nothing {}, &body, also).await {
            Ok(_) => begun = begun.saturating_add(1),
            Err(problem) => refused.push(format!("{service}: {}", problem.message)),
        }
    }
    let mut said = format!("{begun} promotion{} begun.", if begun == 1 { "" } else { "s" });
    if !refused.is_empty() {
        said.push_str(&format!(" Refused: {}", refused.join("; ")));
    }
    let back = links::query("/environments/compare", &[("from", from.as_str()), ("to", to.as_str())]);
    Ok(Done::to(back, said).see(visit.headers()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_environments_are_chosen_or_the_last_two() {
        let known: Vec<EnvironmentName> = ["dev", "staging", "prod"].map(|n| n.parse().unwrap()).into();
        let check = |from: &str, to: &str, expect: (&str, &str)| {
            let (from, to) = pair(&known, from, to).unwrap();
            assert_eq!((from.as_str(), to.as_str()), expect);
        };
        check("", "", ("staging", "prod"));
        check("dev", "prod", ("dev", "prod"));
        check("prod", "prod", ("staging", "prod"));
        check("nowhere", "dev", ("staging", "dev"));
        assert_eq!(pair(&known[..1], "", "").unwrap_err().code, "no-environment");
    }

    #[test]
    fn several_services_are_read_and_names_are_names() {
        let pairs = |text: &str| -> Vec<(String, String)> { serde_urlencoded::from_str(text).unwrap() };
        let (from, to, services) = chosen(&pairs("from=dev&to=prod&service=b&service=a&service=b")).unwrap();
        assert_eq!((from.as_str(), to.as_str(), services.len()), ("dev", "prod", 2));
        for bad in ["from=dev&to=prod", "from=dev&to=prod&service=../x", "service=a", "from=dev&to=<b>&service=a"] {
            assert!(chosen(&pairs(bad)).is_err(), "{bad}");
        }
    }
}
