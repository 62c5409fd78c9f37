//! Finds anything by name, does anything by name: a page of its own, and the list of the dialog on every page.

mod rank;

use api::access::ListTeams;
use api::catalog::{ListServices, ServiceQuery};
use api::{Action, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use serde::Deserialize;

use self::rank::{Hit, Place, rank};
use super::Outcome;
use crate::help;
use crate::rights::Rights;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

/// Longest question, letters.
const ASKED_CHARS_MAX: usize = 80;
/// Most services and teams that are looked through.
const LOOKED_THROUGH: u32 = 50;
/// Most pages of the help among the rest.
const HELP_MAX: usize = 6;
/// Most that is shown.
const HITS_MAX: usize = 24;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/palette", get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    q: String,
    /// Only the list, for the dialog.
    part: String,
}

#[derive(Template)]
#[template(path = "palette.html")]
struct PalettePage {
    shell: Shell,
    q: String,
    hits: Vec<Hit>,
}

#[derive(Template)]
#[template(path = "palette_list.html")]
struct PaletteList {
    q: String,
    hits: Vec<Hit>,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let q: String = asked.q.trim().chars().take(ASKED_CHARS_MAX).collect();
    let hits = hits(&visit, &q).await?;
    if !asked.part.is_empty() {
        return html(&PaletteList { q, hits });
    }
    html(&PalettePage { shell: visit.shell(Section::None, "Find or do"), q, hits })
}

async fn hits(visit: &Visit, q: &str) -> base::Result<Vec<Hit>> {
    let (verb, name) = rank::verb(q);
    let query = ServiceQuery {
        limit: Some(LOOKED_THROUGH),
        search: Some(name.to_owned()).filter(|name| !name.is_empty()),
        ..ServiceQuery::default()
    };
    let teams = PageQuery { limit: Some(LOOKED_THROUGH), after: None };
    let (services, teams) = tokio::try_join!(
        visit.api.ask::<ListServices>(&Nothing {}, &query),
        visit.api.ask::<ListTeams>(&Nothing {}, &teams),
    )?;
    let rights = Rights::of(&visit.me);
    let mut places: Vec<Place> =
        visit.shell(Section::None, "").menu().map(|entry| Place::page(entry.word, entry.path)).collect();
    places.extend(rank::more_pages());
    for service in services.items {
        let may = |action| rights.why_not(action, &service.team, Some(&service.service)).is_none();
        places.extend(Place::service(
            service.service.as_str(),
            &service.description,
            may(Action::Deploy),
            may(Action::Configure),
            verb,
        ));
    }
    places.extend(teams.items.iter().map(|team| Place::team(team.team.as_str())));
    let mut hits = rank(q, places, HITS_MAX);
    let found = help::search(q).into_iter().take(HELP_MAX);
    hits.extend(found.map(|found| Hit {
        title: found.title,
        about: found.around,
        kind: "help",
        path: found.path,
        score: 0,
    }));
    hits.truncate(HITS_MAX);
    Ok(hits)
}
