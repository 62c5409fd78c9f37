use std::collections::BTreeMap;

use base::{Problem, ProcessName, Result};
use serde::{Deserialize, Serialize};

use super::{Output, RecipeName};

/// The source is unpacked here, writable, while it is built.
pub const WORKSPACE: &str = "/workspace";
/// What came out of the build is here, read-only, while it runs; also the working directory.
pub const APP: &str = "/app";
/// Caches are mounted beneath this.
pub const CACHE: &str = "/cache";

/// How a source becomes something that runs. A value: whoever carries it out decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// By which recipe.
    pub recipe: RecipeName,
    /// What was found and what follows from it, one line each, for people.
    pub evidence: Vec<String>,
    /// What the build does, in order.
    pub steps: Vec<Step>,
    /// Folders that the build keeps from one time to the next, of this service alone.
    pub caches: Vec<Cache>,
    /// Programs of the host that the build needs on its `PATH`.
    pub tools: Vec<String>,
    /// Programs of the host that the processes need on their `PATH`.
    pub runtime_tools: Vec<String>,
    /// What of the workspace becomes [`APP`].
    pub output: Output,
    /// Environment of every process and of the release command. Values may have placeholders
    /// ([`base::placeholder`]), which are filled from the settings and the engine's `PATH`; what is
    /// here wins over a setting of the same name.
    pub env: BTreeMap<String, String>,
    /// What runs.
    pub processes: BTreeMap<ProcessName, Runs>,
    /// Runs once, with [`Plan::env`], before traffic moves to a new release.
    pub release: Option<Vec<String>>,
}

/// One command of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// A word or two for people: `install dependencies`.
    pub name: String,
    /// Program and arguments, no shell, no placeholders.
    pub command: Vec<String>,
    /// Environment, laid over what the platform gives every build (`PATH`, `HOME`, proxies, …).
    pub env: BTreeMap<String, String>,
    /// Working directory relative to [`WORKSPACE`]; empty for that itself.
    pub workdir: String,
}

/// One folder that a build keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// Name, unique within the service.
    pub name: String,
    /// Where the build sees it.
    pub target: String,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    /// Program and arguments with placeholders ([`base::placeholder`]); `${PORT}` is the port to
    /// listen on. Empty for a site, which the platform serves itself.
    pub command: Vec<String>,
    /// The whole environment of this process: [`Plan::env`] and its own. Placeholders as there;
    /// `PORT` is never asked for here.
    pub env: BTreeMap<String, String>,
    /// What sort of process.
    pub kind: ProcessKind,
}

/// What sort of process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessKind {
    /// Listens on `$PORT`.
    Web,
    /// Listens to nobody.
    Worker,
    /// Files in [`APP`], served by the platform.
    Site,
}

impl Plan {
    /// Lets the service's main process run this command instead: the one named `web`, or the only
    /// one there is. What was a site becomes a program. A process is made where there was none.
    #[must_use]
    pub fn with_command(mut self, command: Vec<String>) -> Self {
        self.evidence.push(format!("orlop.yaml gives the command `{}`", super::shown(&command.join(" "))));
        self.needs_program_of(&command);
        let main = match self.processes.len() {
            1 => self.processes.keys().next().cloned(),
            _ => None,
        };
        let env = &self.env;
        let runs = self.processes.entry(main.unwrap_or_else(ProcessName::web)).or_insert_with(|| Runs {
            command: Vec::new(),
            env: env.clone(),
            kind: ProcessKind::Web,
        });
        runs.command = command;
        if runs.kind == ProcessKind::Site {
            runs.kind = ProcessKind::Web;
        }
        self.tidy()
    }

    /// Replaces the release command.
    #[must_use]
    pub fn with_release(mut self, command: Vec<String>) -> Self {
        self.needs_program_of(&command);
        self.release = Some(command);
        self.tidy()
    }

    /// Makes a single web process a worker: the service listens to nobody.
    #[must_use]
    pub fn into_worker(mut self) -> Self {
        if let Some(mut runs) = self.processes.remove(&ProcessName::web()) {
            runs.kind = ProcessKind::Worker;
            self.processes.entry(ProcessName::worker()).or_insert(runs);
        }
        self
    }

    /// The plan, if there is something to run.
    ///
    /// # Errors
    /// `nothing-to-run`.
    pub fn runnable(self) -> Result<Self> {
        if self.processes.values().all(|runs| runs.command.is_empty() && runs.kind != ProcessKind::Site) {
            return Err(Problem::unprocessable(
                "nothing-to-run",
                format!("the recipe `{}` says how to build but not what to run", self.recipe),
            )
            .hint("add to orlop.yaml: `run: { command: [\"./program\", \"argument\"] }`"));
        }
        Ok(self)
    }

    /// Notes the program of the host that a command starts with: `python3`, not `./shop`. Of one
    /// that is not known it is assumed only where nothing was built that could have brought it.
    pub(super) fn needs_program_of(&mut self, command: &[String]) {
        let nothing_built = matches!(self.recipe, RecipeName::Command | RecipeName::Procfile);
        let of_host = |program: &&String| {
            INTERPRETERS.contains(&program.as_str()) || nothing_built && !program.contains(['/', '$'])
        };
        self.runtime_tools.extend(command.first().filter(of_host).cloned());
    }

    pub(super) fn tidy(mut self) -> Self {
        for tools in [&mut self.tools, &mut self.runtime_tools] {
            tools.sort();
            tools.dedup();
        }
        self
    }
}

/// Interpreters that come from the host whatever was built.
const INTERPRETERS: &[&str] = &[
    "bash", "bun", "deno", "env", "java", "node", "npm", "npx", "perl", "php", "pnpm", "python3", "ruby", "sh", "yarn",
];

impl Step {
    /// A step in the workspace itself.
    pub(super) fn new<S: Into<String>>(
        name: &str,
        command: impl IntoIterator<Item = S>,
        env: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            env: env.clone(),
            workdir: String::new(),
        }
    }
}

impl Cache {
    /// A cache and where it is: `/cache/NAME`.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), target: format!("{CACHE}/{name}") }
    }
}
