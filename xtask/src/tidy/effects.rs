//! What changes something outside of the process goes through a port or the store, where the
//! simulation has a point: it can let the control plane die there, and lets it.

use super::Finding;
use crate::rules::covers;
use crate::source::{Source, has_word};
use crate::tree::{Tree, is_test_path};

/// What changes files or reaches a database or a driver without a port.
const BYPASSES: [&str; 18] = [
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::set_permissions",
    "File::create",
    "File::options",
    "OpenOptions::new",
    "DirBuilder::new",
    "NamedTempFile::new_in",
    "sqlx::query",
    "sqlx::raw_sql",
    "begin_with",
];

/// Effects by their method, and how whoever has it is called: only so can the simulation tell the
/// places of effects from the source.
const NAMED: [(&str, &[&str]); 8] = [
    (".ensure(", &["engine"]),
    (".stop(", &["engine"]),
    (".apply(", &["gateway"]),
    (".change(", &["gateway", "self"]),
    (".receive(", &["sources"]),
    (".commit(", &["tx", "ctx", "conn"]),
    (".commit_unkept(", &["ctx"]),
    (".delete(", &["objects"]),
];

/// Crates whose effects have points: the capabilities and the machinery below them.
fn has_points(tree: &Tree, path: &str) -> bool {
    let name = path.strip_prefix("crates/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let capabilities = tree.rules.groups.get("capabilities");
    let machinery = ["kernel", "server", "store"].contains(&name);
    (machinery || capabilities.is_some_and(|all| all.iter().any(|one| one == name))) && path.contains("/src/")
}

/// `cargo xtask tidy`, rule `effects`.
pub fn effects(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources_in("crates") {
        if !has_points(tree, path) || is_test_path(path) || covers(tree.rules.effects.keys(), path) {
            continue;
        }
        for (line, code) in (1..).zip(source.code.lines()) {
            if source.is_test_line(line) {
                continue;
            }
            if let Some(word) = BYPASSES.iter().find(|word| has_word(code, word)) {
                let what = format!("`{word}` changes something where no simulation can interfere");
                let fix = "go through a port or the store, or argue for the file in [effects] of xtask/rules.toml";
                found.push(Finding::new(path, Some(line), what, fix));
            }
            if let Some((method, names)) = nameless(source, line, code) {
                let what = format!("an effect `{method}…)` of something that is not called {}", names.join(" or "));
                let fix = "call it by that name, so that the stories of the simulation can be held against it";
                found.push(Finding::new(path, Some(line), what, fix));
            }
        }
    }
    found
}

/// An effect on this line whose owner has another name.
fn nameless(source: &Source, line: usize, code: &str) -> Option<(&'static str, &'static [&'static str])> {
    NAMED.into_iter().find(|(method, names)| {
        code.match_indices(method).any(|(at, _)| {
            let mut before = code[..at].trim_end();
            if before.is_empty() {
                // A chain that is broken across lines goes on from the line above.
                before = source.code.lines().nth(line.wrapping_sub(2)).unwrap_or_default().trim_end();
            }
            // `engine()` is as good as `engine`.
            let before = before.trim_end_matches("()");
            !names.iter().any(|name| {
                before.strip_suffix(name).is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
        })
    })
}
