//! Who may use whom, and what manifests have in common.

use toml::Value;

use super::Finding;
use crate::tree::{Crate, TEST_CRATES, Tree};

/// Refuses every use between crates that the table does not allow.
pub fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &tree.crates {
        let manifest = format!("{}/Cargo.toml", member.dir);
        let Some(allowed) = tree.rules.allowed(&tree.rules.arrows, &member.name) else {
            found.push(Finding::new(
                manifest,
                None,
                format!("the crate `{}` is not in the arrow table", member.name),
                "add it to [arrows] in xtask/rules.toml, with a decision record that says why it exists",
            ));
            continue;
        };
        let for_tests = tree.rules.allowed(&tree.rules.test_arrows, &member.name).unwrap_or_default();
        for (table, tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
            for (used, _) in member.dependencies(table) {
                let internal = *used != member.name && tree.crates.iter().any(|other| other.name == **used);
                let fine = allowed.contains(used) || tests && for_tests.contains(used);
                if internal && !fine {
                    found.push(arrow(member, used, table, &manifest));
                }
            }
        }
    }
    found
}

fn arrow(member: &Crate, used: &str, table: &str, manifest: &str) -> Finding {
    Finding::new(
        manifest,
        None,
        format!("`{}` uses `{used}` ({table}), which the architecture does not allow", member.name),
        "capabilities talk by facts and wishes, drivers know only ports; a new arrow takes a decision record and a line in xtask/rules.toml",
    )
}

/// Members inherit from the workspace, and their folder has the name of the package.
pub fn manifests(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &tree.crates {
        let path = format!("{}/Cargo.toml", member.dir);
        let mut say = |what: String, fix: &str| found.push(Finding::new(&path, None, what, fix));
        if !member.dir.ends_with(&member.name) {
            say(format!("the folder {} holds a package `{}`", member.dir, member.name), "give both the same name");
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            let value = member.manifest.get("package").and_then(|package| package.get(key));
            if !value.is_some_and(inherits) {
                say(format!("`{key}` is not inherited"), &format!("write `{key}.workspace = true`"));
            }
        }
        if !member.manifest.get("lints").is_some_and(inherits) {
            say("the workspace's lints are not in force".to_owned(), "add `[lints]` with `workspace = true`");
        }
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in member.dependencies(table) {
                // A crate may name itself, to turn a feature on for its own tests.
                let itself = *name == member.name && value.get("path").and_then(Value::as_str) == Some(".");
                if !inherits(value) && !itself {
                    say(
                        format!("`{name}` has a version of its own"),
                        &format!("put it into [workspace.dependencies] and write `{name}.workspace = true`"),
                    );
                }
            }
        }
    }
    found
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// Features that exist for tests are turned on in dev-dependencies only: nothing of them ships.
pub fn test_features(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let root = tree.texts.get("Cargo.toml").and_then(|text| toml::from_str::<toml::Table>(text).ok());
    let shared = root.as_ref().and_then(|root| root.get("workspace")?.get("dependencies")?.as_table());
    for (name, value) in shared.into_iter().flatten() {
        found.extend(on(tree, "Cargo.toml", name, value));
    }
    for member in tree.crates.iter().filter(|member| !TEST_CRATES.contains(&member.name.as_str())) {
        let path = format!("{}/Cargo.toml", member.dir);
        for table in ["dependencies", "build-dependencies"] {
            let uses = member.dependencies(table).into_iter();
            found.extend(uses.flat_map(|(name, value)| on(tree, &path, name, value)));
        }
        let default = member.manifest.get("features").and_then(|features| features.get("default"));
        let default = toml::Table::from_iter(default.map(|list| ("features".to_owned(), list.clone()))).into();
        found.extend(on(tree, &path, &member.name, &default));
    }
    found
}

/// What a dependency turns on that is for tests.
fn on(tree: &Tree, path: &str, name: &str, value: &Value) -> Vec<Finding> {
    let for_tests = tree.rules.test_features.get(name).map_or(&[][..], Vec::as_slice);
    let features = value.get("features").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let wrong =
        features.iter().filter_map(Value::as_str).filter(|feature| for_tests.iter().any(|other| other == feature));
    wrong
        .map(|feature| {
            let fix = "turn the feature on in [dev-dependencies] of the crate whose tests use it";
            Finding::new(
                path,
                None,
                format!("the feature `{feature}` of `{name}` is for tests and would be shipped"),
                fix,
            )
        })
        .collect()
}
