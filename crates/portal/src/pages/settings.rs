//! Settings and secrets of a service: what holds, what held, what differs, and the way back. The value of a
//! secret is never here: the API does not tell it.

use api::access::{
    ListSettingVersions, ListSettings, RemoveSetting, RestoreSetting, ServicePath, SetSetting, Setting, SettingPath,
    SettingQuery, SettingValue, SettingVersion,
};
use api::{Action, Nothing};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::{get, post};
use base::{EnvironmentName, Problem, Result, ServiceName, SettingName};
use serde::Deserialize;

use super::{Head, Outcome};
use crate::client::Also;
use crate::components::{Empty, Text, When, clean, say_actor};
use crate::form::{Done, Filled};
use crate::links;
use crate::shell::{Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/services/{service}/settings", get(list).post(set))
        .route("/services/{service}/settings/{name}", get(history))
        .route("/services/{service}/settings/{name}/restore", post(restore))
        .route("/services/{service}/settings/{name}/remove", post(remove))
}

struct SettingView {
    name: String,
    environment: String,
    value: Option<Text>,
    secret: bool,
    removed: bool,
    version: i64,
    when: When,
    by: String,
    history: String,
    /// What this version changed, where both values may be seen.
    changes: Vec<(bool, Text)>,
    latest: bool,
}

impl SettingView {
    fn of(setting: Setting, service: &ServiceName, now: base::Time) -> Self {
        let environment = setting.environment.as_ref().map(ToString::to_string).unwrap_or_default();
        let history = format!("/services/{service}/settings/{}", setting.name);
        Self {
            history: links::query(&history, &[("environment", &environment)]),
            name: setting.name.to_string(),
            environment,
            value: setting.value.map(Text),
            secret: setting.secret,
            removed: setting.removed,
            version: setting.version,
            when: When::new(setting.created, now),
            by: say_actor(&setting.actor),
            changes: Vec::new(),
            latest: false,
        }
    }
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    head: Head,
    settings: Vec<SettingView>,
    environments: Vec<String>,
    denied: Option<String>,
    empty: Option<Empty>,
}

