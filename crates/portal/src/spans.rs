//! Where the time went between a push and its traffic: pieces of time, and the picture of them.

use std::fmt;
use std::time::Duration;

use api::deliver::{Build, BuildState, BuildStep, Rollout, RolloutState};
use askama::filters::HtmlSafe;
use base::Time;

use crate::components::{When, clean, escape, exactly};

/// Of what a piece of time is a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Wait,
    Build,
    Rollout,
}

impl Part {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Build => "build",
            Self::Rollout => "rollout",
        }
    }
}

/// A piece of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub part: Part,
    pub name: String,
    pub from: Time,
    pub to: Time,
    /// It is not over.
    pub open: bool,
}

impl Span {
    fn new(part: Part, name: impl Into<String>, from: Time, to: Option<Time>, now: Time) -> Self {
        let name = name.into();
        Self { part, name, from, to: to.unwrap_or(now).max(from), open: to.is_none() }
    }

    pub(crate) fn took(&self) -> Duration {
        self.to.since(self.from)
    }

    /// When it began.
    pub(crate) const fn began(&self, now: &Time) -> When {
        When::new(self.from, *now)
    }

    /// What it took, exactly.
    pub(crate) fn exact(&self) -> String {
        exactly(self.took())
    }

    /// For people, exact to the millisecond.
    pub(crate) fn told(&self) -> String {
        let goes = if self.open { " so far" } else { "" };
        format!("{}: {}{goes}", self.name, exactly(self.took()))
    }
}

/// The pieces of a build: waiting, its steps, and what comes after them.
pub(crate) fn of_build(build: &Build, now: Time) -> Vec<Span> {
    let begun = build.pushed.unwrap_or(build.created).min(build.created);
    let first = build.steps.iter().filter_map(|step| step.at).min();
    let mut spans = Vec::new();
    let queued = build.state == BuildState::Queued;
    match first {
        Some(first) => spans.push(Span::new(Part::Wait, "received and prepared", begun, Some(first), now)),
        None => spans.push(Span::new(
            Part::Wait,
            if queued { "waits for its turn" } else { "prepared" },
            begun,
            build.ended,
            now,
        )),
    }
    let steps = of_steps(&build.steps, build.ended, now);
    let last = steps.iter().map(|span| span.to).max();
    let all_done = build.steps.iter().all(|step| step.took_ms.is_some());
    spans.extend(steps);
    if let Some(last) = last.filter(|_| all_done)
        && (build.state == BuildState::Succeeded || build.state == BuildState::Running)
    {
        spans.push(Span::new(Part::Build, "packed into a release", last, build.ended, now));
    }
    spans
}

/// The steps of a build or of a release command.
pub(crate) fn of_steps(steps: &[BuildStep], ended: Option<Time>, now: Time) -> Vec<Span> {
    let with_start = steps.iter().filter_map(|step| Some((step, step.at?)));
    with_start
        .map(|(step, at)| {
            let to = step.took_ms.map(|ms| at.plus(Duration::from_millis(ms))).or(ended);
            Span::new(Part::Build, step.name.clone(), at, to, now)
        })
        .collect()
}

/// The states that a rollout was in, each until the next one.
pub(crate) fn of_rollout(rollout: &Rollout, now: Time) -> Vec<Span> {
    let ends = rollout.history.iter().skip(1).map(|step| Some(step.at)).chain([rollout.ended]);
    rollout
        .history
        .iter()
        .zip(ends)
        .filter(|(step, _)| !is_final(step.state))
        .map(|(step, end)| Span::new(Part::Rollout, state_word(step.state), step.at, end, now))
        .collect()
}

/// Whether nothing more will happen.
pub(crate) const fn is_final(state: RolloutState) -> bool {
    use RolloutState as S;
    matches!(state, S::Succeeded | S::Failed | S::Superseded | S::Cancelled)
}

pub(crate) const fn state_word(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Pending => "pending",
        RolloutState::Releasing => "releasing",
        RolloutState::Starting => "starting",
        RolloutState::Shifting => "shifting",
        RolloutState::Verifying => "verifying",
        RolloutState::Draining => "draining",
        RolloutState::Succeeded => "succeeded",
        RolloutState::Undoing => "undoing",
        RolloutState::Failed => "failed",
        RolloutState::Superseded => "superseded",
        RolloutState::Cancelled => "cancelled",
    }
}

