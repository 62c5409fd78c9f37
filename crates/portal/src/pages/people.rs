//! Accounts, for platform admins.

use api::access::{CreatePerson, IssueSignIn, ListPeople, NewPerson, PersonPath, RemovePerson};
use api::{Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::{get, post};
use base::Problem;
use http::header::HOST;
use serde::Deserialize;

use super::Outcome;
use crate::client::Also;
use crate::components::When;
use crate::form::{Done, Filled};
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/people", get(list).post(create))
        .route("/people/{person}/sign-in", post(link))
        .route("/people/{person}/remove", get(ask).post(remove))
}

struct PersonLine {
    person: String,
    admin: bool,
    created: When,
    teams: String,
    me: bool,
}

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    shell: Shell,
    people: Vec<PersonLine>,
    next: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    person: String,
    admin: String,
    after: String,
}

async fn list(visit: Visit, Query(fields): Query<Fields>) -> Outcome {
    let query = PageQuery { limit: Some(100), after: Some(fields.after).filter(|a| !a.is_empty()) };
    let page = visit.api.ask::<ListPeople>(&Nothing {}, &query).await?;
    let people = page.items.into_iter().map(|one| PersonLine {
        me: one.person == visit.me.person,
        person: one.person.to_string(),
        admin: one.admin,
        created: When::new(one.created, visit.now),
        teams: one.teams.keys().cloned().collect::<Vec<_>>().join(", "),
    });
    let people = people.collect();
    let next = page.next.map(|after| links::query("/people", &[("after", &after)]));
    html(&PeoplePage { shell: visit.shell(Section::People, "People"), people, next })
}

async fn create(filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let person = fields.person.trim().parse().map_err(Problem::from)?;
    let body = NewPerson { person, admin: !fields.admin.is_empty() };
    let also = Also { key: Some(&key), ..Also::default() };
    let person = visit.api.call::<CreatePerson>(&Nothing {}, &Nothing {}, &body, also).await?.value;
    Ok(Done::to("/people", format!("{} has an account; make them a link to sign in.", person.person))
        .see(visit.headers()))
}

#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct LinkPage {
    shell: Shell,
    person: String,
    link: String,
    expires: When,
}

/// The link is shown once, on the answer itself: it is in no address and no cookie.
async fn link(Path(path): Path<PersonPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    let also = Also { key: Some(&key), ..Also::default() };
    let made = visit.api.call::<IssueSignIn>(&path, &Nothing {}, &Nothing {}, also).await?.value;
    let host = visit.headers().get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let secure = visit.headers().get("x-forwarded-proto").is_some_and(|v| v.as_bytes() == b"https");
    let link = format!("{}://{host}/sign-in?code={}", if secure { "https" } else { "http" }, made.code);
    html(&LinkPage {
        shell: visit.shell(Section::People, "A link to sign in").crumb("People", "/people"),
        person: path.person.to_string(),
        link,
        expires: When::new(made.expires, visit.now),
    })
}

#[derive(Template)]
#[template(path = "remove_person.html")]
struct RemovePage {
    shell: Shell,
    person: String,
}

async fn ask(visit: Visit, Path(path): Path<PersonPath>) -> Outcome {
    if !visit.is_admin() {
        return Err(Problem::forbidden("not-admin", "this is for platform admins")
            .hint("ask a platform admin to do it")
            .into());
    }
    let shell = visit.shell(Section::People, format!("Remove {}", path.person)).crumb("People", "/people");
    html(&RemovePage { shell, person: path.person.to_string() })
}

async fn remove(Path(path): Path<PersonPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    visit
        .api
        .call::<RemovePerson>(&path, &Nothing {}, &Nothing {}, Also { key: Some(&key), ..Also::default() })
        .await?;
    Ok(Done::to("/people", format!("The account {} is removed.", path.person)).see(visit.headers()))
}
