//! Who may use whom, and what manifests have in common.

use toml::Value;

use super::Finding;
use crate::tree::{Crate, Tree};

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
                let fine = allowed.contains("*") || allowed.contains(used) || tests && for_tests.contains(used);
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

/// The conformance suites of `ports` are behind a feature that only tests and `sim` may turn on.
pub fn conformance(tree: &Tree) -> Vec<Finding> {
    const FIX: &str = "turn the feature on in [dev-dependencies], next to the test that runs the suite";
    let mut found = Vec::new();
    for member in tree.crates.iter().filter(|member| member.name != "sim") {
        for table in ["dependencies", "build-dependencies"] {
            for (name, value) in member.dependencies(table) {
                if name == "ports" && has_feature(value, "conformance") {
                    let path = format!("{}/Cargo.toml", member.dir);
                    found.push(Finding::new(path, None, "the conformance suites of `ports` would be shipped", FIX));
                }
            }
        }
        let default = member.manifest.get("features").and_then(|features| features.get("default"));
        if member.name == "ports" && default.is_some_and(|list| list.to_string().contains("conformance")) {
            let path = format!("{}/Cargo.toml", member.dir);
            found.push(Finding::new(path, None, "the conformance suites are a default feature", FIX));
        }
    }
    let root = tree.texts.get("Cargo.toml").and_then(|text| toml::from_str::<toml::Table>(text).ok());
    let shared = root.as_ref().and_then(|root| root.get("workspace")?.get("dependencies")?.get("ports"));
    if shared.is_some_and(|value| has_feature(value, "conformance")) {
        found.push(Finding::new("Cargo.toml", None, "the conformance suites of `ports` are on for every crate", FIX));
    }
    found
}

fn has_feature(value: &Value, feature: &str) -> bool {
    let features = value.get("features").and_then(Value::as_array);
    features.is_some_and(|list| list.iter().any(|entry| entry.as_str() == Some(feature)))
}
