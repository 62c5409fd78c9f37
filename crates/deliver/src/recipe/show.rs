use std::fmt;

use super::{Output, Plan, ProcessKind};

/// The whole plan as text, for people: what `orlop plan` shows and what tests compare.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "recipe {}", self.recipe)?;
        for line in &self.evidence {
            writeln!(f, "  {line}")?;
        }
        for step in &self.steps {
            write!(f, "step {}", step.name)?;
            if !step.workdir.is_empty() {
                write!(f, " in {}", step.workdir)?;
            }
            writeln!(f, "\n  {}", words(&step.command))?;
            for (name, value) in &step.env {
                writeln!(f, "  {name}={value}")?;
            }
        }
        for cache in &self.caches {
            writeln!(f, "cache {} {}", cache.name, cache.target)?;
        }
        for (what, tools) in [("tools", &self.tools), ("runtime tools", &self.runtime_tools)] {
            if !tools.is_empty() {
                writeln!(f, "{what} {}", tools.join(" "))?;
            }
        }
        self.output.fmt(f)?;
        for (process, runs) in &self.processes {
            let kind = match runs.kind {
                ProcessKind::Web => "web",
                ProcessKind::Worker => "worker",
                ProcessKind::Site => "site",
            };
            writeln!(f, "process {process} ({kind})")?;
            if !runs.command.is_empty() {
                writeln!(f, "  {}", words(&runs.command))?;
            }
            for (name, value) in &runs.env {
                writeln!(f, "  {name}={value}")?;
            }
        }
        if let Some(release) = &self.release {
            writeln!(f, "release\n  {}", words(release))?;
        }
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { from, leave_out } => {
                writeln!(f, "output {} without {}", if from.is_empty() { "." } else { from }, leave_out.join(" "))
            }
            Self::Copies { copies } => {
                copies.iter().try_for_each(|copy| writeln!(f, "output {} as {}", copy.from, copy.to))
            }
        }
    }
}

/// Arguments with spaces between; those that a reader could take for several are quoted.
fn words(command: &[String]) -> String {
    let quote = |word: &String| {
        if word.is_empty() || word.contains([' ', '"', '\'', '\n']) { format!("{word:?}") } else { word.clone() }
    };
    command.iter().map(quote).collect::<Vec<_>>().join(" ")
}
