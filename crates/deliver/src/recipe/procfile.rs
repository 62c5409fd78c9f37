//! `Procfile`: one `name: command` per line. `web` gets the port, `release` runs before a new
//! release takes traffic, every other name is a worker.

use std::collections::BTreeMap;

use base::placeholder::names;
use base::{Problem, ProcessName, Result};

use super::plan::ProcessKind;
use super::shown;
use super::words::{self, Line};

/// Most processes in a file.
const PROCESSES_MAX: usize = 50;

/// What a `Procfile` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Procfile {
    pub(super) processes: BTreeMap<ProcessName, Command>,
    pub(super) release: Option<Command>,
    /// What had to be said about it.
    pub(super) notes: Vec<String>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// As it was typed.
    pub(super) line: String,
    /// With placeholders.
    pub(super) argv: Vec<String>,
    /// Leading assignments, with placeholders.
    pub(super) env: BTreeMap<String, String>,
}

impl Procfile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// `bad-procfile` with the line.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut file = Self::default();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at.saturating_add(1), line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            file.take_line(line).map_err(|problem| problem.at(format!("Procfile:{at}")))?;
        }
        if file.processes.is_empty() {
            return Err(bad("the Procfile names no process").hint("add a line like `web: ./server`").at("Procfile"));
        }
        Ok(file)
    }

    fn take_line(&mut self, line: &str) -> Result<()> {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let (name, line) = line.split_once(':').filter(|(name, _)| is_name(name)).ok_or_else(|| {
            bad(format!("`{}` is not a line of a Procfile", shown(line)))
                .hint("write a name of letters, digits and hyphens, a colon, and a command: `web: ./server`")
        })?;
        let command = self.command(name, line.trim())?;
        if name == "release" {
            return match self.release.replace(command) {
                None => Ok(()),
                Some(_) => Err(twice(name)),
            };
        }
        let process: ProcessName = name.to_ascii_lowercase().replace('_', "-").parse()?;
        if process.as_str() != name {
            self.notes.push(format!("Procfile: the process `{name}` is called `{process}` here"));
        }
        if self.processes.insert(process, command).is_some() {
            return Err(twice(name));
        }
        if self.processes.len() > PROCESSES_MAX {
            return Err(bad(format!("the Procfile names more than {PROCESSES_MAX} processes"))
                .hint("split the service into several"));
        }
        Ok(())
    }

    fn command(&mut self, name: &str, line: &str) -> Result<Command> {
        let parsed = words::parse(line).map_err(|what| {
            bad(format!("the command of `{name}` cannot be read: {what}")).hint("write it as you would for a shell")
        })?;
        let (mut command, notes) = Command::of(line, parsed);
        self.notes.extend(notes.into_iter().map(|note| format!("Procfile: `{name}`{note}")));
        if let Some(program) = command.argv.first_mut().filter(|program| *program == "python") {
            "python3".clone_into(program);
        }
        Ok(command)
    }
}

impl Command {
    /// What runs for a line that was taken apart, and what is to be said about it, each to be read
    /// after the name of the thing.
    pub(super) fn of(line: &str, parsed: Line) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        let (assigned, mut argv) = match parsed {
            Line::Direct { env, argv } => (env, argv),
            Line::Shell { why } => {
                notes.push(format!(" runs through /bin/sh because of {why}"));
                (Vec::new(), Line::shell(line))
            }
        };
        let mut env = BTreeMap::new();
        let mut with_port = Vec::new();
        for (name, value) in assigned {
            if name == "PORT" {
                notes.push(" sets PORT, which is ignored: the platform chooses the port".to_owned());
            } else if names(&value).any(|asked| asked == "PORT") {
                // The port is known last and only to arguments: env(1) takes it from there.
                with_port.push(format!("{name}={value}"));
            } else {
                env.insert(name, value);
            }
        }
        if !with_port.is_empty() {
            argv = ["env".to_owned()].into_iter().chain(with_port).chain(argv).collect();
        }
        (Self { line: line.to_owned(), argv, env }, notes)
    }
}

/// `web` serves, everything else works.
pub(super) fn kind_of(process: &ProcessName) -> ProcessKind {
    if process.as_str() == "web" { ProcessKind::Web } else { ProcessKind::Worker }
}

fn bad(message: impl std::fmt::Display) -> Problem {
    Problem::unprocessable("bad-procfile", message)
}

fn twice(name: &str) -> Problem {
    bad(format!("the Procfile names `{name}` twice")).hint("give one of them another name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        let file = Procfile::parse(text).unwrap();
        let show = |name: &str, c: &Command| {
            let env: String = c.env.iter().map(|(n, v)| format!("{n}={v} ")).collect();
            format!("{name}: {env}{:?}", c.argv)
        };
        let mut shown: Vec<String> = file.processes.iter().map(|(name, c)| show(name.as_str(), c)).collect();
        shown.extend(file.release.iter().map(|c| show("release", c)));
        shown.extend(file.notes.iter().map(|note| format!("! {note}")));
        assert_eq!(shown, expect, "{text}");
    }

    fn refused(text: &str, place: &str, says: &str) {
        let problem = Procfile::parse(text).unwrap_err();
        assert!(problem.hint.is_some(), "no hint: {problem}");
        assert_eq!(problem.place.as_deref(), Some(place), "{problem}");
        assert!(problem.to_string().contains(says), "{problem}");
        assert!(problem.to_string().len() < 400, "{problem}");
    }

    #[test]
    fn processes() {
        check(
            "# comment\r\nweb: gunicorn shop.wsgi\r\n\n  worker:python work.py --n=$N\nrelease: ./migrate",
            &[
                r#"web: ["gunicorn", "shop.wsgi"]"#,
                r#"worker: ["python3", "work.py", "--n=${N}"]"#,
                r#"release: ["./migrate"]"#,
            ],
        );
        check(
            "web: A=1 PORT=5000 BIND=0.0.0.0:$PORT ./shop",
            &[
                r#"web: A=1 ["env", "BIND=0.0.0.0:${PORT}", "./shop"]"#,
                "! Procfile: `web` sets PORT, which is ignored: the platform chooses the port",
            ],
        );
        check(
            "Send_Mail: cd x && ./y $A",
            &[
                r#"send-mail: ["/bin/sh", "-c", "cd x && ./y $$A"]"#,
                "! Procfile: `Send_Mail` runs through /bin/sh because of several commands in one line",
                "! Procfile: the process `Send_Mail` is called `send-mail` here",
            ],
        );
    }

    #[test]
    fn faults_are_told_with_their_line() {
        refused("", "Procfile", "names no process");
        refused("release: x", "Procfile", "names no process");
        refused("web: a\nworker", "Procfile:2", "is not a line of a Procfile");
        refused("web a: b", "Procfile:1", "is not a line of a Procfile");
        refused(": b", "Procfile:1", "is not a line of a Procfile");
        refused("web: a\nWEB: b", "Procfile:2", "twice");
        refused("web: a\nrelease: b\nrelease: c", "Procfile:3", "twice");
        refused("web: 'a", "Procfile:1", "does not end");
        refused("web:", "Procfile:1", "no command");
        refused(&format!("web: {}", "x".repeat(300_000)), "Procfile:1", "at most");
        refused("a--b: x", "Procfile:1", "process name");
        refused(&format!("{}: x", "y".repeat(5000)), "Procfile:1", "process name");
        refused("\u{1b}[31mweb: x", "Procfile:1", "is not a line");
        let many: String = (0..60).map(|n| format!("w{n}: x\n")).collect();
        refused(&many, "Procfile:51", "more than 50");
    }
}
