use api::catalog::Health;
use api::deliver::{BuildState, RolloutState};
use api::platform::Verdict;

/// What a colour means. Beside each colour stands a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Plain,
    /// As wanted.
    Good,
    /// On its way, or less than wanted.
    Warn,
    /// Not as wanted.
    Bad,
    /// Beside the point.
    Quiet,
    /// What to look at first.
    Strong,
}

/// Colours text where a person looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Whether there are colours (see <https://no-color.org>).
    pub on: bool,
}

impl Paint {
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            _ if !self.on => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl From<Health> for Tone {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Good,
            Health::Degraded | Health::Changing => Self::Warn,
            Health::Down => Self::Bad,
            Health::Empty | Health::Unknown => Self::Quiet,
        }
    }
}

impl From<RolloutState> for Tone {
    fn from(state: RolloutState) -> Self {
        match state {
            RolloutState::Succeeded => Self::Good,
            RolloutState::Failed | RolloutState::Undoing => Self::Bad,
            RolloutState::Superseded | RolloutState::Cancelled => Self::Quiet,
            _ => Self::Warn,
        }
    }
}

impl From<BuildState> for Tone {
    fn from(state: BuildState) -> Self {
        match state {
            BuildState::Succeeded => Self::Good,
            BuildState::Failed => Self::Bad,
            BuildState::Queued | BuildState::Running => Self::Warn,
            BuildState::Cancelled => Self::Quiet,
        }
    }
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::Good,
            Verdict::Limited => Self::Warn,
            Verdict::Broken => Self::Bad,
        }
    }
}
