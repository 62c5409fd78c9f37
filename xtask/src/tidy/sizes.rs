//! How much there may be: lines of a floor crate, of a file, of a function.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::Finding;
use crate::command;
use crate::tree::Tree;

/// Where the functions stand that are longer than the limit.
pub const RATCHETS: &str = "xtask/ratchets.toml";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Ratchets {
    #[serde(default)]
    function_lines: BTreeMap<String, usize>,
}

/// The budget of each crate that has one.
pub fn crates(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, limit) in &tree.rules.crate_lines {
        let src = format!("crates/{name}/src");
        let lines: usize = tree.sources_in(&src).map(|(_, source)| source.code.lines().count()).sum();
        if lines > *limit {
            let what = format!("`{name}` has {lines} lines, its budget is {limit}");
            found.push(Finding::new(src, None, what, "move what only one crate needs to that crate"));
        }
    }
    found
}

/// The limit of a file; nothing is excepted.
pub fn files(tree: &Tree) -> Vec<Finding> {
    let limit = tree.rules.limits.file_lines;
    let long = tree.sources.iter().map(|(path, source)| (path, source.code.lines().count()));
    long.filter(|(_, lines)| *lines > limit)
        .map(|(path, lines)| {
            let what = format!("{lines} lines, allowed are {limit}");
            Finding::new(path, None, what, "make a folder of it, with one file for each thing a reader looks for")
        })
        .collect()
}

/// The limit of a function, and the ratchet of those that are longer.
pub fn functions(tree: &Tree) -> Vec<Finding> {
    let ratchets: Ratchets = match tree.texts.get(RATCHETS).map(|text| toml::from_str(text)) {
        Some(Ok(ratchets)) => ratchets,
        Some(Err(why)) => return vec![Finding::new(RATCHETS, None, why.to_string(), "repair the file")],
        None => Ratchets::default(),
    };
    let limit = tree.rules.limits.function_lines;
    let long = long_functions(tree);
    let mut found = Vec::new();
    for (key, (line, lines)) in &long {
        let allowed = ratchets.function_lines.get(key).copied().unwrap_or(limit);
        if *lines > allowed {
            let (path, name) = key.split_once("::").unwrap_or((key, ""));
            let what = format!("`{name}` has {lines} lines, allowed are {allowed}");
            found.push(Finding::new(path, Some(*line), what, "give its steps names and make them functions"));
        }
    }
    for (key, allowed) in &ratchets.function_lines {
        let now = long.get(key).map_or(0, |(_, lines)| *lines);
        if now < *allowed {
            let what = format!("`{key}` may have {allowed} lines and has fewer");
            found.push(Finding::new(RATCHETS, None, what, "run `cargo xtask tidy --tighten`"));
        }
    }
    found
}

/// The ratchets as they would be if they held exactly what is there. Never raises a number.
///
/// # Errors
/// When the file that is there cannot be read.
pub fn tightened(tree: &Tree) -> Result<String, String> {
    let old = tree.texts.get(RATCHETS).ok_or_else(|| format!("{RATCHETS} is missing"))?;
    let ratchets: Ratchets = toml::from_str(old).map_err(|why| format!("{RATCHETS}: {why}"))?;
    let long = long_functions(tree);
    let mut text: String =
        old.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    text.push_str("[function-lines]\n");
    for (key, allowed) in &ratchets.function_lines {
        if let Some((_, lines)) = long.get(key) {
            text.push_str(&format!("{key:?} = {}\n", lines.min(allowed)));
        }
    }
    Ok(text)
}

/// Compares the ratchets with those of the last commit and the one before it: no number may have
/// risen, and all together may not hold more than they did (a function that moved keeps its number).
pub fn raised(root: &Path, tree: &Tree) -> Vec<Finding> {
    let now: Ratchets = tree.texts.get(RATCHETS).and_then(|text| toml::from_str(text).ok()).unwrap_or_default();
    let mut found = Vec::new();
    for commit in ["HEAD", "HEAD~1"] {
        let before = command::output(root, "git", &["show", &format!("{commit}:{RATCHETS}")]);
        if let Some(before) = before.and_then(|text| toml::from_str::<Ratchets>(&text).ok()) {
            found.extend(compared(&before.function_lines, &now.function_lines));
        }
    }
    found.dedup();
    found
}

fn compared(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, lines) in now {
        if before.get(key).is_some_and(|before| before < lines) {
            let what = format!("the number of `{key}` was raised to {lines}");
            found.push(Finding::new(RATCHETS, None, what, "shorten the function instead"));
        }
    }
    if now.values().sum::<usize>() > before.values().sum::<usize>() {
        let what = "there are more lines in long functions than there were";
        found.push(Finding::new(RATCHETS, None, what, "shorten the new one instead of adding it here"));
    }
    found
}

/// The longest function of each name in each file, of those over the limit: `path::name` → line, lines.
fn long_functions(tree: &Tree) -> BTreeMap<String, (usize, usize)> {
    let mut long: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (path, source) in &tree.sources {
        for function in source.functions() {
            let entry = long.entry(format!("{path}::{}", function.name)).or_default();
            if function.lines > entry.1 {
                *entry = (function.line, function.lines);
            }
        }
    }
    let limit = tree.rules.limits.function_lines;
    long.retain(|_, (_, lines)| *lines > limit);
    long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[(&str, usize)], now: &[(&str, usize)], findings: usize) {
        let map = |list: &[(&str, usize)]| list.iter().map(|(key, lines)| ((*key).to_owned(), *lines)).collect();
        assert_eq!(compared(&map(before), &map(now)).len(), findings, "{before:?} → {now:?}");
    }

    #[test]
    fn ratchets_only_go_down() {
        check(&[("a", 90)], &[("a", 90)], 0);
        check(&[("a", 90)], &[("a", 80)], 0);
        check(&[("a", 90)], &[], 0);
        check(&[("a", 90)], &[("moved", 85)], 0);
        check(&[("a", 90)], &[("a", 91)], 2);
        check(&[("a", 90), ("b", 100)], &[("a", 91), ("b", 80)], 1);
        check(&[("a", 90)], &[("a", 90), ("b", 71)], 1);
    }
}
