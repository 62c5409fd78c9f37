//! From an empty installation to a running service without leaving the page: choose a template, a name and a
//! team, and either let the page deploy it or push one's own code with the token that the page shows.

mod pack;
mod progress;

use api::access::TeamPath;
use api::access::{IssueToken, NewToken, ServicePath};
use api::catalog::{
    CreateService, GetService, ListTemplates, NewService, RenderTemplate, TemplateInputs, TemplatePath,
};
use api::deliver::{ListReleases, UploadQuery, UploadSource};
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::{get, post};
use base::{Kind, Problem, ServiceName, TeamName};
use http::HeaderMap;
use http::header::HOST;
use serde::Deserialize;

use super::Outcome;
use crate::client::Also;
use crate::components::Text;
use crate::fault::Fault;
use crate::form::{Done, Filled};
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// How long a token for a first push works: a working day.
const TOKEN_LIFETIME: std::time::Duration = std::time::Duration::from_secs(8 * 3600);

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/start", get(choose).post(deploy))
        .route("/start/push", post(push))
        .route("/start/{service}", get(follow))
        .route("/start/{service}/log", get(progress::log))
}

struct TemplateLine {
    name: String,
    language: Text,
    about: Text,
    chosen: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    template: String,
    service: String,
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    shell: Shell,
    templates: Vec<TemplateLine>,
    teams: Vec<String>,
    service: String,
}

async fn choose(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let templates = visit.api.get::<ListTemplates>(&Nothing {}).await?;
    let first = templates.items.first().map(|one| one.template.to_string()).unwrap_or_default();
    let wanted = if asked.template.is_empty() { first } else { asked.template };
    let lines = templates.items.into_iter().map(|one| TemplateLine {
        chosen: one.template.as_str() == wanted,
        name: one.template.to_string(),
        language: Text::from(one.language),
        about: Text::from(one.description),
    });
    let teams = Rights::of(&visit.me).teams(Action::Deploy).iter().map(ToString::to_string).collect();
    let service = if asked.service.is_empty() { "hello".to_owned() } else { asked.service.chars().take(63).collect() };
    html(&StartPage { shell: visit.shell(Section::Services, "Begin"), templates: lines.collect(), teams, service })
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    template: String,
    service: String,
    #[serde(default)]
    team: String,
}

impl Fields {
    fn service(&self) -> Result<ServiceName, Fault> {
        self.service.trim().parse().map_err(|bad| Fault(Problem::from(bad).at("service")))
    }
}

/// Makes the service if it is not there. One of another team is not taken over: the API hides it, and
/// says that the name is taken.
async fn make(visit: &Visit, fields: &Fields, key: &str) -> Result<ServiceName, Fault> {
    let service = fields.service()?;
    match visit.api.get::<GetService>(&ServicePath { service: service.clone() }).await {
        Ok(_) => return Ok(service),
        Err(problem) if problem.kind != Kind::NotFound => return Err(problem.into()),
        Err(_) => {}
    }
    let team: TeamName = fields.team.trim().parse().map_err(|bad| Fault(Problem::from(bad).at("team")))?;
    let body = NewService { service: service.clone(), description: String::new() };
    let key = format!("{key}.make");
    let also = Also { key: Some(&key), ..Also::default() };
    visit.api.call::<CreateService>(&TeamPath { team }, &Nothing {}, &body, also).await?;
    Ok(service)
}

/// A template never takes the place of what somebody has made.
async fn not_in_use(visit: &Visit, service: &ServiceName) -> Result<(), Fault> {
    let newest = PageQuery { limit: Some(1), after: None };
    let releases = visit.api.ask::<ListReleases>(&ServicePath { service: service.clone() }, &newest).await?;
    if releases.items.is_empty() {
        return Ok(());
    }
    let problem = Problem::conflict("already-exists", format!("`{service}` is there already, and has releases"));
    Err(Fault(problem.hint("choose another name for the template's service; to change this one, push to it")))
}

/// Makes the service of its template here, and deploys it: no terminal is needed.
async fn deploy(filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let template: base::TemplateName =
        fields.template.parse().map_err(|bad| Fault(Problem::from(bad).at("template")))?;
    let service = fields.service()?;
    let inputs = TemplateInputs { service: service.clone() };
    let path = TemplatePath { template };
    let files = visit.api.call::<RenderTemplate>(&path, &Nothing {}, &inputs, Also::default()).await?.value.files;
    let archive = pack::archive(&files)?;
    make(&visit, &fields, &key).await?;
    not_in_use(&visit, &service).await?;
    let query = UploadQuery { message: Some(format!("From the template {}", path.template)), ..UploadQuery::default() };
    let here = ServicePath { service: service.clone() };
    let also = Also { key: Some(&key), ..Also::default() };
    visit.api.upload::<UploadSource>(&here, &query, archive, also).await?;
    Ok(Done::to(format!("/start/{service}"), format!("{service} is being built.")).see(visit.headers()))
}

/// What to type in a repository, with a token in it that is shown this once.
pub(super) struct PushView {
    pub remote: String,
    pub lines: Vec<String>,
    pub secret: String,
    pub person: String,
}

/// Makes the service and a token that can push to it alone, and shows what to type once; then the page follows
/// what becomes of it.
async fn push(filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let service = make(&visit, &fields, &key).await?;
    let body = NewToken {
        name: format!("first push to {service}"),
        scopes: vec![Action::Read, Action::Deploy],
        services: vec![service.clone()],
        lifetime: Some(base::Span(TOKEN_LIFETIME)),
    };
    let also = Also { key: Some(&key), ..Also::default() };
    let issued = visit.api.call::<IssueToken>(&Nothing {}, &Nothing {}, &body, also).await?.value;
    let address = address(visit.headers());
    let lines = commands(&address, visit.me.person.as_str(), &issued.secret, service.as_str());
    let push = PushView {
        remote: format!("{address}/git/{service}.git"),
        lines,
        secret: issued.secret,
        person: visit.me.person.to_string(),
    };
    progress::page(visit, ServicePath { service }, Some(push)).await
}

/// The platform's address as the reader's browser knows it. `Host` was checked on the way here.
fn address(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    format!("{}://{host}", if secure { "https" } else { "http" })
}

/// What to type in a repository. The token is asked for by git itself where it is not in the address.
fn commands(address: &str, person: &str, secret: &str, service: &str) -> Vec<String> {
    let with_token = match address.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{person}:{secret}@{host}/git/{service}.git"),
        None => format!("{address}/git/{service}.git"),
    };
    vec![
        "git init -b main".to_owned(),
        "git add -A && git commit -m 'First'".to_owned(),
        format!("git push {with_token} main"),
    ]
}

async fn follow(visit: Visit, Path(path): Path<ServicePath>) -> Outcome {
    progress::page(visit, path, None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_push_to_this_address() {
        let lines = commands("http://127.0.0.1:7000", "ada", "orlop_x", "shop");
        assert_eq!(lines[2], "git push http://ada:orlop_x@127.0.0.1:7000/git/shop.git main");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "orlop.example.com".parse().unwrap());
        assert_eq!(address(&headers), "http://orlop.example.com");
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert_eq!(address(&headers), "https://orlop.example.com");
    }

    #[test]
    fn names_are_names() {
        let fields = |service: &str| Fields { template: String::new(), service: service.into(), team: String::new() };
        assert_eq!(fields(" shop ").service().unwrap().as_str(), "shop");
        for bad in ["", "Shop", "../x", "<b>", "a b"] {
            assert!(fields(bad).service().is_err(), "{bad}");
        }
    }
}
