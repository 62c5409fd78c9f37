//! All components beside one another, for those who build pages.

use api::run::LogLine;
use askama::Template;
use axum::Router;
use axum::routing::get;
use base::Time;

use super::Outcome;
use crate::components::chart::{Chart, Form, Mark, Picture, Series, Svg, Unit, Value, sparkline};
use crate::components::{Badge, Empty, Offer, Output, Tab, Text, Tone, When, log_line};
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
    tabs: Vec<Tab>,
    offers: Vec<Offer>,
    output: Output,
    lines: Vec<String>,
    form: String,
    spark: Svg,
    picture: Picture,
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
        tabs: ["Overview", "Releases", "Logs"]
            .into_iter()
            .map(|word| Tab { word, path: "/style".to_owned(), current: word == "Releases" })
            .collect(),
        offers: vec![
            offer("Promote to staging…", None, false),
            offer("Take out of use…", None, true),
            offer("Roll back…", Some("no other release of `shop` ran in dev before"), false),
        ],
        output: Output::new("\u{1b}[32mok\u{1b}[0m listening, \u{1b}[1mready\u{1b}[0m".to_owned(), "listening"),
        lines: ["\u{1b}[32mok\u{1b}[0m listening", "\u{1b}[31merror\u{1b}[0m connection refused"]
            .into_iter()
            .zip(["out", "err"])
            .map(|(text, stream)| log_line(&line(visit.now, stream, text)))
            .collect(),
        form: "/theme".to_owned(),
        empty: Empty::new("No releases yet", "The first deploy makes one.").command("orlop deploy"),
        spark: sparkline(&[Some(1.0), Some(3.0), None, Some(2.0), Some(0.0), Some(4.0)], "an example: 0 to 4 a second"),
        picture: picture(visit.now),
    })
}

fn offer(word: &str, denied: Option<&str>, danger: bool) -> Offer {
    Offer { word: word.to_owned(), path: "/style".to_owned(), denied: denied.map(str::to_owned), danger }
}

fn line(at: Time, stream: &str, text: &str) -> LogLine {
    LogLine {
        at,
        instance: base::InstanceId::new(Time::from_micros(0), [0; 10]),
        process: "web".parse().expect("a name of a process"),
        stream: stream.to_owned(),
        text: text.to_owned(),
    }
}

/// An hour with a gap and a deploy in it.
fn picture(now: Time) -> Picture {
    use crate::components::chart::Tone;
    let step = std::time::Duration::from_secs(120);
    let wave = |at: u32, low: f64| low + low * (f64::from(at) / 4.0).sin();
    let points =
        |low: f64| (0..30).map(|at| (!(12..15).contains(&at)).then(|| Value::Exactly(wave(at, low)))).collect();
    let series =
        |name: &str, tone, low| Series { name: name.to_owned(), form: Form::Stacked, tone, points: points(low) };
    let start = now.minus(step.saturating_mul(30));
    Picture::of(Chart {
        title: "A picture".to_owned(),
        unit: Unit::PerSecond,
        start,
        step,
        len: 30,
        series: vec![series("answered well", Tone::Main, 40.0), series("failed", Tone::Bad, 4.0)],
        marks: vec![Mark {
            at: start.plus(step.saturating_mul(20)),
            label: "#42".to_owned(),
            about: "release 42 became current".to_owned(),
            href: "/style".to_owned(),
            tone: Tone::Good,
        }],
    })
}
