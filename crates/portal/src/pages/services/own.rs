//! The reader's own views of the list, kept by the API: `orlop view list` shows the same.

use api::Nothing;
use api::access::{RemoveView, SaveView, View as Kept, ViewPath};
use axum::extract::Path;
use base::Problem;
use serde::Deserialize;

use super::{Asked, Outcome, View};
use crate::client::Also;
use crate::form::{Done, Filled};

/// As links above the list; the one that is shown is marked.
pub(super) fn views(kept: Vec<Kept>, asked: &Asked) -> Vec<View> {
    let shown = asked.kept();
    let view = |one: Kept| {
        let current = one.query == shown;
        let of = Asked::of(one.query);
        View { word: one.view.to_string(), path: of.path(&of.sort, ""), current }
    };
    kept.into_iter().map(view).collect()
}

#[derive(Deserialize)]
pub(super) struct Fields {
    name: String,
    #[serde(flatten)]
    asked: Asked,
}

/// Keeps what the list shows.
pub(super) async fn save(filled: Filled<Fields>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let view = name_of(&fields.name).parse().map_err(Problem::from)?;
    let path = ViewPath { view };
    let also = Also { key: Some(&key), ..Also::default() };
    let view = visit.api.call::<SaveView>(&path, &Nothing {}, &fields.asked.kept(), also).await?.value;
    let to = fields.asked.path(&fields.asked.sort, "");
    Ok(Done::to(to, format!("Kept as {}. In a terminal: orlop status --view {}", view.view, view.view))
        .see(visit.headers()))
}

#[derive(Deserialize)]
pub(super) struct NoFields {}

pub(super) async fn forget(Path(path): Path<ViewPath>, filled: Filled<NoFields>) -> Outcome {
    let Filled { visit, key, .. } = filled;
    let also = Also { key: Some(&key), ..Also::default() };
    visit.api.call::<RemoveView>(&path, &Nothing {}, &Nothing {}, also).await?;
    Ok(Done::to("/services", format!("The view {} is forgotten.", path.view)).see(visit.headers()))
}

/// `Payments: down!` is `payments-down`.
fn name_of(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use api::catalog::{Health, StatusOrder, StatusQuery};

    use super::*;

    #[test]
    fn what_people_type_becomes_a_name() {
        for (text, name) in [("Payments: down!", "payments-down"), (" mine ", "mine"), ("a--b", "a-b")] {
            assert_eq!(name_of(text), name);
        }
    }

    #[test]
    fn a_view_leads_to_what_was_kept_and_knows_when_it_is_shown() {
        let query = StatusQuery {
            team: Some("pay".parse().unwrap()),
            health: Some(Health::Down),
            search: Some("a&b".to_owned()),
            sort: Some(StatusOrder::Change),
            ..StatusQuery::default()
        };
        let kept = Kept { view: "mine".parse().unwrap(), query: query.clone(), saved: base::Time::default() };
        let shown = views(vec![kept.clone()], &Asked::of(query));
        assert_eq!(shown[0].path, "/services?q=a%26b&team=pay&health=down&sort=change");
        assert!(shown[0].current);
        assert!(!views(vec![kept], &Asked::default())[0].current);
    }
}
