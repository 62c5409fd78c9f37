use api::deliver::BuildState;
use base::{Actor, BuildId, Digest, EnvironmentName, InstanceId, JobId, RolloutId, ServiceName, SourceId, Time};

/// One pushed or uploaded state of a service's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub id: SourceId,
    pub service: ServiceName,
    pub commit: Option<String>,
    /// First line of the commit's message.
    pub message: String,
    pub author: String,
    pub bytes: u64,
    pub created: Time,
    pub actor: Actor,
}

/// What shall be built and where it shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    pub source: SourceId,
    pub service: ServiceName,
    pub environment: EnvironmentName,
    pub commit: Option<String>,
    pub message: String,
    pub author: String,
    pub bytes: u64,
    /// When the source began to arrive: from here on the person waits.
    pub began: Time,
    /// Who pushed or uploaded it.
    pub actor: Actor,
}

/// One attempt to turn a source into an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub id: BuildId,
    pub service: ServiceName,
    /// Where the release shall be rolled out.
    pub environment: EnvironmentName,
    pub source: SourceId,
    pub job: Option<JobId>,
    pub state: BuildState,
    pub reason: String,
    pub since: Time,
    pub recipe: Option<String>,
    /// What was found that chose the recipe.
    pub evidence: Vec<String>,
    /// The last lines of a build that failed.
    pub lines: Vec<String>,
    pub artifact: Option<Digest>,
    pub release: Option<i64>,
    pub rollout: Option<RolloutId>,
    /// The engine's task; recorded before the engine hears of it.
    pub task: Option<InstanceId>,
    /// Whether the engine may still have the task.
    pub task_kept: bool,
    /// Whether the log is among the objects.
    pub log_saved: bool,
    pub created: Time,
    pub ended: Option<Time>,
    pub actor: Actor,
}

impl Build {
    /// Whether nothing more will happen.
    pub(crate) fn is_final(&self) -> bool {
        self.ended.is_some()
    }
}

/// The word of a state in the ledger.
pub(crate) const fn build_word(state: BuildState) -> &'static str {
    match state {
        BuildState::Queued => "queued",
        BuildState::Running => "running",
        BuildState::Succeeded => "succeeded",
        BuildState::Failed => "failed",
        BuildState::Cancelled => "cancelled",
    }
}

/// A stage of a build to be recorded. Its place orders it; recording it again changes nothing, so a
/// build that is taken up after a crash may say everything again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewStage {
    pub place: i64,
    pub stage: &'static str,
    pub text: String,
}

impl NewStage {
    /// The source is there.
    pub(crate) fn received(text: String) -> Self {
        Self { place: 1, stage: "source", text }
    }

    /// The recipe was found.
    pub(crate) fn detect(text: String) -> Self {
        Self { place: 2, stage: "detect", text }
    }

    /// A step of the recipe began; counted from 0.
    pub(crate) fn step(index: usize, name: &str) -> Self {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        Self { place: Self::STEPS.saturating_add(index), stage: "build", text: name.to_owned() }
    }

    /// The artifact is made.
    pub(crate) fn package(text: String) -> Self {
        Self { place: Self::AFTER_STEPS, stage: "package", text }
    }

    /// The release was made.
    pub(crate) fn release(text: String) -> Self {
        Self { place: Self::AFTER_STEPS.saturating_add(1), stage: "release", text }
    }

    /// Steps of the recipe are from here on, and before [`Self::AFTER_STEPS`].
    pub(crate) const STEPS: i64 = 1_000;
    pub(crate) const AFTER_STEPS: i64 = 1_000_000;
}

/// A stage as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub place: i64,
    pub stage: String,
    pub text: String,
    pub at: Time,
    pub took_ms: Option<u64>,
}

/// What the step runner says in the log about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkedStep {
    pub index: usize,
    /// `None`: it begins. Else: milliseconds it took.
    pub ended_ms: Option<u64>,
}

/// Tells the runner's remarks from the output of programs; the nonce is new for each build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    prefix: String,
}

impl Marker {
    /// The marker of a build whose task has this id.
    pub(crate) fn of(task: InstanceId) -> Self {
        Self { prefix: format!("orlop-step {} ", Self::nonce(task)) }
    }

    /// What the runner is told to put into its remarks.
    pub(crate) fn nonce(task: InstanceId) -> String {
        task.to_string()
    }

    /// The remark that a line is, if it is one.
    pub(crate) fn read(&self, line: &str) -> Option<MarkedStep> {
        let mut words = line.strip_prefix(&self.prefix)?.split(' ');
        let index = words.next()?.parse().ok()?;
        match words.next()? {
            "begin" => Some(MarkedStep { index, ended_ms: None }),
            "end" => Some(MarkedStep { index, ended_ms: Some(words.next()?.parse().ok()?) }),
            _ => None,
        }
    }

    /// Whether a line is a remark of the runner and not output.
    pub(crate) fn hides(&self, line: &str) -> bool {
        line.starts_with(&self.prefix)
    }
}

/// A remark of the step runner: step `index` begins, or ended after so many milliseconds.
pub(crate) fn marker_line(nonce: &str, index: usize, ended_ms: Option<u64>) -> String {
    match ended_ms {
        None => format!("orlop-step {nonce} {index} begin"),
        Some(ms) => format!("orlop-step {nonce} {index} end {ms}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_read_back_and_output_is_not_taken_for_one() {
        let task = InstanceId::new(Time::default(), [1; 10]);
        let marker = Marker::of(task);
        let nonce = Marker::nonce(task);
        for step in [MarkedStep { index: 0, ended_ms: None }, MarkedStep { index: 12, ended_ms: Some(340) }] {
            assert_eq!(marker.read(&marker_line(&nonce, step.index, step.ended_ms)), Some(step));
        }
        for line in ["", "orlop-step x 0 begin", "begin 0", &format!(" {}", marker_line(&nonce, 0, None))] {
            assert_eq!(marker.read(line), None, "{line}");
            assert!(!marker.hides(line));
        }
    }
}
