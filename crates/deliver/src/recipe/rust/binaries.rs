//! Which programs a Cargo package or workspace has, and which of them is meant.

use base::{Problem, Result};
use toml::{Table, Value};

use super::super::{Told, Tree, listed, problem};
use super::{is_plain, table};

/// Most packages of a workspace that are looked at.
const PACKAGES_MAX: usize = 500;

/// One program that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binary {
    pub(super) package: String,
    pub(super) name: String,
    /// Folder of its package; empty for the root.
    pub(super) folder: String,
    /// Its package says that `cargo run` means this one, or it is called like its package.
    preferred: bool,
}

/// The binaries to build; where nobody says what runs, exactly one: the one that serves.
pub(super) fn choose(tree: &Tree, told: &Told) -> Result<Vec<Binary>> {
    let all = candidates(tree)?;
    if all.is_empty() {
        let found = "found Cargo.toml, but no binary in it: neither src/main.rs nor src/bin nor [[bin]]";
        return Err(problem("no-rust-binary", found)
            .at("Cargo.toml")
            .hint("add src/main.rs, or name another recipe with `build.recipe` in orlop.yaml"));
    }
    if told.anything() {
        // A command says what runs: whatever it names is built, or everything where it names nothing.
        let named = |binary: &&Binary| told.words().any(|word| word.rsplit('/').next() == Some(&binary.name));
        let some: Vec<Binary> = all.iter().filter(named).cloned().collect();
        return Ok(if some.is_empty() { all } else { some });
    }
    let preferred: Vec<&Binary> = all.iter().filter(|binary| binary.preferred).collect();
    match (&*all, &*preferred) {
        ([one], _) => Ok(vec![one.clone()]),
        (_, [one]) => Ok(vec![(*one).clone()]),
        _ => Err(several(&all)),
    }
}

fn several(all: &[Binary]) -> Problem {
    let names = || all.iter().map(|binary| &binary.name);
    let first = names().next().map(String::as_str).unwrap_or_default();
    let one_package = all.iter().all(|binary| binary.package == all.first().map_or("", |b| &b.package));
    let first_fix = if one_package {
        format!("add `default-run = \"{first}\"` to [package] in Cargo.toml, or ")
    } else {
        String::new()
    };
    problem(
        "several-binaries",
        format!("found {} binaries and cannot tell which one serves: {}", all.len(), listed(names())),
    )
    .at("Cargo.toml")
    .hint(format!(
        "{first_fix}add a file `Procfile` with the line `web: ./{first}` (one line for each process you want)"
    ))
}

/// The binaries of the root package if it has any, else those of all packages of the workspace.
fn candidates(tree: &Tree) -> Result<Vec<Binary>> {
    let root = table(tree, "Cargo.toml")?.unwrap_or_default();
    let own = binaries(tree, "", &root)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let Some(workspace) = root.get("workspace").and_then(Value::as_table) else { return Ok(Vec::new()) };
    let patterns = |key: &str| -> Option<Vec<String>> {
        let list = workspace.get(key)?.as_array()?;
        Some(
            list.iter()
                .filter_map(Value::as_str)
                .map(|s| s.trim_matches('/').trim_start_matches("./").to_owned())
                .collect(),
        )
    };
    let members = patterns("default-members").or_else(|| patterns("members")).unwrap_or_default();
    let excluded = patterns("exclude").unwrap_or_default();
    let mut found = Vec::new();
    let folders = tree.paths().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let is_in = |folder: &str, patterns: &[String]| patterns.iter().any(|pattern| member(folder, pattern));
    for folder in folders.filter(|f| is_in(f, &members) && !is_in(f, &excluded)).take(PACKAGES_MAX) {
        let manifest = table(tree, &format!("{folder}/Cargo.toml"))?.unwrap_or_default();
        found.extend(binaries(tree, folder, &manifest)?);
    }
    Ok(found)
}

/// Whether a folder is meant by a pattern of `members`; `*` stands for any text within a segment.
fn member(folder: &str, pattern: &str) -> bool {
    let segment = |(text, pattern): (&str, &str)| match pattern.split_once('*') {
        None => text == pattern,
        Some((head, tail)) => {
            text.len() >= head.len().saturating_add(tail.len()) && text.starts_with(head) && text.ends_with(tail)
        }
    };
    folder.split('/').count() == pattern.split('/').count() && folder.split('/').zip(pattern.split('/')).all(segment)
}

/// The binaries of one package (Cargo book, *Cargo Targets*: explicit ones, then those found).
fn binaries(tree: &Tree, folder: &str, manifest: &Table) -> Result<Vec<Binary>> {
    let Some(package) = manifest.get("package").and_then(Value::as_table) else { return Ok(Vec::new()) };
    let at = |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
    let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_plain(name) {
        return Err(problem("bad-package-name", "the package has no proper `name`")
            .at(at("Cargo.toml"))
            .hint("add to [package]: `name = \"shop\"`"));
    }
    let explicit: Vec<&Table> =
        manifest.get("bin").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table).collect();
    let text = |bin: &Table, key: &str| bin.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<String> = explicit
        .iter()
        .filter(|bin| bin.get("required-features").and_then(Value::as_array).is_none_or(Vec::is_empty))
        .filter_map(|bin| text(bin, "name"))
        .collect();
    let listed_path = |path: &str| explicit.iter().any(|bin| text(bin, "path").as_deref() == Some(path));
    let listed_name = |name: &str| explicit.iter().any(|bin| text(bin, "name").as_deref() == Some(name));
    if package.get("autobins").and_then(Value::as_bool) != Some(false) {
        if tree.has(&at("src/main.rs")) && !listed_path("src/main.rs") && !listed_name(name) {
            names.push(name.to_owned());
        }
        for path in tree.beneath(&at("src/bin")) {
            let found = path.strip_suffix("/main.rs").or_else(|| path.strip_suffix(".rs")).filter(|n| !n.contains('/'));
            let free = |n: &&str| !listed_name(n) && !listed_path(&format!("src/bin/{path}"));
            names.extend(found.filter(free).map(str::to_owned));
        }
    }
    names.retain(|name| is_plain(name));
    names.sort();
    names.dedup();
    let default_run = text(package, "default-run");
    let preferred = default_run.as_deref().unwrap_or(name);
    let binary =
        |n: String| Binary { package: name.to_owned(), preferred: n == preferred, folder: folder.to_owned(), name: n };
    Ok(names.into_iter().map(binary).collect())
}