/// Pieces of time over one another: the parts above, what they consist of beneath.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flame {
    pub spans: Vec<Span>,
}

impl Flame {
    pub(crate) fn new(spans: Vec<Span>) -> Self {
        Self { spans }
    }

    /// From the beginning of the first to the end of the last.
    pub(crate) fn whole(&self) -> Option<(Time, Time)> {
        let from = self.spans.iter().map(|span| span.from).min()?;
        let to = self.spans.iter().map(|span| span.to).max()?;
        Some((from, to))
    }

    pub(crate) fn took(&self) -> String {
        self.whole().map_or_else(|| "-".to_owned(), |(from, to)| exactly(to.since(from)))
    }

    /// The pieces in which the time of each part is one.
    fn parts(&self) -> Vec<Span> {
        let mut out: Vec<Span> = Vec::new();
        for span in &self.spans {
            match out.last_mut().filter(|last| last.part == span.part) {
                Some(last) => {
                    last.to = last.to.max(span.to);
                    last.open |= span.open;
                }
                None => out.push(Span { name: span.part.word().to_owned(), ..span.clone() }),
            }
        }
        out
    }
}

/// Units across; the picture is stretched to the room that it has.
const ACROSS: f64 = 1000.0;
const ROW: f64 = 18.0;

impl HtmlSafe for Flame {}

impl fmt::Display for Flame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((from, to)) = self.whole() else { return Ok(()) };
        let scale = ACROSS / to.since(from).as_secs_f64().max(0.001);
        write!(
            f,
            "<svg class=\"flame\" viewBox=\"0 0 {ACROSS:.0} {:.0}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Where the time went: {} in all\">",
            ROW * 2.0 + 2.0,
            self.took()
        )?;
        for (row, spans) in [(0.0, self.parts()), (ROW + 2.0, self.spans.clone())] {
            for (at, span) in spans.iter().enumerate() {
                let x = span.from.since(from).as_secs_f64() * scale;
                let width = (span.took().as_secs_f64() * scale).max(1.0);
                let (odd, open) = (if at % 2 == 1 { " odd" } else { "" }, if span.open { " open" } else { "" });
                write!(
                    f,
                    "<rect class=\"{}{odd}{open}\" x=\"{x:.1}\" y=\"{row:.0}\" width=\"{width:.1}\" height=\"{ROW:.0}\"><title>",
                    span.part.word()
                )?;
                escape(&clean(&span.told()), f)?;
                f.write_str("</title></rect>")?;
            }
        }
        f.write_str("</svg>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::{at, build, rollout};

    fn told(spans: &[Span]) -> Vec<String> {
        spans.iter().map(Span::told).collect()
    }

    #[test]
    fn a_build_is_told_from_its_push_to_its_release() {
        let done = build(BuildState::Succeeded);
        assert_eq!(
            told(&of_build(&done, at(100))),
            [
                "received and prepared: 3.000 s",
                "cargo build: 12.300 s",
                "strip: 0.700 s",
                "packed into a release: 4.000 s"
            ]
        );
        let mut running = build(BuildState::Running);
        running.ended = None;
        running.steps[1].took_ms = None;
        assert_eq!(told(&of_build(&running, at(40))).last().unwrap(), "strip: 14.700 s so far");
        running.steps.clear();
        assert_eq!(told(&of_build(&running, at(40))), ["prepared: 30.000 s so far"]);
    }

    #[test]
    fn a_rollout_is_told_state_by_state() {
        let rollout = rollout(&[("pending", 30), ("starting", 31), ("shifting", 36), ("succeeded", 40)]);
        assert_eq!(told(&of_rollout(&rollout, at(99))), ["pending: 1.000 s", "starting: 5.000 s", "shifting: 4.000 s"]);
    }

    #[test]
    fn the_picture_holds_every_piece_and_escapes_names() {
        let mut build = build(BuildState::Succeeded);
        build.steps[0].name = "<script>\"".into();
        let flame = Flame::new(of_build(&build, at(100)));
        let text = flame.to_string();
        assert!(!text.contains("<script>") && text.contains("&lt;script&gt;"), "{text}");
        assert_eq!(text.matches("<rect").count(), 2 + 4);
        assert_eq!(flame.took(), "20.000 s");
        assert_eq!(Flame::new(Vec::new()).to_string(), "");
    }
}
