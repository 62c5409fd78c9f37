//! What a Python source depends on, and how pip is told.

use std::collections::BTreeSet;

use base::{Problem, Result};
use toml::{Table, Value};

use super::super::{Tree, problem, shown};

/// Requirements in a folder of their own; the first that is there is taken.
pub(super) const FOLDER_FILES: &[&str] =
    &["requirements/production.txt", "requirements/prod.txt", "requirements/base.txt", "requirements/common.txt"];
/// Most other files that a file of requirements may include.
const INCLUDED_MAX: usize = 20;
/// Most direct dependencies.
const NEEDS_MAX: usize = 2000;

#[derive(Debug, Clone, Default)]
pub(super) struct Requirements {
    /// What pip installs; empty: nothing.
    pub(super) arguments: Vec<String>,
    /// Normalised names (PEP 503) of direct dependencies, with extras as `name[extra]`.
    names: BTreeSet<String>,
    pub(super) evidence: String,
    /// The source's own code may be in `src` and is not installed.
    pub(super) source_layout: bool,
    /// `[project.scripts]`: name and `module:function`.
    pub(super) scripts: Vec<(String, String)>,
    /// The file to which a missing dependency is added.
    pub(super) file: &'static str,
}

impl Requirements {
    /// Whether this is a direct dependency, by its normalised name, with whatever extras.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.split('[').next() == Some(name))
    }

    /// Whether a direct dependency is asked for with this extra.
    pub(super) fn has_extra(&self, name: &str, extra: &str) -> bool {
        let extras = |known: &str| Some(known.split_once('[')?.1.trim_end_matches(']').split(',').any(|e| e == extra));
        self.names.iter().filter(|known| known.split('[').next() == Some(name)).any(|known| extras(known) == Some(true))
    }
}

pub(super) fn read(tree: &Tree) -> Result<Requirements> {
    if let Some(file) = ["requirements.txt"].iter().chain(FOLDER_FILES).find(|file| tree.has(file)) {
        return of_file(tree, file);
    }
    if tree.has("Pipfile") {
        return Err(problem("pipfile-not-read", "found Pipfile; dependencies are installed from requirements.txt")
            .at("Pipfile")
            .hint("run `pipenv requirements > requirements.txt` and commit the file"));
    }
    if let Some(text) = tree.text("pyproject.toml")? {
        return of_project(tree, text);
    }
    if tree.has("setup.py") {
        return Ok(Requirements {
            arguments: vec![".".to_owned()],
            evidence: "found setup.py: the package and its dependencies are installed".to_owned(),
            file: "setup.py",
            ..Requirements::default()
        });
    }
    let evidence = "no requirements.txt and no pyproject.toml: nothing but the standard library".to_owned();
    Ok(Requirements { evidence, file: "requirements.txt", ..Requirements::default() })
}

fn of_file(tree: &Tree, file: &'static str) -> Result<Requirements> {
    let text = tree.text(file)?.unwrap_or_default();
    let mut names: BTreeSet<String> = names(text).collect();
    let folder = file.rsplit_once('/').map(|(folder, _)| folder);
    let included: BTreeSet<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("-r").map(str::trim)).take(INCLUDED_MAX).collect();
    for included in included {
        let path = folder.map_or(included.to_owned(), |folder| format!("{folder}/{included}"));
        names.extend(tree.clue(&path).map(self::names).into_iter().flatten());
    }
    let evidence = match names.len() {
        0 => format!("found {file} without requirements"),
        1 => format!("found {file} with 1 requirement"),
        n => format!("found {file} with {n} requirements"),
    };
    let arguments = if names.is_empty() && !text.contains('-') {
        Vec::new()
    } else {
        vec!["--requirement".to_owned(), file.to_owned()]
    };
    Ok(Requirements { arguments, names, evidence, file, ..Requirements::default() })
}

/// The direct dependencies that lines of a requirements file name.
fn names(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(name).take(NEEDS_MAX)
}

/// The name at the start of a dependency specifier (PEP 508), normalised (PEP 503), with its extras.
fn name(line: &str) -> Option<String> {
    let line = line.trim();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end)?;
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || rest.trim_start().starts_with([':', '/']) {
        return None;
    }
    let words = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    let extras = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(extras, _)| extras);
    Some(match extras {
        Some(extras) => format!("{}[{}]", words.join("-"), extras.replace(' ', "")),
        None => words.join("-"),
    })
}

fn of_project(tree: &Tree, text: &str) -> Result<Requirements> {
    let fault = |what: String| -> Problem {
        problem("bad-toml", format!("pyproject.toml cannot be read: {what}"))
            .at("pyproject.toml")
            .hint("`python3 -c \"import tomllib; tomllib.load(open('pyproject.toml', 'rb'))\"` shows the same fault")
    };
    let table: Table = text.parse().map_err(|error: toml::de::Error| fault(shown(error.message())))?;
    let project = table.get("project").and_then(Value::as_table);
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry")).is_some();
    let lock = ["uv.lock", "poetry.lock", "pdm.lock"].into_iter().find(|file| tree.has(file));
    let note = match lock {
        Some("uv.lock") => {
            "; uv.lock is not read: for exact versions commit the file that `uv export --no-hashes -o requirements.txt` writes"
        }
        Some(_) => "; the lock file is not read: for exact versions commit a requirements.txt made from it",
        None => "",
    };
    let mut found = Requirements { file: "pyproject.toml", source_layout: true, ..Requirements::default() };
    match project {
        None if poetry => {
            found.arguments = vec![".".to_owned()];
            found.source_layout = false;
            let dependencies = table.get("tool").and_then(|tool| tool.get("poetry")?.get("dependencies")?.as_table());
            found.names = dependencies.into_iter().flat_map(Table::keys).filter_map(|key| name(key)).collect();
            found.evidence =
                format!("found pyproject.toml of Poetry: the package and its dependencies are installed{note}");
        }
        None => found.evidence = "found pyproject.toml without [project]: nothing is installed".to_owned(),
        Some(project) => {
            let listed = project.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            for need in listed.filter_map(Value::as_str).take(NEEDS_MAX) {
                let name = name(need).filter(|_| !need.chars().any(char::is_control));
                found.names.insert(name.ok_or_else(|| {
                    problem("bad-dependency", format!("`{}` in [project] dependencies is no dependency", shown(need)))
                        .at("pyproject.toml")
                        .hint("write name and version like `\"flask>=3\"` (PEP 508)")
                })?);
                found.arguments.push(need.trim().to_owned());
            }
            let scripts = project.get("scripts").and_then(Value::as_table).into_iter().flatten();
            found.scripts = scripts.filter_map(|(name, to)| Some((name.clone(), to.as_str()?.to_owned()))).collect();
            found.evidence = format!("found pyproject.toml with {} dependencies{note}", found.names.len());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_pip_does() {
        for (line, expect) in [
            ("Django==5.2.1", Some("django")),
            ("  zope.interface >= 5 ; python_version < '4'", Some("zope-interface")),
            ("Flask_SQLAlchemy", Some("flask-sqlalchemy")),
            ("uvicorn[standard, x]>=0.30", Some("uvicorn[standard,x]")),
            ("gunicorn # server", Some("gunicorn")),
            ("pkg @ https://example.org/pkg.whl", Some("pkg")),
            ("# comment", None),
            ("", None),
            ("-r base.txt", None),
            ("--hash=sha256:abc", None),
            ("./local", None),
            ("https://example.org/x.whl", None),
        ] {
            assert_eq!(name(line).as_deref(), expect, "{line}");
        }
    }
}
