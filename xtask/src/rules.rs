//! The shape of `xtask/rules.toml`, the data behind the rules.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Everything that is a number, name or list in the rules.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// Names for sets of crates; `@name` stands for the set elsewhere.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Who may use whom; a key or an entry is a crate or a group.
    pub arrows: BTreeMap<String, Vec<String>>,
    /// As `arrows`, for what only tests use, besides what `arrows` allows.
    pub test_arrows: BTreeMap<String, Vec<String>>,
    /// Features that exist for tests only: crate = list.
    pub test_features: BTreeMap<String, Vec<String>>,
    /// Most lines of Rust in a crate's `src`.
    pub crate_lines: BTreeMap<String, usize>,
    /// Numbers that hold everywhere.
    pub limits: Limits,
    /// Packages of which the lock file may hold one version only, with the reason.
    pub one_version: BTreeMap<String, String>,
    /// Dependencies that no source names and that are wanted all the same: `crate/dependency` = reason.
    pub unnamed_dependencies: BTreeMap<String, String>,
    /// Files and folders that may hold `unsafe` = reason.
    pub unsafe_code: BTreeMap<String, String>,
    /// Files and folders that may start programs = reason.
    pub commands: BTreeMap<String, String>,
    /// Files and folders of the control plane that may change something without a port = reason.
    pub effects: BTreeMap<String, String>,
    /// Files and folders that may open connections to other places = reason.
    pub egress: BTreeMap<String, String>,
    /// Files and folders outside a `state` room that may hold SQL = reason.
    pub sql: BTreeMap<String, String>,
    /// Crates whose production code must not be able to panic, and the lints that see to it.
    pub strict: Strict,
    /// The rooms of a capability.
    pub rooms: Rooms,
    /// Paths (files or folders) that a text rule leaves alone: `rule` = list.
    pub left_alone: BTreeMap<String, Vec<String>>,
}

/// Numbers that hold everywhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Most lines of a Rust file.
    pub file_lines: usize,
    /// Most lines of a function that is not in `xtask/ratchets.toml`.
    pub function_lines: usize,
    /// Most packages in the lock file.
    pub locked_packages: usize,
}

/// Crates whose production code must not be able to panic.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Strict {
    /// Their names.
    pub crates: Vec<String>,
    /// Lints their root must deny.
    pub lints: Vec<String>,
}

/// The rooms of a capability.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rooms {
    /// What may stand directly in `src`, without `.rs`.
    pub names: BTreeSet<String>,
    /// Rooms that one capability has besides: `capability/room` = reason.
    pub more: BTreeMap<String, String>,
    /// Words that must not occur in the code of a room.
    pub forbidden: BTreeMap<String, Vec<String>>,
    /// Files that may break a room's rule for now = reason.
    pub exceptions: BTreeMap<String, String>,
}

impl Rules {
    /// The crates that `table` allows `name` to use, or `None` when the table does not know it.
    pub fn allowed(&self, table: &BTreeMap<String, Vec<String>>, name: &str) -> Option<BTreeSet<String>> {
        let mut known = false;
        let mut allowed = BTreeSet::new();
        for (key, list) in table {
            if !self.expand(key).contains(name) {
                continue;
            }
            known = true;
            allowed.extend(list.iter().flat_map(|entry| self.expand(entry)));
        }
        known.then_some(allowed)
    }

    /// The members of a group, or the one crate.
    fn expand(&self, entry: &str) -> BTreeSet<String> {
        match entry.strip_prefix('@').and_then(|group| self.groups.get(group)) {
            Some(members) => members.iter().cloned().collect(),
            None => BTreeSet::from([entry.to_owned()]),
        }
    }
}

/// Whether `path` is one of the files, or lies in one of the folders.
pub fn covers<'a>(entries: impl IntoIterator<Item = &'a String>, path: &str) -> bool {
    entries.into_iter().any(|entry| {
        path.strip_prefix(entry.as_str())
            .is_some_and(|rest| rest.is_empty() || entry.ends_with('/') || rest.starts_with('/'))
    })
}
