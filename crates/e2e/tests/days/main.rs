//! Bad days: the control plane gone, the disk full, the machine restarted, the clock wrong, an older
//! version's data; and rollouts while visitors of every kind keep asking.

mod away;
mod clock;
mod disk;
mod load;
mod reboot;
mod rollouts;
mod upgrade;
mod websocket;

use std::time::Duration;

use base::{Problem, Result};

/// What a test waits for comes about within this span, or never.
const PATIENCE: Duration = Duration::from_secs(90);

/// Runs a test.
fn run(test: impl Future<Output = Result<()>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    if let Err(problem) = runtime.expect("a runtime").block_on(test) {
        panic!("{problem}");
    }
}

/// Says that something was not tested, past the capture of the test harness.
fn skip(what: &str, why: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "\n!!! {what} SKIPPED: {why}\n");
}

/// Whether the programs of a fixture are there; says so loudly where they are not.
fn has(what: &str, programs: &[&str]) -> bool {
    match e2e::missing(programs) {
        None => true,
        Some(program) => {
            skip(what, &format!("there is no program `{program}` on the path"));
            false
        }
    }
}

/// Waits until something is so; says how long it took.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Result<Duration> {
    let begun = tokio::time::Instant::now();
    while !holds().await {
        if begun.elapsed() > PATIENCE {
            return Err(Problem::timeout("does-not-come", format!("after {PATIENCE:?} this is not so: {what}")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(begun.elapsed())
}

/// Whether every environment of every service is healthy.
async fn all_green(place: &e2e::Installation) -> bool {
    let Ok(status) = place.orlop(&["status", "--json"]).await else { return false };
    let Ok(status) = serde_json::from_str::<serde_json::Value>(&status.out) else { return false };
    let services = status["items"].as_array().cloned().unwrap_or_default();
    let environments = services.iter().flat_map(|s| s["environments"].as_array().cloned().unwrap_or_default());
    // Where nothing runs, nothing can be ill.
    let mut running = environments.filter(|e| !e["release"].is_null()).peekable();
    running.peek().is_some() && running.all(|e| e["health"] == "healthy")
}
