//! What is read from `package.json`.

use std::collections::{BTreeMap, BTreeSet};

use base::Result;
use serde_json::{Map, Value};

use super::super::{Tree, problem, shown};

/// Who installs dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    Npm,
    /// Version 1.
    Yarn,
    /// Version 2 and later.
    YarnBerry,
    Pnpm,
}

impl Manager {
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Yarn | Self::YarnBerry => "yarn",
            Self::Pnpm => "pnpm",
        }
    }

    pub(super) const fn lock(self) -> Option<&'static str> {
        match self {
            Self::Npm => Some("package-lock.json"),
            Self::Yarn | Self::YarnBerry => Some("yarn.lock"),
            Self::Pnpm => Some("pnpm-lock.yaml"),
        }
    }
}

pub(super) struct Package {
    pub(super) name: Option<String>,
    pub(super) scripts: BTreeMap<String, String>,
    pub(super) main: Option<String>,
    /// Names of dependencies of every sort.
    pub(super) dependencies: BTreeSet<String>,
    pub(super) has_dev_dependencies: bool,
    /// `engines.node`.
    pub(super) node: Option<String>,
    pub(super) manager: Manager,
    /// Its manager's lock file is there.
    pub(super) locked: bool,
    workspaces: bool,
}

impl Package {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        let text = tree.text("package.json")?.unwrap_or_default();
        let fault = |what: String| {
            problem("bad-package-json", format!("package.json cannot be read: {what}"))
                .hint("`npm pkg get` on your machine shows the same fault")
        };
        let json: Value = serde_json::from_str(text).map_err(|error| {
            fault(shown(&error.to_string())).at(format!("package.json:{}:{}", error.line(), error.column()))
        })?;
        let json = json.as_object().ok_or_else(|| fault("it is no object".to_owned()).at("package.json:1:1"))?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let keys = |key: &str| json.get(key).and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned();
        let scripts = json.get("scripts").and_then(Value::as_object).into_iter().flatten();
        let (manager, locked) = manager(tree, json.get("packageManager").and_then(Value::as_str));
        Ok(Self {
            name: text(json.get("name")),
            scripts: scripts.filter_map(|(name, line)| Some((name.clone(), line.as_str()?.to_owned()))).collect(),
            main: text(json.get("main")),
            dependencies: keys("dependencies")
                .chain(keys("devDependencies"))
                .chain(keys("optionalDependencies"))
                .collect(),
            has_dev_dependencies: keys("devDependencies").next().is_some(),
            node: text(json.get("engines").and_then(|engines| engines.get("node"))),
            manager,
            locked,
            workspaces: json.contains_key("workspaces") || tree.has("pnpm-workspace.yaml"),
        })
    }

    pub(super) fn has_dependencies(&self) -> bool {
        self.workspaces || !self.dependencies.is_empty()
    }
}

/// By the lock file; without one by the field `packageManager`; else npm.
fn manager(tree: &Tree, field: Option<&str>) -> (Manager, bool) {
    let (name, version) = field.and_then(|field| field.split_once('@')).unwrap_or((field.unwrap_or_default(), ""));
    let yarn = match version.split('.').next() {
        Some("1") => Manager::Yarn,
        Some("") | None if !tree.has(".yarnrc.yml") => Manager::Yarn,
        _ => Manager::YarnBerry,
    };
    let locks = [
        ("pnpm-lock.yaml", Manager::Pnpm),
        ("yarn.lock", yarn),
        ("package-lock.json", Manager::Npm),
        ("npm-shrinkwrap.json", Manager::Npm),
    ];
    let fields = |manager: Manager| manager.program() == name;
    let present = || locks.into_iter().filter(|(lock, _)| tree.has(lock)).map(|(_, manager)| manager);
    if let Some(manager) = present().find(|manager| fields(*manager)).or_else(|| present().next()) {
        return (manager, true);
    }
    ([Manager::Pnpm, yarn].into_iter().find(|manager| fields(*manager)).unwrap_or(Manager::Npm), false)
}
