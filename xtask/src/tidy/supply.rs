//! What is really compiled (features considered, as the lock file does not) against `deny.toml`:
//! bans and licences hold also where cargo-deny is not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::Finding;
use crate::command;
use crate::tree::Tree;

/// What the rule is called; it is not among the others because it asks cargo.
pub const NAME: &str = "supply";

/// Why it is there.
pub const WHY: &str = "what is compiled is neither banned nor under a licence that deny.toml does not name";

#[derive(Deserialize)]
struct Deny {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

/// Asks cargo what it compiles on this platform and checks each package.
///
/// # Errors
/// When `deny.toml` or what cargo says cannot be read.
pub fn supply(root: &Path, tree: &Tree) -> Result<Vec<Finding>, String> {
    let text = tree.texts.get("deny.toml").ok_or("deny.toml is missing")?;
    let deny: Deny = toml::from_str(text).map_err(|why| format!("deny.toml: {why}"))?;
    let args = ["tree", "--workspace", "--locked", "--edges=all", "--prefix=none", "--format={p}|{l}"];
    let packages = command::output(root, &command::cargo(), &args)
        .ok_or("`cargo tree --locked` failed: is Cargo.lock up to date? `cargo check` brings it there")?;
    Ok(judge(&packages, &deny))
}

/// Judges lines like `name v1.2.3 (proc-macro)|MIT OR Apache-2.0`; our own packages have a path.
fn judge(packages: &str, deny: &Deny) -> Vec<Finding> {
    let mut found = Vec::new();
    let bans: BTreeMap<&str, &str> =
        deny.bans.deny.iter().map(|ban| (ban.name.as_str(), ban.reason.as_str())).collect();
    let lines: BTreeSet<&str> = packages.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    for (package, licence) in lines.iter().filter_map(|line| line.split_once('|')) {
        let name = package.split_whitespace().next().unwrap_or_default();
        if package.contains("(/") || package.contains(":\\") {
            continue;
        }
        if let Some(reason) = bans.get(name) {
            let fix = format!("`cargo tree --edges all --invert {name}` shows who brings it");
            found.push(Finding::new("deny.toml", None, format!("`{name}` is banned: {reason}"), fix));
        }
        let extra = deny.licenses.exceptions.iter().filter(|exception| exception.name == name);
        let mut allowed = deny.licenses.allow.clone();
        allowed.extend(extra.flat_map(|exception| exception.allow.iter().cloned()));
        if !satisfied(licence, &allowed) {
            let fix = "do without the package; a licence is added to deny.toml only with a decision record";
            found.push(Finding::new("deny.toml", None, format!("`{package}` has the licence `{licence}`"), fix));
        }
    }
    found
}

/// Whether an SPDX expression can be met by allowed licences. `A/B` is the old way to write `A OR B`.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !words.is_empty() && any(&words, &mut at, allowed) && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at, allowed);
        *at += usize::from(words.get(*at) == Some(&")"));
        return met;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        name = format!("{name} WITH {exception}");
        *at += 2;
        // An exception only gives more rights, so the bare licence is enough.
        return allowed.contains(&name) || allowed.contains(*word);
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expect: bool) {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
        assert_eq!(satisfied(expression, &allowed), expect, "{expression}");
    }

    #[test]
    fn expressions_are_understood() {
        check("MIT", true);
        check("MIT OR GPL-3.0", true);
        check("GPL-3.0 OR MIT", true);
        check("MIT AND GPL-3.0", false);
        check("(MIT OR GPL-3.0) AND Unicode-3.0", true);
        check("(MIT AND GPL-3.0) OR LGPL-2.1", false);
        check("MIT/Apache-2.0", true);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("", false);
        check("MIT GPL-3.0", false);
    }

    #[test]
    fn planted_licences_and_bans_are_caught_and_an_exception_holds_for_its_crate_only() {
        let deny = Deny {
            licenses: Licences {
                allow: ["MIT".to_owned()].into(),
                exceptions: vec![Exception { name: "soft".to_owned(), allow: ["MPL-2.0".to_owned()].into() }],
            },
            bans: Bans { deny: vec![Ban { name: "ring".to_owned(), reason: "why".to_owned() }] },
        };
        let packages = "good v1.0.0|MIT\ngood v1.0.0|MIT (*)\nsoft v1.0.0|MPL-2.0\nhard v1.0.0|MPL-2.0\n\n\
                        ours v0.1.0 (/home/me/ours)|none\nring v0.17.0|MIT\nstring v1.0.0|MIT";
        let found = judge(packages, &deny);
        let what: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what, ["`hard v1.0.0` has the licence `MPL-2.0`", "`ring` is banned: why"]);
    }
}
