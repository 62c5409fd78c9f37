//! The platform itself: what it checks, what it does, what waits. Everybody sees the checks; the rest is for admins.

use api::Nothing;
use api::platform::{Check, Doctor, DoctorQuery, GetPlatform, Healthz, Platform, Readyz, Verdict};
use askama::Template;
use axum::Router;
use axum::routing::get;
use base::Time;

use super::Outcome;
use crate::components::{Badge, Text, Tone, When, exactly};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/platform", get(show))
}

/// A check of the doctor, as a line.
struct CheckLine {
    area: String,
    /// Whether it is the first of its area: links to the area lead to it.
    first: bool,
    name: String,
    badge: Badge,
    found: Text,
    fix: Option<Text>,
}

impl CheckLine {
    fn of(check: &Check) -> Self {
        let badge = match check.verdict {
            Verdict::Ok => Badge::new(Tone::Good, "ok"),
            Verdict::Limited => Badge::new(Tone::Warn, "limited"),
            Verdict::Broken => Badge::new(Tone::Bad, "broken"),
        };
        let area = check.name.split('.').next().unwrap_or_default().to_owned();
        Self {
            area,
            first: false,
            name: check.name.clone(),
            badge,
            found: Text::from(check.found.clone()),
            fix: check.fix.clone().map(Text::from),
        }
    }
}

/// The checks as lines.
fn lines(checks: &[Check]) -> Vec<CheckLine> {
    let mut seen = std::collections::BTreeSet::new();
    let lines = checks.iter().map(CheckLine::of);
    lines.map(|line| CheckLine { first: seen.insert(line.area.clone()), ..line }).collect()
}

/// The worst verdict of each area: `engine`, `gateway`, `disk`, …
fn areas(checks: &[Check]) -> Vec<(String, Badge)> {
    let mut worst: std::collections::BTreeMap<&str, &Check> = std::collections::BTreeMap::new();
    for check in checks {
        let area = check.name.split('.').next().unwrap_or_default();
        let known = worst.entry(area).or_insert(check);
        if check.verdict > known.verdict {
            *known = check;
        }
    }
    worst.into_iter().map(|(area, check)| (area.to_owned(), CheckLine::of(check).badge)).collect()
}

struct ReconcilerLine {
    name: Text,
    badge: Badge,
    runs: u64,
    failures: u64,
    last: Option<When>,
    took: String,
    error: Option<Text>,
    status: Text,
}

struct JobLine {
    id: String,
    kind: Text,
    state: Text,
    attempts: u32,
    error: Option<Text>,
}

/// What only admins are told.
struct Inside {
    facts: Vec<(&'static str, Text)>,
    started: When,
    reconcilers: Vec<ReconcilerLine>,
    jobs: Vec<JobLine>,
    queues: Vec<(Text, usize)>,
}

impl Inside {
    fn of(platform: Platform, now: Time) -> Self {
        let mut queues: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        for job in &platform.jobs {
            let count = queues.entry(format!("{} {}", job.kind, job.state)).or_default();
            *count = count.saturating_add(1);
        }
        let reconcilers = platform.reconcilers.into_iter().map(|one| ReconcilerLine {
            badge: match (&one.last_error, one.last_run) {
                (Some(_), _) => Badge::new(Tone::Bad, "failed"),
                (None, Some(_)) => Badge::new(Tone::Good, "ok"),
                (None, None) => Badge::new(Tone::Unknown, "not yet run"),
            },
            name: Text::from(one.name),
            runs: one.runs,
            failures: one.failures,
            last: one.last_run.map(|at| When::new(at, now)),
            took: exactly(std::time::Duration::from_micros(one.last_took_us)),
            error: one.last_error.map(Text::from),
            status: Text::from(one.status.to_string()),
        });
        let jobs = platform.jobs.iter().map(|job| JobLine {
            id: job.job.short(),
            kind: Text::from(job.kind.clone()),
            state: Text::from(job.state.clone()),
            attempts: job.attempts,
            error: job.error.clone().map(Text::from),
        });
        Self {
            jobs: jobs.collect(),
            reconcilers: reconcilers.collect(),
            queues: queues.into_iter().map(|(queue, count)| (Text::from(queue), count)).collect(),
            started: When::new(platform.started, now),
            facts: vec![
                ("Version", Text::from(platform.version)),
                ("API", Text::from(platform.api)),
                ("Gateway", Text::from(platform.gateway)),
                ("Domain", Text::from(platform.domain)),
                ("Database", Text::from(platform.database)),
            ],
        }
    }
}

#[derive(Template)]
#[template(path = "platform.html")]
struct PlatformPage {
    shell: Shell,
    version: Text,
    ready: Badge,
    waiting_for: Vec<Text>,
    areas: Vec<(String, Badge)>,
    checks: Vec<CheckLine>,
    inside: Option<Inside>,
}

async fn show(visit: Visit) -> Outcome {
    let query = DoctorQuery::default();
    let (alive, ready, checks) = tokio::try_join!(
        visit.api.get::<Healthz>(&Nothing {}),
        async { Ok(visit.api.get::<Readyz>(&Nothing {}).await) },
        visit.api.ask::<Doctor>(&Nothing {}, &query),
    )?;
    let inside = match visit.is_admin() {
        true => Some(Inside::of(visit.api.get::<GetPlatform>(&Nothing {}).await?, visit.now)),
        false => None,
    };
    let (badge, waiting_for) = match ready {
        Ok(ready) if ready.ok => (Badge::new(Tone::Good, "ready"), Vec::new()),
        Ok(ready) => (Badge::new(Tone::Warn, "not ready"), ready.waiting_for.into_iter().map(Text::from).collect()),
        Err(problem) => (Badge::new(Tone::Bad, "not ready"), vec![Text::from(problem.message)]),
    };
    html(&PlatformPage {
        shell: visit.shell(Section::Platform, "Platform").live("*"),
        version: Text::from(alive.version),
        ready: badge,
        waiting_for,
        areas: areas(&checks.items),
        checks: lines(&checks.items),
        inside,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_as_well_as_the_worst_of_it() {
        let check = |name: &str, verdict: Verdict| Check { name: name.into(), verdict, found: "<b>".into(), fix: None };
        let checks = [
            check("disk.room", Verdict::Ok),
            check("disk.speed", Verdict::Broken),
            check("engine.memory", Verdict::Limited),
        ];
        let told: Vec<String> = areas(&checks).iter().map(|(area, badge)| format!("{area} {}", badge.word)).collect();
        assert_eq!(told, ["disk broken", "engine limited"]);
        assert_eq!(CheckLine::of(&checks[0]).found.to_string(), "<bdi>&lt;b&gt;</bdi>");
    }
}
