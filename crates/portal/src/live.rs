//! Tells an open page that something it shows has changed. Only *what* changed is said; the page
//! fetches itself again and sees what its reader may see.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use api::Nothing;
use api::access::{AuditRecord, EventQuery, WatchEvents};
use axum::Router;
use axum::extract::Query;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::client::Events;
use crate::fault::Fault;
use crate::site::Site;
use crate::visit::Visit;

/// Changes within this span are told together.
const TOGETHER: Duration = Duration::from_millis(200);
/// A silent stream says this often that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Most services that one page asks about.
const SUBJECTS_MAX: usize = 200;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/live", get(live))
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    subjects: String,
}

/// What changed, since the last time that something was said.
#[derive(Debug, Default, Serialize)]
struct Changed {
    subjects: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

async fn live(
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let wanted = Wanted::of(&asked.subjects);
    let query = EventQuery { service: wanted.only_one(), ..EventQuery::default() };
    let events = visit.api.unattended().events::<WatchEvents>(&Nothing {}, &query).await?;
    let told = stream::unfold((events, wanted), |(mut events, wanted)| async move {
        let event = next(&mut events, &wanted).await?;
        Some((Ok(event), (events, wanted)))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Waits for a change and collects what follows it closely.
async fn next(events: &mut Events<AuditRecord>, wanted: &Wanted) -> Option<Event> {
    let mut changed = Changed::default();
    while changed.kinds.is_empty() {
        changed.note(events.next().await?.ok()?, wanted);
    }
    let pause = tokio::time::sleep(TOGETHER);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => break,
            event = events.next() => match event {
                Some(Ok(record)) => changed.note(record, wanted),
                // What came before the end is told; the end is noticed the next time.
                Some(Err(_)) | None => break,
            },
        }
    }
    Event::default().json_data(changed).ok()
}

impl Changed {
    fn note(&mut self, record: AuditRecord, wanted: &Wanted) {
        let service = record.body.get("service").and_then(serde_json::Value::as_str);
        if wanted.is_about(service) {
            self.subjects.insert(record.subject);
            self.kinds.insert(record.kind);
        }
    }
}

/// The services that a page shows.
struct Wanted {
    all: bool,
    names: BTreeSet<String>,
}

impl Wanted {
    fn of(subjects: &str) -> Self {
        let names: BTreeSet<String> = subjects
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .take(SUBJECTS_MAX)
            .map(str::to_owned)
            .collect();
        Self { all: names.contains("*"), names }
    }

    fn is_about(&self, service: Option<&str>) -> bool {
        self.all || service.is_some_and(|name| self.names.contains(name))
    }

    /// The service, where it is one: the API leaves the others out then.
    fn only_one(&self) -> Option<base::ServiceName> {
        let mut names = self.names.iter();
        match (names.next(), names.next()) {
            (Some(one), None) => one.parse().ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_what_it_shows() {
        let two = Wanted::of("shop, till");
        assert!(two.is_about(Some("shop")) && two.is_about(Some("till")));
        assert!(!two.is_about(Some("stock")) && !two.is_about(None) && two.only_one().is_none());
        let all = Wanted::of("*");
        assert!(all.is_about(Some("stock")) && all.is_about(None) && all.only_one().is_none());
        assert_eq!(Wanted::of("shop").only_one().map(|s| s.to_string()).as_deref(), Some("shop"));
        assert!(!Wanted::of("").is_about(Some("shop")));
    }
}
