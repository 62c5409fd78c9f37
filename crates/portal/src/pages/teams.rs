//! Teams: who is in them, what they own.

use api::access::{
    CreateTeam, GetTeam, GetTeamAccess, ListTeams, MemberPath, Membership, NewTeam, RemoveMember, RemoveTeam, Role,
    SetMember, TeamPath,
};
use api::catalog::{ListStatus, StatusQuery};
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use base::{PersonName, Problem, TeamName};
use serde::Deserialize;

use super::Outcome;
use super::service::Rights;
use super::services::Line;
use crate::client::Also;
use crate::components::When;
use crate::form::{Done, Filled};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .route("/teams", get(list).post(create))
        .route("/teams/{team}", get(show))
        .route("/teams/{team}/members", post(change))
        .route("/teams/{team}/remove", post(remove))
}

struct TeamLine {
    team: String,
    members: usize,
    mine: &'static str,
    created: When,
}

#[derive(Template)]
#[template(path = "teams.html")]
struct TeamsPage {
    shell: Shell,
    teams: Vec<TeamLine>,
    admin: bool,
}

async fn list(visit: Visit) -> Outcome {
    let page = visit.api.ask::<ListTeams>(&Nothing {}, &PageQuery { limit: Some(500), after: None }).await?;
    let teams = page.items.into_iter().map(|team| TeamLine {
        mine: visit.me.teams.get(team.team.as_str()).map_or("", |role| role.word()),
        members: team.members.len(),
        created: When::new(team.created, visit.now),
        team: team.team.to_string(),
    });
    let teams = teams.collect();
    let admin = visit.is_admin();
    html(&TeamsPage { shell: visit.shell(Section::Teams, "Teams"), teams, admin })
}

#[derive(Template)]
#[template(path = "team.html")]
struct TeamPage {
    shell: Shell,
    team: TeamName,
    version: i64,
    created: When,
    members: Vec<(String, &'static str)>,
    lines: Vec<Line>,
    rights: Rights,
    denied: Option<String>,
    admin: bool,
}

async fn show(visit: Visit, Path(path): Path<TeamPath>) -> Outcome {
    let team = visit.api.get::<GetTeam>(&path).await?;
    let access = visit.api.get::<GetTeamAccess>(&path).await?;
    let query = StatusQuery { team: Some(path.team.clone()), limit: Some(200), ..StatusQuery::default() };
    let services = visit.api.ask::<ListStatus>(&Nothing {}, &query).await?;
    let manage = access.mine.iter().find(|right| right.action == Action::Manage);
    let denied = manage.filter(|right| !right.allowed).map(|right| right.why.clone());
    html(&TeamPage {
        shell: visit.shell(Section::Teams, path.team.to_string()).crumb("Teams", "/teams"),
        version: team.version,
        created: When::new(team.created, visit.now),
        members: team.members.into_iter().map(|(person, role)| (person, role.word())).collect(),
        lines: services.items.into_iter().map(|one| Line::of(one, visit.now)).collect(),
        rights: Rights::of(&access),
        denied,
        admin: visit.is_admin(),
        team: path.team,
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    team: String,
    person: String,
    role: String,
    version: String,
}

async fn create(filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let body = NewTeam { team: fields.team.trim().parse().map_err(Problem::from)? };
    let also = Also { key: Some(&key), ..Also::default() };
    let team = visit.api.call::<CreateTeam>(&Nothing {}, &Nothing {}, &body, also).await?.value;
    Ok(Done::to(format!("/teams/{}", team.team), format!("Team {} is there; you own it.", team.team))
        .see(visit.headers()))
}

/// Gives a role, or takes a person out where the role is `none`.
async fn change(Path(path): Path<TeamPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let person: PersonName = fields.person.trim().parse().map_err(Problem::from)?;
    let to = format!("/teams/{}", path.team);
    let path = MemberPath { team: path.team, person };
    let also = Also { key: Some(&key), version: fields.version.parse().ok(), token: None };
    let role = match fields.role.as_str() {
        "viewer" => Some(Role::Viewer),
        "developer" => Some(Role::Developer),
        "owner" => Some(Role::Owner),
        "none" => None,
        _ => return Err(Problem::unprocessable("bad-role", "the role is viewer, developer or owner").into()),
    };
    let said = match role {
        Some(role) => {
            visit.api.call::<SetMember>(&path, &Nothing {}, &Membership { role }, also).await?;
            format!("{} is {} of {}.", path.person, role.word(), path.team)
        }
        None => {
            visit.api.call::<RemoveMember>(&path, &Nothing {}, &Nothing {}, also).await?;
            format!("{} is out of {}.", path.person, path.team)
        }
    };
    Ok(Done::to(to, said).see(visit.headers()))
}

async fn remove(Path(path): Path<TeamPath>, filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    visit.api.call::<RemoveTeam>(&path, &Nothing {}, &Nothing {}, Also { key: Some(&key), ..Also::default() }).await?;
    Ok(Done::to("/teams", format!("Team {} is removed.", path.team)).see(visit.headers()))
}
