//! The step runner inside of a build: runs the steps of a recipe one after the other, says in the
//! log when each begins and ends, and stops at the first that fails. It is the platform's own
//! binary, lent to the build; it knows nothing of the platform.
#![expect(
    clippy::disallowed_methods,
    reason = "its only purpose is to start the programs of a recipe, each a typed argument list"
)]

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::model::marker_line;
use crate::recipe::{Step, WORKSPACE};

/// What a shell says of a program that is not there.
const NOT_FOUND: u8 = 127;
/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;

/// Runs `steps NONCE JSON`: the nonce marks the runner's own remarks, the text holds the steps.
pub fn steps_main(args: &[String]) -> ExitCode {
    let [nonce, steps] = args else {
        say("this command is run by builds, with a nonce and the steps as JSON");
        return ExitCode::from(2);
    };
    match serde_json::from_str::<Vec<Step>>(steps) {
        Ok(steps) => run(nonce, &steps, Path::new(WORKSPACE)),
        Err(error) => {
            say(&format!("the steps cannot be read: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(nonce: &str, steps: &[Step], workspace: &Path) -> ExitCode {
    for (index, step) in steps.iter().enumerate() {
        tell(&marker_line(nonce, index, None));
        tell(&format!("==> {}: {}", step.name, step.command.join(" ")));
        let began = Instant::now();
        let status = run_one(step, workspace);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if status != 0 {
            say(&format!("the step `{}` ended with exit status {status}", step.name));
            return ExitCode::from(status);
        }
        tell(&marker_line(nonce, index, Some(took)));
    }
    ExitCode::SUCCESS
}

/// Runs one step; its exit status as a shell would tell it.
fn run_one(step: &Step, workspace: &Path) -> u8 {
    let Some((program, arguments)) = step.command.split_first() else {
        say("a step has no program");
        return NOT_FOUND;
    };
    let outcome = Command::new(program)
        .args(arguments)
        .envs(&step.env)
        .current_dir(workspace.join(&step.workdir))
        .stdin(Stdio::null())
        .status();
    match outcome {
        Ok(status) => {
            let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED.saturating_add(signal)));
            u8::try_from(code.unwrap_or(1)).unwrap_or(1)
        }
        Err(error) => {
            let path = step.env.get("PATH").cloned().or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
            say(&format!(
                "cannot start `{program}` in {}: {error}; PATH is {path}",
                workspace.join(&step.workdir).display()
            ));
            NOT_FOUND
        }
    }
}

/// One line on standard output. Nobody may read it any more; the build goes on.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// One line on standard error.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn step(command: &[&str], workdir: &str, env: &[(&str, &str)]) -> Step {
        Step {
            name: "a step".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
            workdir: workdir.to_owned(),
        }
    }

    fn check(steps: &[Step], expect: u8) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inner")).unwrap();
        assert_eq!(format!("{:?}", run("n", steps, dir.path())), format!("{:?}", ExitCode::from(expect)));
        dir
    }

    #[test]
    fn steps_run_in_order_until_one_fails() {
        let dir = check(
            &[
                step(&["sh", "-c", "echo $A > made"], "inner", &[("A", "x")]),
                step(&["sh", "-c", "exit 3"], "", &[]),
                step(&["sh", "-c", "echo no > never"], "", &[]),
            ],
            3,
        );
        assert_eq!(std::fs::read_to_string(dir.path().join("inner/made")).unwrap(), "x\n");
        assert!(!dir.path().join("never").exists());
    }

    #[test]
    fn what_cannot_be_started_and_what_is_killed_is_told_as_a_shell_does() {
        check(&[step(&["no-such-program-here"], "", &[])], 127);
        check(&[step(&["sh", "-c", "kill -9 $$"], "", &[])], 137);
        check(&[step(&[], "", &[])], 127);
        check(&[], 0);
    }
}
