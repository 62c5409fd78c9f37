//! Packages from outside: what the lock file holds, and whether each dependency is used at all.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Finding;
use crate::tree::{Crate, TEST_CRATES, Tree, is_test_path};

/// Finds dependencies that no source of the crate names. What only tests name belongs to
/// dev-dependencies.
pub fn unused(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &tree.crates {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let ships = table == "dependencies" && !TEST_CRATES.contains(&member.name.as_str());
            for (name, _) in member.dependencies(table) {
                let key = format!("{}/{name}", member.name);
                let itself = *name == member.name;
                if itself || tree.rules.unnamed_dependencies.contains_key(&key) || is_named(tree, member, name, ships) {
                    continue;
                }
                let (what, fix) = if ships && is_named(tree, member, name, false) {
                    (format!("`{name}` is named by tests only"), "move the line to [dev-dependencies]")
                } else {
                    let what = format!("`{name}` ({table}) is named nowhere in {}", member.dir);
                    let fix =
                        "remove the line, or add it with its reason to [unnamed-dependencies] in xtask/rules.toml";
                    (what, fix)
                };
                found.push(Finding::new(format!("{}/Cargo.toml", member.dir), None, what, fix));
            }
        }
    }
    found
}

/// Whether a source of the crate names the dependency; when it `ships`, one that is no test.
fn is_named(tree: &Tree, member: &Crate, dependency: &str, ships: bool) -> bool {
    let ident = dependency.replace('-', "_");
    tree.sources_in(&member.dir)
        .filter(|(path, _)| !(ships && is_test_path(path)))
        .any(|(_, source)| source.lines_with(&ident).into_iter().any(|line| !(ships && source.is_test_line(line))))
}

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
}

/// The lock file: how many packages, which may be there once, and whether all come from the
/// registry.
pub fn locked(tree: &Tree) -> Vec<Finding> {
    let Some(Ok(lock)) = tree.texts.get("Cargo.lock").map(|text| toml::from_str::<Lock>(text)) else {
        let fix = "bring it back from the last commit";
        return vec![Finding::new("Cargo.lock", None, "the file is missing or cannot be parsed", fix)];
    };
    let mut found = Vec::new();
    let mut say = |what: String, fix: String| found.push(Finding::new("Cargo.lock", None, what, fix));
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &lock.package {
        versions.entry(&package.name).or_default().push(&package.version);
        if package.source.as_ref().is_some_and(|source| !source.starts_with("registry+")) {
            say(format!("`{}` does not come from the registry", package.name), "use a published version".to_owned());
        }
    }
    let limit = tree.rules.limits.locked_packages;
    if lock.package.len() > limit {
        let fix = "find what the newest dependency brought with `cargo tree`; do without, or with fewer features";
        say(format!("{} packages, allowed are {limit}", lock.package.len()), fix.to_owned());
    }
    for (name, reason) in &tree.rules.one_version {
        let seen = versions.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        if seen.len() > 1 {
            let fix = format!("`cargo tree --invert {name}@{}` shows who brings the second", seen[0]);
            say(format!("`{name}` is there in versions {}: {reason}", seen.join(" and ")), fix);
        }
    }
    found
}
