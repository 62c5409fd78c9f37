//! The stages, in the order in which they tell most for the time they take.

use std::io::IsTerminal;

use super::count::{Count, Runner};
use super::{Outcome, Run, postgres};
use crate::command::{self, Stream};

/// A part of the run.
pub struct Stage {
    /// What it is called.
    pub name: &'static str,
    /// What it does, for the reader.
    pub what: &'static str,
    /// Left out by `--quick`.
    pub slow: bool,
    /// Stages that need this one first.
    pub prepares: &'static [&'static str],
    /// Does it.
    pub pass: fn(&mut Run) -> Result<Outcome, String>,
}

pub const STAGES: &[Stage] = &[
    Stage { name: "fmt", what: "the format of the code", slow: false, prepares: &[], pass: fmt },
    Stage { name: "tidy", what: "the rules of the house", slow: false, prepares: &[], pass: tidy },
    Stage { name: "deny", what: "bans, licences and sources by cargo-deny", slow: true, prepares: &[], pass: deny },
    Stage { name: "clippy", what: "lints, on every target", slow: true, prepares: &[], pass: clippy },
    Stage { name: "build", what: "every program and test", slow: true, prepares: &["tests"], pass: build },
    Stage {
        name: "postgres",
        what: "a PostgreSQL for the store's tests",
        slow: true,
        prepares: &["tests"],
        pass: find_postgres,
    },
    Stage { name: "tests", what: "unit, integration and end-to-end tests", slow: false, prepares: &[], pass: tests },
    Stage { name: "fuzz", what: "a short run of every parser on made-up bytes", slow: true, prepares: &[], pass: fuzz },
    Stage { name: "doc", what: "the examples in the documentation", slow: true, prepares: &[], pass: doc },
];

fn fmt(run: &mut Run) -> Result<Outcome, String> {
    let outcome = cargo(run, &["fmt", "--all", "--check"])?;
    if matches!(outcome, Outcome::Failed) {
        run.say("`cargo fmt --all` brings it into form");
    }
    Ok(outcome)
}

fn tidy(run: &mut Run) -> Result<Outcome, String> {
    // In a process of its own, so that its findings are told like those of any other stage.
    let program = std::env::current_exe().map_err(|why| format!("xtask does not find itself: {why}"))?;
    let argv = [program.display().to_string(), "tidy".to_owned()];
    shown(run, &argv)
}

