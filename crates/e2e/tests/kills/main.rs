//! Kills the control plane at random moments while people deploy, promote and roll back, and then
//! compares what they were promised with what is there.
//!
//! `cargo test --workspace --test kills -- --kills 5000 --seed 7` runs longer, or again. Variables do too,
//! where arguments cannot be given: `ORLOP_TEST_KILLS`, `ORLOP_TEST_SEED`.

mod chance;
mod clients;
mod look;

use std::process::ExitCode;
use std::time::Duration;

use base::{Problem, Result};
use e2e::history::{Wish, check};
use e2e::{Installation, Options, ensure, evidence, target};
use serde_json::json;

use chance::Chance;
use clients::Clients;

/// The one test of this program, by the name under which it is listed.
const NAME: &str = "kills_lose_nothing_double_nothing_and_leave_no_orphans";
/// The control plane answers again after a kill within this span on a machine that does nothing else.
const READY_TARGET: Duration = Duration::from_secs(1);
/// A kill strikes within this span after the control plane is ready.
const KILL_WITHIN_MS: u64 = 1500;
/// One kill of this many strikes while the control plane starts.
const EARLY_ONE_OF: u64 = 5;
/// Such a kill strikes within this span after the start of the process.
const EARLY_WITHIN_MS: u64 = 300;
/// After the last kill everything comes to rest within this span, or never.
const REST: Duration = Duration::from_secs(120);

struct Asked {
    kills: u64,
    seed: u64,
}

/// A harness of its own, since the program takes arguments; it speaks as much of libtest's language
/// (`--list`, a filter, `--exact`, `--ignored`) as test runners need.
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--list") {
        if !has("--ignored") {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    let asked = match Asked::read(&args) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(run(&asked)) {
        Ok(()) => {
            println!(
                "test {NAME} ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out"
            );
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!(
                "{problem}\nagain: cargo test --workspace --test kills -- --kills {} --seed {}",
                asked.kills, asked.seed
            );
            println!(
                "test {NAME} ... FAILED\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"
            );
            ExitCode::FAILURE
        }
    }
}

impl Asked {
    /// Nothing where the filter names something else.
    fn read(args: &[String]) -> Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok();
        let mut kills = variable("ORLOP_TEST_KILLS").unwrap_or_else(|| "100".to_owned());
        let mut seed = variable("ORLOP_TEST_SEED").unwrap_or_else(|| "20260102".to_owned());
        let mut wanted = true;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--kills" => kills = args.next().cloned().unwrap_or_default(),
                "--seed" => seed = args.next().cloned().unwrap_or_default(),
                "--test-threads" | "--format" | "--color" | "-Z" => drop(args.next()),
                "--ignored" => wanted = false,
                flag if flag.starts_with('-') => {}
                filter => wanted &= NAME.contains(filter),
            }
        }
        let number = |what: &str, text: String| {
            text.parse().map_err(|_| Problem::invalid("bad-argument", format!("{what} {text:?} is not a number")))
        };
        let asked = Self { kills: number("--kills", kills)?, seed: number("--seed", seed)? };
        Ok(wanted.then_some(asked))
    }
}

async fn run(asked: &Asked) -> Result<()> {
    println!("{} kills with seed {}", asked.kills, asked.seed);
    let chance = Chance::new(asked.seed);
    let mut place = Installation::with(Options::with(&["rollout.drain_deadline=2s"])).await?;
    let clients = Clients::begin(&place.client, &chance).await?;
    let (mut took, mut early) = (Vec::new(), 0);
    let mut kills = chance.branch("kills");
    for n in 0..asked.kills {
        tokio::time::sleep(Duration::from_millis(kills.below(KILL_WITHIN_MS))).await;
        place.kill_control();
        if kills.below(EARLY_ONE_OF) == 0 && n + 1 < asked.kills {
            early += 1;
            place.launch()?;
            tokio::time::sleep(Duration::from_millis(kills.below(EARLY_WITHIN_MS))).await;
            place.kill_control();
        }
        place.up().await?;
        took.push(place.took());
        clients.fail_early()?;
        if (n + 1) % 20 == 0 {
            println!("  {} of {} kills, {} wishes acknowledged", n + 1, asked.kills, clients.acknowledged());
        }
    }
    let wishes = clients.leave().await?;
    let violations = rest(&place, &wishes).await?;
    let audit = place.orlop(&["audit", "verify"]).await?;
    let leftovers = look::leftovers(&place).await?;
    let figures = json!({
        "seed": asked.seed,
        "kills": asked.kills,
        "killsWhileStarting": early,
        "wishes": wishes.len(),
        "wishesSentAgain": clients::repeated(&wishes),
        "violations": violations,
        "factsVerified": audit.status == Some(0),
        "objectsLeftForGarbageCollection": leftovers,
        "readyAgain": target(&took, READY_TARGET),
    });
    evidence("kills", &figures);
    ensure!(violations.is_empty(), "{} violations:\n  {}", violations.len(), violations.join("\n  "));
    ensure!(audit.status == Some(0), "the fact log does not verify: {}", audit.all());
    ensure!(wishes.len() >= 8, "only {} wishes were made: this proves nothing", wishes.len());
    Ok(())
}

/// Waits until nothing is wrong; what still is after a long time is a violation.
async fn rest(place: &Installation, wishes: &[clients::Told]) -> Result<Vec<String>> {
    let begun = tokio::time::Instant::now();
    let wishes: Vec<Wish> = wishes.iter().map(|told| told.wish.clone()).collect();
    loop {
        let world = look::world(place).await?;
        let found: Vec<String> = check(&wishes, &world).iter().map(ToString::to_string).collect();
        if found.is_empty() || begun.elapsed() > REST {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