async fn list(visit: Visit, Path(path): Path<ServicePath>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Settings").await?;
    let environments = visit.api.get::<api::deliver::ListEnvironments>(&Nothing {}).await?.items;
    let page = visit.api.get::<ListSettings>(&path).await?;
    let settings: Vec<_> = page.items.into_iter().map(|one| SettingView::of(one, &path.service, visit.now)).collect();
    let empty = settings.is_empty().then(|| {
        Empty::new("No settings", "What a program reads from its environment, without a new build.")
            .command(format!("orlop setting set {} LOG_LEVEL=debug", path.service))
    });
    html(&SettingsPage {
        shell: head.shell(&visit, "Settings"),
        denied: head.denied(Action::Configure),
        head,
        settings,
        environments: environments.into_iter().map(|one| one.environment.to_string()).collect(),
        empty,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    name: String,
    environment: String,
    value: String,
    secret: String,
    version: String,
    wanted: String,
}

impl Fields {
    fn place(&self) -> Result<SettingQuery> {
        let environment: Option<EnvironmentName> = match self.environment.as_str() {
            "" => None,
            name => Some(name.parse()?),
        };
        Ok(SettingQuery { environment })
    }
}

async fn set(Path(path): Path<ServicePath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let name: SettingName = fields.name.trim().parse().map_err(Problem::from)?;
    let query = fields.place()?;
    // A text field sends CR LF for a line break (WHATWG HTML §4.10.21.3).
    let body = SettingValue { value: fields.value.replace("\r\n", "\n"), secret: !fields.secret.is_empty() };
    let to = format!("/services/{}/settings", path.service);
    let path = SettingPath { service: path.service, name };
    let setting =
        visit.api.call::<SetSetting>(&path, &query, &body, Also { key: Some(&key), ..Also::default() }).await?.value;
    Ok(Done::to(to, format!("{} has version {} now.", setting.name, setting.version)).see(visit.headers()))
}

#[derive(Template)]
#[template(path = "setting.html")]
struct HistoryPage {
    shell: Shell,
    head: Head,
    name: SettingName,
    environment: String,
    versions: Vec<SettingView>,
    current: i64,
    removed: bool,
    secret: bool,
    /// What it is now, where that may be seen.
    value: String,
    /// It holds what a text field would not show: it is not filled in, so that nobody sends what they did not see.
    is_unseen: bool,
    denied: Option<String>,
}

async fn history(visit: Visit, Path(path): Path<SettingPath>, Query(fields): Query<Fields>) -> Outcome {
    let head = Head::of(&visit, &path.service, "Settings").await?;
    let query = fields.place()?;
    let all = visit.api.ask::<ListSettingVersions>(&path, &query).await?.items;
    let newest = all.first().ok_or_else(|| {
        Problem::not_found("setting-not-found", format!("there is no setting `{}` here", path.name))
            .hint("the list of settings shows names and environments")
    })?;
    let (current, removed, secret) = (newest.version, newest.removed, newest.secret);
    let values: Vec<Option<String>> = all.iter().map(|one| one.value.clone()).collect();
    let value = values.first().cloned().flatten().unwrap_or_default();
    let is_unseen = clean(&value) != value;
    let mut versions: Vec<SettingView> =
        all.into_iter().map(|one| SettingView::of(one, &path.service, visit.now)).collect();
    for (at, version) in versions.iter_mut().enumerate() {
        let before = values.get(at.saturating_add(1)).cloned().flatten();
        let after = values.get(at).cloned().flatten();
        version.changes = changes(before.as_deref(), after.as_deref());
        version.latest = at == 0;
    }
    html(&HistoryPage {
        shell: head.shell(&visit, path.name.as_str()).crumb("Settings", format!("/services/{}/settings", path.service)),
        denied: head.denied(Action::Configure),
        head,
        name: path.name,
        environment: fields.environment,
        versions,
        current,
        removed,
        secret,
        value: if is_unseen { String::new() } else { value },
        is_unseen,
    })
}

/// What differs between two values, by lines: those that went, those that came.
fn changes(before: Option<&str>, after: Option<&str>) -> Vec<(bool, Text)> {
    let lines = |text: Option<&str>| text.map(|t| t.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    let (old, new) = (lines(before), lines(after));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| (false, Text(format!("- {line}"))));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| (true, Text(format!("+ {line}"))));
    gone.chain(come).collect()
}

async fn restore(Path(path): Path<SettingPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let query = fields.place()?;
    let wanted =
        fields.wanted.parse().map_err(|_| Problem::unprocessable("bad-version", "the version is not a number"))?;
    let also = Also { key: Some(&key), version: fields.version.parse().ok(), token: None };
    let setting =
        visit.api.call::<RestoreSetting>(&path, &query, &SettingVersion { version: wanted }, also).await?.value;
    let said = format!("Version {wanted} of {} is back, as version {}.", path.name, setting.version);
    Ok(Done::to(back(&path, &fields), said).see(visit.headers()))
}

async fn remove(Path(path): Path<SettingPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let also = Also { key: Some(&key), version: fields.version.parse().ok(), token: None };
    visit.api.call::<RemoveSetting>(&path, &fields.place()?, &Nothing {}, also).await?;
    Ok(Done::to(back(&path, &fields), format!("{} is removed; its versions are kept.", path.name)).see(visit.headers()))
}

fn back(path: &SettingPath, fields: &Fields) -> String {
    links::query(&format!("/services/{}/settings/{}", path.service, path.name), &[("environment", &fields.environment)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_by_lines() {
        let texts = |before, after| changes(before, after).into_iter().map(|(_, t)| t.0).collect::<Vec<_>>();
        assert_eq!(texts(Some("a\nb"), Some("a\nc")), ["- b", "+ c"]);
        assert_eq!(texts(None, Some("x")), ["+ x"]);
        assert_eq!(texts(Some("x"), None), ["- x"]);
        assert!(texts(Some("x"), Some("x")).is_empty());
    }
}