fn deny(run: &mut Run) -> Result<Outcome, String> {
    if command::output(&run.root, &command::cargo(), &["deny", "--version"]).is_none() {
        let why = "cargo-deny is not installed; tidy checked bans, licences and sources by deny.toml";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    cargo(run, &["deny", "--all-features", "check", "bans", "licenses", "sources"])
}

fn clippy(run: &mut Run) -> Result<Outcome, String> {
    cargo(run, &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

/// Builds everything in one invocation, so that the programs and the tests share their parts, and
/// learns where the program is that the end-to-end tests start.
fn build(run: &mut Run) -> Result<Outcome, String> {
    let format = "--message-format=json-render-diagnostics";
    let argv = words(&["build", "--workspace", "--all-targets", "--locked", format]);
    let (mut program, json) = (None, run.json);
    let ok = command::stream(&run.root, &argv, &colours(), |stream, line| match stream {
        Stream::Out => program = artifact(line).or(program.take()),
        Stream::Err => command::say(json, line),
    })?;
    if !ok {
        run.broken = true;
        return Ok(Outcome::Failed);
    }
    let program = program.ok_or("cargo built no program `orlop`")?;
    run.say(&format!("the tests start {program}"));
    run.env.push(("ORLOP_BIN".to_owned(), program));
    Ok(Outcome::Passed)
}

/// The program `orlop`, if this message of cargo tells of it.
fn artifact(line: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_program = message["reason"] == "compiler-artifact"
        && message["target"]["name"] == "orlop"
        && message["target"]["kind"][0] == "bin"
        && message["profile"]["test"] == false;
    message["executable"].as_str().filter(|_| is_program).map(str::to_owned)
}

fn find_postgres(run: &mut Run) -> Result<Outcome, String> {
    if let Some(dir) = postgres::find() {
        run.say(&format!("found in {}", dir.display()));
        run.env.push((postgres::VARIABLE.to_owned(), dir.display().to_string()));
        return Ok(Outcome::Passed);
    }
    let why = "no initdb, pg_ctl and postgres found: the store is tested on SQLite only. Install PostgreSQL \
               (Debian: apt-get install postgresql), or name the folder of its programs in ORLOP_TEST_PG_BIN";
    if run.strict { Err(why.to_owned()) } else { Ok(Outcome::Skipped(why.to_owned())) }
}

fn tests(run: &mut Run) -> Result<Outcome, String> {
    let nextest = command::output(&run.root, &command::cargo(), &["nextest", "--version"]).is_some();
    let mut args = if nextest {
        vec!["nextest", "run", "--workspace", "--locked", "--no-tests=pass"]
    } else {
        run.say("cargo-nextest is not installed: `cargo test` does it, with less isolation between tests");
        vec!["test", "--workspace", "--locked", "--no-fail-fast"]
    };
    match (run.quick, nextest) {
        (true, _) => args.extend(["--lib", "--bins"]),
        (false, true) => {}
        // The examples of the documentation have a stage of their own.
        (false, false) => args.push("--all-targets"),
    }
    counted(run, if nextest { Runner::Nextest } else { Runner::Libtest }, &args)
}

/// The short run of every target, and cargo-fuzz besides where it is installed and was asked for.
fn fuzz(run: &mut Run) -> Result<Outcome, String> {
    if run.broken {
        return Ok(Outcome::Skipped("the code does not compile".to_owned()));
    }
    let (mut count, json) = (Count::default(), run.json);
    let mut targets = Vec::new();
    let argv = words(&["run", "--package", "fuzz", "--locked"]);
    let ok = command::stream(&run.root, &argv, &colours(), |_, line| {
        if let Some((name, broken)) = fuzz_line(line) {
            targets.push(name.to_owned());
            count.passed += u64::from(!broken);
            count.failed += u64::from(broken);
        }
        command::say(json, line);
    })?;
    run.count.add(count);
    if !ok || count.failed > 0 {
        return Ok(Outcome::Failed);
    }
    guided(run, &targets)
}

/// The name of the target that a line of the short run tells of, and whether it broke.
fn fuzz_line(line: &str) -> Option<(&str, bool)> {
    let (name, rest) = line.split_once(' ')?;
    (rest.contains(" seeds, ") && rest.contains(" made")).then_some((name, line.ends_with("BROKEN")))
}

/// Says how many inputs cargo-fuzz makes for each target; without it cargo-fuzz is not run.
const FUZZ_RUNS: &str = "ORLOP_FUZZ_RUNS";

fn guided(run: &mut Run, targets: &[String]) -> Result<Outcome, String> {
    if command::output(&run.root, &command::cargo(), &["fuzz", "--version"]).is_none() {
        run.say(&format!(
            "CARGO-FUZZ IS NOT INSTALLED: no run was guided by coverage. `cargo install cargo-fuzz --locked`, then {FUZZ_RUNS}=100000"
        ));
        return Ok(Outcome::Passed);
    }
    let Some(runs) = std::env::var(FUZZ_RUNS).ok().filter(|runs| runs.parse::<u64>().is_ok()) else {
        run.say(&format!(
            "CARGO-FUZZ WAS NOT ASKED FOR: no run was guided by coverage; {FUZZ_RUNS}=100000 asks for it"
        ));
        return Ok(Outcome::Passed);
    };
    // The same versions as the platform's own.
    let lock = std::fs::copy(run.root.join("Cargo.lock"), run.root.join("fuzz/Cargo.lock"));
    lock.map_err(|why| format!("fuzz/Cargo.lock cannot be written: {why}"))?;
    for target in targets {
        let (own, seeds) = (format!("fuzz/corpus/{target}"), format!("crates/fuzz/corpus/{target}"));
        std::fs::create_dir_all(run.root.join(&own)).map_err(|why| format!("{own} cannot be made: {why}"))?;
        let runs = format!("-runs={runs}");
        let args = [
            "fuzz",
            "run",
            "-s",
            "none",
            "--target-dir",
            "target/cargo-fuzz",
            target,
            &own,
            &seeds,
            "--",
            &runs,
            "-seed=1",
        ];
        if matches!(cargo(run, &args)?, Outcome::Failed) {
            return Ok(Outcome::Failed);
        }
    }
    Ok(Outcome::Passed)
}

fn doc(run: &mut Run) -> Result<Outcome, String> {
    counted(run, Runner::Libtest, &["test", "--doc", "--workspace", "--locked", "--no-fail-fast"])
}

/// Runs cargo and counts the tests it tells of.
fn counted(run: &mut Run, runner: Runner, args: &[&str]) -> Result<Outcome, String> {
    if run.broken {
        return Ok(Outcome::Skipped("the code does not compile".to_owned()));
    }
    let mut count = Count::default();
    let json = run.json;
    let env = [colours(), run.env.clone()].concat();
    let ok = command::stream(&run.root, &words(args), &env, |_, line| {
        count.read(runner, line);
        command::say(json, line);
    })?;
    run.count.add(count);
    Ok(if ok && count.failed == 0 { Outcome::Passed } else { Outcome::Failed })
}

fn cargo(run: &Run, args: &[&str]) -> Result<Outcome, String> {
    shown(run, &words(args))
}

fn shown(run: &Run, argv: &[String]) -> Result<Outcome, String> {
    let ok = command::stream(&run.root, argv, &colours(), |_, line| command::say(run.json, line))?;
    Ok(if ok { Outcome::Passed } else { Outcome::Failed })
}

fn words(args: &[&str]) -> Vec<String> {
    [vec![command::cargo()], args.iter().map(|arg| (*arg).to_owned()).collect()].concat()
}

/// Colours for a person who watches, none for a log.
fn colours() -> Vec<(String, String)> {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let choice = if wanted { "always" } else { "never" };
    vec![("CARGO_TERM_COLOR".to_owned(), choice.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Option<&str>) {
        assert_eq!(artifact(line).as_deref(), expect, "{line}");
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let message = |name: &str, test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"name":"{name}","kind":["bin"]}},"profile":{{"test":{test}}},"executable":"/t/{name}"}}"#
            )
        };
        check(&message("orlop", false), Some("/t/orlop"));
        check(&message("orlop", true), None);
        check(&message("xtask", false), None);
        check(r#"{"reason":"build-finished","success":true}"#, None);
        check("warning: text", None);
    }

    #[test]
    fn targets_are_read_from_the_lines_of_the_short_run() {
        assert_eq!(fuzz_line("gate              11 seeds,  20000 made"), Some(("gate", false)));
        assert_eq!(fuzz_line("git_pack           3 seeds,     17 made, BROKEN"), Some(("git_pack", true)));
        assert_eq!(fuzz_line("seed 7"), None);
        assert_eq!(fuzz_line("  a panic without words"), None);
    }

    #[test]
    fn stages_prepare_only_stages_that_come_later() {
        for (at, stage) in STAGES.iter().enumerate() {
            for other in stage.prepares {
                assert!(STAGES.iter().skip(at + 1).any(|later| later.name == *other), "{} before {other}", stage.name);
            }
        }
    }
}
