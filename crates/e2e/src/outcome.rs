//! How a deploy ended, as the person who started it was told.

use base::{Problem, Result};

use crate::program::Finished;

/// What a person saw.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whether the new release is current.
    pub ok: bool,
    /// All that was shown.
    pub told: String,
}

impl Outcome {
    /// A push whose deploy failed is still a push that git took; the words tell which.
    pub(crate) fn of_push(finished: Finished) -> Self {
        let lines = finished.err.lines().map(|l| l.strip_prefix("remote: ").unwrap_or(l).trim_end());
        let told = lines.collect::<Vec<_>>().join("\n");
        let ok = finished.status == Some(0) && told.contains("done: release") && !told.contains("failed:");
        Self { ok, told }
    }

    /// The exit status of `orlop deploy` and its last event have to say the same.
    pub(crate) fn of_deploy(finished: Finished) -> Self {
        let last = finished.out.lines().rev().find_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        let ok = last.is_some_and(|event| event["kind"] == "done" && event["ok"] == true);
        let told = finished.all();
        Self { ok: ok && finished.status == Some(0), told }
    }

    /// It went well.
    pub fn good(self) -> Result<Self> {
        if self.ok { Ok(self) } else { Err(Problem::internal("deploy-failed", self.told)) }
    }

    /// It failed, and these words are in what the person was told.
    pub fn bad(self, words: &[&str]) -> Result<Self> {
        let missing: Vec<_> = words.iter().filter(|word| !self.told.contains(**word)).collect();
        if self.ok || !missing.is_empty() {
            let found = format!("ok {}, without {missing:?}:\n{}", self.ok, self.told);
            return Err(Problem::internal("deploy-outcome", found));
        }
        Ok(self)
    }
}
