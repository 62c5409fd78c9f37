//! A recipe says how a source becomes something that runs: looked at (`Tree`) → decided (`Plan`) →
//! carried out by others. Everything here is a pure function from text to a value.
//!
//! * A **language** (rust, go, python, node) gives steps, caches and a first idea of what to run.
//! * A **Procfile** replaces what to run, and is enough by itself where nothing has to be built.
//! * The **service file's command** replaces that of the main process.
//! * A **site** is a folder of files, built by Node or not at all, served by the platform.
//!
//! To add a recipe: one file beside these with `fits` and `language`, one row in `LANGUAGES`,
//! one name in [`RecipeName`], its rows in `tests.rs`, and a fixture that is really built.
//!
//! What is guessed is said in [`Plan::evidence`]; what cannot be guessed is a [`base::Problem`]
//! whose hint is the exact line to write. Foreign text is bounded before it is read, shown
//! shortened and without control characters, and never starts an argument of a tool.

mod command;
mod compose;
mod go;
mod name;
mod node;
mod output;
mod plan;
mod procfile;
mod python;
mod rust;
mod show;
mod site;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::collections::BTreeMap;

use base::{Problem, Result};

pub use name::RecipeName;
pub use output::{Output, Placed};
pub use plan::{APP, CACHE, Cache, Plan, ProcessKind, Runs, Step, WORKSPACE};
pub use tree::{CONTENT_BYTES_MAX, Entry, INTERESTING, Tree};

use procfile::Procfile;

/// What the service file says about building and running, as far as detection has to know it.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// `build.recipe`.
    pub recipe: Option<RecipeName>,
    /// `run.command`.
    pub command: Option<Vec<String>>,
}

/// Finds the recipe for a source. A command of the service file is put in afterwards with
/// [`Plan::with_command`]; where that command makes a guess unnecessary, [`detect_for`] knows.
///
/// # Errors
/// `nothing-to-detect` if no recipe fits, `recipe-does-not-fit` if the wanted one does not, and
/// each recipe's own problems: an unreadable file, a choice that is not the platform's to make.
pub fn detect(tree: &Tree, wanted: Option<&RecipeName>) -> Result<Plan> {
    compose::plan(tree, &Wish { recipe: wanted.copied(), command: None })
}

/// Finds the recipe for a source and what the service file says.
///
/// # Errors
/// Those of [`detect`], and `nothing-to-run` if nobody says what to run.
pub fn detect_for(tree: &Tree, wish: &Wish) -> Result<Plan> {
    let plan = compose::plan(tree, wish)?;
    match &wish.command {
        Some(command) => plan.with_command(command.clone()),
        None => plan,
    }
    .runnable()
}

/// What a language makes of a source, before Procfile and service file have their say.
struct Language {
    recipe: RecipeName,
    evidence: Vec<String>,
    steps: Vec<Step>,
    caches: Vec<Cache>,
    tools: Vec<&'static str>,
    runtime_tools: Vec<&'static str>,
    output: Output,
    /// Environment of everything that runs.
    env: BTreeMap<String, String>,
    /// The program that serves, or why none could be guessed.
    start: Result<Start>,
    /// Programs that the build makes, at the root of the artifact: `shop` is `./shop`.
    programs: Vec<String>,
}

/// A guess what to run.
enum Start {
    /// A command with its own environment.
    Command(Vec<String>, BTreeMap<String, String>),
    /// Files that the platform serves.
    Site,
}

/// What is known about what runs before a language is asked: it need not guess then.
struct Told<'t> {
    procfile: Option<&'t Procfile>,
    command: Option<&'t [String]>,
}

impl Told<'_> {
    /// Whether somebody says what to run.
    fn anything(&self) -> bool {
        self.procfile.is_some() || self.command.is_some()
    }

    /// Every word of every command.
    fn words(&self) -> impl Iterator<Item = &str> {
        let lines = self.procfile.iter().flat_map(|file| file.processes.values().chain(&file.release));
        let command = self.command.unwrap_or_default().iter().map(String::as_str);
        lines.flat_map(|command| command.line.split([' ', '\t', '"', '\'', ';', '&', '|', '(', ')'])).chain(command)
    }
}

/// Text of others for a message: short, in one line, without control characters.
fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() {
        out.push('…');
    }
    out
}

/// A list for a message: the first few, each in backquotes.
fn listed<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = items.into_iter().map(|item| format!("`{}`", shown(item.as_ref()))).collect();
    match all.get(..8) {
        Some(first) if all.len() > 8 => format!("{} and {} more", first.join(", "), all.len().saturating_sub(8)),
        _ => all.join(", "),
    }
}

fn env<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Tools that stamp a time into what they make take this one (reproducible-builds.org): the first
/// day that a zip file can hold.
const SOURCE_DATE_EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "315532800");

/// A problem with the source that its owner can mend.
fn problem(code: &'static str, message: impl std::fmt::Display) -> Problem {
    Problem::unprocessable(code, message)
}
