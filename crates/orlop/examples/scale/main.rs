//! How the control plane bears many services: the time of lists, of one change, of a start, memory
//! and processor time at rest, with 1,000 and with 10,000 services in three environments each.
//!
//! What is real: every capability, the database, the API over HTTP on loopback, the gateway in a
//! process of its own, the drivers' contracts. What is not: instances. The engine is a map in memory
//! ([`fleet`]), because no machine runs 30,000 programs for a benchmark; the requests that the
//! gateway sends to instances are answered by one server on all of 127.0.0.0/8. The rows come from a
//! service that was deployed, promoted and restarted by the real capabilities in the test world,
//! copied under other names ([`fill`]).
//!
//! `cargo run --release -p orlop --example scale -- [--quick] [--portal] [SERVICES…]`; with
//! `--portal` it is the pages that are measured, with 1,000 services.

#[path = "../../src/anchor.rs"]
#[allow(dead_code, reason = "the benchmark goes on from no earlier process")]
mod anchor;
#[path = "../../src/clock.rs"]
#[allow(dead_code, reason = "the benchmark goes on from no earlier process")]
mod clock;
mod fill;
mod fleet;
#[path = "../../tests/simulation/install.rs"]
mod install;
mod measure;
#[path = "../../src/pages.rs"]
mod pages;
mod portal;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};

/// Services of the two measurements.
const SIZES: [usize; 2] = [1_000, 10_000];
/// The same for a quick look.
const SIZES_QUICK: [usize; 2] = [100, 1_000];

/// As the binary does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["gateway", dir, listen] => gateway(dir, listen),
        ["fill", dir, count] => run(fill::fill(dir.as_ref(), count.parse().expect("a number"))),
        ["measure", dir, count, seconds] => {
            run(measure::measure(dir.as_ref(), count.parse().expect("a number"), seconds.parse().expect("a number")))
        }
        ["portal", dir, count, seconds] => {
            run(portal::measure(dir.as_ref(), count.parse().expect("a number"), seconds.parse().expect("a number")))
        }
        options => all(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = base::Result<()>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(work).map_err(|problem| problem.to_string())
}

fn gateway(dir: &str, listen: &str) -> Result<(), String> {
    let mut options = gateway::Options::new(dir);
    options.listen = vec![listen.parse().map_err(|_| "an address to listen on".to_owned())?];
    run(gateway::run(options, |_| {}))
}

/// Each size in processes of its own, so that no memory of the one is counted for the other.
fn all(options: &[&str]) -> Result<(), String> {
    let (quick, portal) = (options.contains(&"--quick"), options.contains(&"--portal"));
    let given: Vec<usize> = options.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = match (given.is_empty(), quick) {
        (false, _) => given,
        (true, true) => SIZES_QUICK.to_vec(),
        (true, false) => SIZES.to_vec(),
    };
    // The pages have one size that they are to bear.
    let sizes = if portal { sizes[..1].to_vec() } else { sizes };
    let role = if portal { "portal" } else { "measure" };
    let seconds = if quick { "10" } else { "60" };
    let mut found = Vec::new();
    for services in sizes {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        child(&["fill".into(), path(dir.path()), services.to_string()])?;
        found.push(child(&[role.into(), path(dir.path()), services.to_string(), seconds.into()])?);
    }
    let title = if portal { "the portal with many services" } else { "the control plane with many services" };
    println!("{}", report(title, &found));
    Ok(())
}

fn path(dir: &Path) -> String {
    dir.display().to_string()
}

/// Runs this program in another role; the last line of its output is its answer.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts itself in its other roles")]
fn child(words: &[String]) -> Result<Value, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let done = Command::new(own).args(words).stderr(Stdio::inherit()).output().map_err(|e| e.to_string())?;
    if !done.status.success() {
        return Err(format!("{} failed", words.join(" ")));
    }
    let text = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(text.lines().last().unwrap_or("null")).map_err(|e| e.to_string())
}

/// In the form of `cargo xtask bench`.
fn report(title: &str, found: &[Value]) -> Value {
    let column = |one: &Value| format!("{} × 3", one["services"]);
    let mut columns = vec!["what".to_owned()];
    columns.extend(found.iter().map(column));
    let names = found.first().and_then(|one| one["figures"].as_array()).cloned().unwrap_or_default();
    let figure = |one: &Value, name: &Value| {
        let figures = one["figures"].as_array().cloned().unwrap_or_default();
        figures.into_iter().find(|figure| figure["what"] == name["what"]).unwrap_or_default()
    };
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            let cells = found
                .iter()
                .map(|one| format!("{} {}", figure(one, name)["value"], name["unit"].as_str().unwrap_or_default()));
            [name["what"].as_str().unwrap_or_default().to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    let mut targets = Vec::new();
    for one in found {
        for figure in one["figures"].as_array().into_iter().flatten() {
            if let (Some(most), Some(value)) = (figure["most"].as_f64(), figure["value"].as_f64()) {
                let unit = figure["unit"].as_str().unwrap_or_default();
                targets.push(json!({
                    "what": format!("{} services × 3: {}", one["services"], figure["what"].as_str().unwrap_or_default()),
                    "target": format!("≤ {most} {unit}"),
                    "measured": format!("{value} {unit}"),
                    "met": value <= most,
                }));
            }
        }
    }
    json!({
        "tables": [{ "title": title, "columns": columns, "rows": rows }],
        "targets": targets,
        "notes": ["instances are entries of a map: what 30,000 programs would cost is not in these figures"],
        "raw": { "scale": found },
    })
}
