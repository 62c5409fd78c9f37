//! All components beside one another, for those who build pages.

use askama::Template;
use axum::Router;
use axum::routing::get;
use base::Time;

use super::Outcome;
use crate::components::{Badge, Empty, Text, Tone, When};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/style", get(show))
}

#[derive(Template)]
#[template(path = "style.html")]
struct StylePage {
    shell: Shell,
    badges: Vec<(Badge, &'static str)>,
    recent: When,
    long_ago: When,
    hostile: Text,
    empty: Empty,
}

async fn show(visit: Visit) -> Outcome {
    let badges = vec![
        (Badge::new(Tone::Good, "healthy"), "as it should be, and observed to be"),
        (Badge::new(Tone::Busy, "changing"), "under way; says what is next and by when"),
        (Badge::new(Tone::Warn, "degraded"), "works, not as it should"),
        (Badge::new(Tone::Bad, "down"), "needs a person"),
        (Badge::new(Tone::Unknown, "unknown"), "not seen for too long"),
        (Badge::new(Tone::Quiet, "empty"), "nothing there, or over"),
    ];
    html(&StylePage {
        shell: visit.shell(Section::None, "Style"),
        badges,
        recent: When::new(visit.now, visit.now),
        long_ago: When::new(Time::from_micros(0), visit.now),
        hostile: Text::from("<script>alert('x')</script> \u{202e}gnp.exe\u{1b}[31m"),
        empty: Empty::new("No releases yet", "The first deploy makes one.").command("orlop deploy"),
    })
}
