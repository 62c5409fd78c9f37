//! What a demonstration says: line by line to a person, one object at the end to a program.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use base::{Problem, Result};
use serde::Serialize;

/// One step as it went.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: String,
    ok: bool,
    took_ms: u64,
    seen: String,
}

/// Collects the steps and tells them.
pub struct Report {
    json: bool,
    steps: Mutex<Vec<Step>>,
}

impl Report {
    /// Tells lines to a person, or nothing until the end to a program.
    pub const fn new(json: bool) -> Self {
        Self { json, steps: Mutex::new(Vec::new()) }
    }

    /// Does one step and tells how it went. A step that fails ends the story.
    pub async fn step(&self, name: &str, work: impl Future<Output = Result<String>>) -> Result<String> {
        self.say(&format!("\n▸ {name}"));
        let begun = tokio::time::Instant::now();
        let outcome = work.await;
        let took = begun.elapsed();
        let (ok, seen) = match &outcome {
            Ok(seen) => (true, seen.clone()),
            Err(problem) => (false, problem.to_string()),
        };
        for line in seen.lines() {
            self.say(&format!("  {line}"));
        }
        self.say(&format!("  {} in {:.1} s", if ok { "done" } else { "FAILED" }, took.as_secs_f64()));
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.lock().push(Step { name: name.to_owned(), ok, took_ms, seen });
        outcome
    }

    /// Something to read that is no step.
    pub fn say(&self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    /// Whether every step so far went well.
    pub fn all_ok(&self) -> bool {
        self.lock().iter().all(|step| step.ok)
    }

    /// The object for programs.
    pub fn end(&self, outcome: &Result<()>) {
        if self.json {
            let ok = outcome.is_ok() && self.all_ok();
            let problem = outcome.as_ref().err().map(ToString::to_string);
            print(&format!("{:#}", serde_json::json!({ "ok": ok, "problem": problem, "steps": *self.lock() })));
        }
    }

    /// Whether every step went well, for the exit status.
    pub fn verdict(&self) -> Result<()> {
        match self.lock().iter().find(|step| !step.ok) {
            None => Ok(()),
            Some(step) => {
                Err(Problem::internal("demo-failed", format!("the step `{}` failed: {}", step.name, step.seen)))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for whoever reads; nobody may.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
