use std::borrow::Cow;

use api::catalog::Health;
use api::deliver::{BuildState, RolloutState};
use askama::Template;
use askama::filters::HtmlSafe;

/// What a state means to whoever looks. Each has a shape, so that nobody needs to see colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Needs a person: a filled square.
    Bad,
    /// Works, not as it should: a triangle.
    Warn,
    /// Under way: half a disc.
    Busy,
    /// Not known: a question mark.
    Unknown,
    /// As it should be: a disc.
    Good,
    /// Nothing there, or over: a ring.
    Quiet,
}

impl Tone {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Quiet => "quiet",
        }
    }

    pub(crate) const fn shape(self) -> &'static str {
        match self {
            Self::Bad => "M1.5 1.5h9v9h-9z",
            Self::Warn => "M6 1 11.5 10.5H.5z",
            Self::Busy => "M6 1a5 5 0 1 1 0 10zM6 2a4 4 0 0 0 0 8z",
            Self::Unknown => "M3.5 4a2.5 2.5 0 1 1 3.2 2.4V8H5.3V5.4A1.2 1.2 0 1 0 5 4zM5.3 9h1.4v1.6H5.3z",
            Self::Good => "M6 1.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6z",
            Self::Quiet => {
                "M6 1.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6zm0 1.6a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4z"
            }
        }
    }
}

/// A state: colour, shape and word.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ tone.word() }}"><svg class="mark" viewBox="0 0 12 12" aria-hidden="true"><path d="{{ tone.shape() }}"/></svg>{{ word }}</span>"#
)]
pub(crate) struct Badge {
    pub tone: Tone,
    pub word: Cow<'static, str>,
}

impl HtmlSafe for Badge {}

impl Badge {
    pub(crate) fn new(tone: Tone, word: impl Into<Cow<'static, str>>) -> Self {
        Self { tone, word: word.into() }
    }

    /// How a service is.
    pub(crate) fn health(health: Health) -> Self {
        let tone = match health {
            Health::Healthy => Tone::Good,
            Health::Degraded => Tone::Warn,
            Health::Down => Tone::Bad,
            Health::Changing => Tone::Busy,
            Health::Empty => Tone::Quiet,
            Health::Unknown => Tone::Unknown,
        };
        Self::new(tone, health.word())
    }

    /// The state of a rollout.
    pub(crate) fn rollout(state: RolloutState) -> Self {
        match state {
            RolloutState::Pending => Self::new(Tone::Busy, "pending"),
            RolloutState::Releasing => Self::new(Tone::Busy, "releasing"),
            RolloutState::Starting => Self::new(Tone::Busy, "starting"),
            RolloutState::Shifting => Self::new(Tone::Busy, "shifting"),
            RolloutState::Verifying => Self::new(Tone::Busy, "verifying"),
            RolloutState::Draining => Self::new(Tone::Busy, "draining"),
            RolloutState::Undoing => Self::new(Tone::Warn, "undoing"),
            RolloutState::Succeeded => Self::new(Tone::Good, "succeeded"),
            RolloutState::Failed => Self::new(Tone::Bad, "failed"),
            RolloutState::Superseded => Self::new(Tone::Quiet, "superseded"),
            RolloutState::Cancelled => Self::new(Tone::Quiet, "cancelled"),
        }
    }

    /// The state of a build.
    pub(crate) fn build(state: BuildState) -> Self {
        match state {
            BuildState::Queued => Self::new(Tone::Busy, "queued"),
            BuildState::Running => Self::new(Tone::Busy, "running"),
            BuildState::Succeeded => Self::new(Tone::Good, "succeeded"),
            BuildState::Failed => Self::new(Tone::Bad, "failed"),
            BuildState::Cancelled => Self::new(Tone::Quiet, "cancelled"),
        }
    }

    /// The state of an instance, as the API words it.
    pub(crate) fn instance(state: &str) -> Self {
        let tone = match state {
            "ready" => Tone::Good,
            "starting" | "stopping" => Tone::Busy,
            "unready" => Tone::Warn,
            "exited" => Tone::Quiet,
            _ => Tone::Unknown,
        };
        Self::new(tone, state.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_has_colour_shape_and_word_and_escapes_it() {
        let text = Badge::new(Tone::Bad, "<b>").to_string();
        assert!(
            text.contains("class=\"badge bad\"") && text.contains("<path") && text.contains("&#60;b&#62;"),
            "{text}"
        );
        let shapes: std::collections::BTreeSet<_> =
            [Tone::Bad, Tone::Warn, Tone::Busy, Tone::Unknown, Tone::Good, Tone::Quiet].map(Tone::shape).into();
        assert_eq!(shapes.len(), 6);
    }
}
