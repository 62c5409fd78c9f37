//! Node: anything with a `package.json`.

mod package;
mod site;
mod start;

use std::collections::BTreeMap;

use base::Result;

use super::{Cache, Language, Output, RecipeName, SOURCE_DATE_EPOCH, Step, Told, Tree, shown};
use package::{Manager, Package};
pub(super) use site::site;

pub(super) fn fits(tree: &Tree) -> bool {
    tree.has("package.json")
}

pub(super) fn language(tree: &Tree, told: &Told) -> Result<Language> {
    let package = Package::read(tree)?;
    if !told.anything() && package.serves_nothing(tree) && package.scripts.contains_key("build") {
        return Ok(site::built(tree, &package));
    }
    let started = start::start(tree, &package);
    let mut language = base(tree, &package);
    match started {
        Ok(started) => {
            if !told.anything() {
                language.evidence.push(started.evidence);
                language.runtime_tools.extend(started.by_manager.then(|| package.manager.program()));
            }
            language.start = Ok(started.start);
        }
        Err(why) => language.start = Err(why),
    }
    Ok(language)
}

/// How dependencies and the build are done, whatever runs afterwards.
fn base(tree: &Tree, package: &Package) -> Language {
    let mut env = super::env([("NODE_ENV", "${NODE_ENV:-production}")]);
    if package.has_dependencies() {
        env.insert("PATH".to_owned(), "/app/node_modules/.bin:${PATH}".to_owned());
    }
    let mut tools = vec!["node"];
    let steps = steps(package);
    if steps.iter().any(|step| step.command.first().is_some_and(|program| program == package.manager.program())) {
        tools.push(package.manager.program());
    }
    Language {
        recipe: RecipeName::Node,
        evidence: evidence(tree, package),
        caches: if steps.is_empty() { Vec::new() } else { vec![Cache::new(package.manager.program())] },
        steps,
        tools,
        runtime_tools: vec!["node"],
        output: Output::Folder {
            from: String::new(),
            leave_out: [".git", ".orlop", "node_modules/.cache", ".next/cache", ".yarn/cache"]
                .map(str::to_owned)
                .to_vec(),
        },
        env,
        start: Err(start::nothing()),
        programs: Vec::new(),
    }
}

fn evidence(tree: &Tree, package: &Package) -> Vec<String> {
    let mut evidence = vec![match &package.name {
        Some(name) => format!("found package.json of `{}`", shown(name)),
        None => "found package.json".to_owned(),
    }];
    match package.manager.lock() {
        Some(lock) if package.locked => {
            evidence.push(format!("found {lock}: `{}` installs from it", package.manager.program()))
        }
        _ if package.has_dependencies() => evidence.push(format!(
            "no lock file: versions of dependencies may differ from build to build; commit {}",
            package.manager.lock().unwrap_or("package-lock.json")
        )),
        _ => evidence.push("no dependencies: nothing is installed".to_owned()),
    }
    let asked = package.node.as_deref().map(|version| ("engines.node", version));
    let file = |name: &'static str| tree.clue(name).map(|text| (name, text.trim()));
    if let Some((place, version)) = asked.or_else(|| file(".node-version")).or_else(|| file(".nvmrc")) {
        evidence.push(format!("{place} asks for Node {}: the host's node is used, whichever that is", shown(version)));
    }
    evidence
}

fn steps(package: &Package) -> Vec<Step> {
    let builds = package.scripts.contains_key("build");
    let mut env = super::env([SOURCE_DATE_EPOCH, ("NO_COLOR", "1"), ("NEXT_TELEMETRY_DISABLED", "1")]);
    env.extend(package.manager.env());
    let mut steps = Vec::new();
    if package.has_dependencies() {
        let command = package.manager.install(package.locked, builds);
        steps.push(Step::new("install dependencies", command, &env));
    }
    if builds {
        let mut env: BTreeMap<String, String> = env.clone();
        env.insert("NODE_ENV".to_owned(), "production".to_owned());
        steps.push(Step::new("build", [package.manager.program(), "run", "build"], &env));
        if let Some(command) = package.manager.prune().filter(|_| package.has_dev_dependencies) {
            steps.push(Step::new("remove what only the build needed", command, &env));
        }
    }
    steps
}

impl Manager {
    /// Settings by environment: nothing is asked, nothing is sent home, the cache is the build's own.
    fn env(self) -> BTreeMap<String, String> {
        match self {
            Self::Npm => super::env([
                ("npm_config_cache", "/cache/npm"),
                ("npm_config_audit", "false"),
                ("npm_config_fund", "false"),
                ("npm_config_update_notifier", "false"),
            ]),
            Self::Yarn => super::env([("YARN_CACHE_FOLDER", "/cache/yarn")]),
            Self::YarnBerry => super::env([
                ("YARN_CACHE_FOLDER", "/cache/yarn"),
                ("YARN_ENABLE_GLOBAL_CACHE", "false"),
                ("YARN_ENABLE_TELEMETRY", "0"),
                ("YARN_NODE_LINKER", "node-modules"),
            ]),
            Self::Pnpm => super::env([("npm_config_store_dir", "/cache/pnpm"), ("CI", "true")]),
        }
    }

    /// `builds`: the build may need development dependencies; otherwise they are not installed.
    fn install(self, locked: bool, builds: bool) -> Vec<&'static str> {
        let words = match (self, locked) {
            (Self::Npm, true) => "npm ci",
            (Self::Npm, false) => "npm install --no-package-lock",
            (Self::Yarn, true) => "yarn install --non-interactive --frozen-lockfile",
            (Self::Yarn, false) => "yarn install --non-interactive --no-lockfile",
            (Self::YarnBerry, true) => return vec!["yarn", "install", "--immutable"],
            (Self::YarnBerry, false) => return vec!["yarn", "install"],
            (Self::Pnpm, true) => "pnpm install --frozen-lockfile",
            (Self::Pnpm, false) => "pnpm install --no-lockfile",
        };
        let which = match (self, builds) {
            (Self::Npm, true) => "--include=dev",
            (Self::Npm, false) => "--omit=dev",
            (Self::Yarn, true) => "--production=false",
            (Self::Yarn, false) => "--production=true",
            (_, true) => "--prod=false",
            (_, false) => "--prod",
        };
        words.split(' ').chain([which]).collect()
    }

    fn prune(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Npm => Some(vec!["npm", "prune", "--omit=dev"]),
            Self::Yarn => Some(
                "yarn install --non-interactive --production=true --ignore-scripts --prefer-offline"
                    .split(' ')
                    .collect(),
            ),
            Self::Pnpm => Some(vec!["pnpm", "prune", "--prod"]),
            // Needs a plugin that not every version has.
            Self::YarnBerry => None,
        }
    }
}
