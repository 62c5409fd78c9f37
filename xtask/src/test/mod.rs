//! `cargo xtask test`: the one command that says whether a change may land.

mod count;
mod postgres;
mod stage;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::command;
use count::Count;
use stage::{STAGES, Stage};

/// How a stage ended.
pub enum Outcome {
    /// As it should.
    Passed,
    /// It did not.
    Failed,
    /// It was not done, and why.
    Skipped(String),
}

/// What was asked for, and what stages hand on to later ones.
pub struct Run {
    /// The root of the project.
    pub root: PathBuf,
    /// Unit tests only.
    pub quick: bool,
    /// Whether a missing helper (PostgreSQL) fails the run instead of being skipped.
    pub strict: bool,
    /// One JSON object on the output; everything else goes to the error stream.
    pub json: bool,
    /// Variables for the tests.
    pub env: Vec<(String, String)>,
    /// The code does not compile, so whatever would run it is left out.
    pub broken: bool,
    /// What the runners counted so far.
    pub count: Count,
}

struct Done {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// `cargo xtask test`.
///
/// # Errors
/// Wrong usage.
pub fn main(args: &[String]) -> Result<bool, String> {
    let mut only: Vec<&str> = Vec::new();
    let mut run = Run {
        root: command::root(),
        quick: false,
        strict: std::env::var_os("CI").is_some_and(|value| !value.is_empty()),
        json: false,
        env: Vec::new(),
        broken: false,
        count: Count::default(),
    };
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg {
            "--quick" => run.quick = true,
            "--json" => run.json = true,
            "--only" => only.extend(args.next().ok_or("--only needs the name of a stage; see --list")?.split(',')),
            "--list" => {
                STAGES.iter().for_each(|stage| println!("{:<10} {}", stage.name, stage.what));
                return Ok(true);
            }
            other => return Err(format!("`{other}` is not an option of test (--quick, --only STAGE, --json, --list)")),
        }
    }
    if let Some(name) = only.iter().find(|name| STAGES.iter().all(|stage| stage.name != **name)) {
        return Err(format!("there is no stage `{name}`; `cargo xtask test --list` shows them"));
    }
    let wanted = |stage: &&Stage| {
        let needed = stage.prepares.iter().any(|other| only.contains(other));
        (only.is_empty() || only.contains(&stage.name) || needed) && !(run.quick && stage.slow)
    };
    let stages: Vec<&Stage> = STAGES.iter().filter(wanted).collect();
    let start = Instant::now();
    let done: Vec<Done> = stages.into_iter().map(|stage| pass(stage, &mut run)).collect();
    Ok(report(&done, &run, start.elapsed()))
}

fn pass(stage: &Stage, run: &mut Run) -> Done {
    run.say(&format!("\n=== {}: {}", stage.name, stage.what));
    let start = Instant::now();
    let outcome = (stage.pass)(run).unwrap_or_else(|why| {
        run.say(&why);
        Outcome::Failed
    });
    let took = start.elapsed();
    if let Outcome::Skipped(why) = &outcome {
        run.say(&format!("!!! {} SKIPPED: {why}", stage.name));
    }
    Done { name: stage.name, outcome, took }
}

/// Prints what each stage took and, last, the line of counts. A stage that failed without a failed
/// test (a lint, a format) counts as one failure, so that the line never looks better than the run.
fn report(done: &[Done], run: &Run, took: Duration) -> bool {
    let failed_stages = done.iter().filter(|done| matches!(done.outcome, Outcome::Failed)).count() as u64;
    let untold = failed_stages.saturating_sub(run.count.stages_with_failures);
    let total = Count { failed: run.count.failed + untold, ..run.count };
    let ok = failed_stages == 0 && total.failed == 0;
    run.say(&format!("\n=== {} after {}", if ok { "all passed" } else { "FAILED" }, seconds(took)));
    for done in done {
        let word = match &done.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Failed => "FAILED".to_owned(),
            Outcome::Skipped(why) => format!("skipped: {why}"),
        };
        run.say(&format!("{:<10} {:>9}  {word}", done.name, seconds(done.took)));
    }
    if run.json {
        println!("{}", json(done, total, ok, took));
    }
    let line = match total.skipped {
        0 => format!("{} passed, {} failed", total.passed, total.failed),
        skipped => format!("{} passed, {} failed, {skipped} skipped", total.passed, total.failed),
    };
    run.say(&format!("\n{line}"));
    ok
}

fn json(done: &[Done], total: Count, ok: bool, took: Duration) -> serde_json::Value {
    let stages: Vec<_> = done
        .iter()
        .map(|done| {
            let (outcome, reason) = match &done.outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed => ("failed", None),
                Outcome::Skipped(why) => ("skipped", Some(why)),
            };
            serde_json::json!({
                "name": done.name, "outcome": outcome, "reason": reason, "tookMs": milliseconds(done.took),
            })
        })
        .collect();
    serde_json::json!({
        "ok": ok, "tookMs": milliseconds(took), "stages": stages,
        "passed": total.passed, "failed": total.failed, "skipped": total.skipped,
    })
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

impl Run {
    /// Tells the reader something.
    pub fn say(&self, text: &str) {
        command::say(self.json, text);
    }
}
