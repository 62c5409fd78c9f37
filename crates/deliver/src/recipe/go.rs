//! Go modules.

use std::collections::BTreeMap;

use base::Result;

use super::{
    Cache, Language, Output, Placed, RecipeName, SOURCE_DATE_EPOCH, Start, Step, Told, Tree, listed, problem, shown,
};

pub(super) fn fits(tree: &Tree) -> bool {
    tree.has("go.mod")
}

/// Folders that a program may read while it runs.
const FOLDERS: &[&str] =
    &["assets", "config", "content", "locales", "migrations", "public", "static", "templates", "views", "web"];
/// Most commands of a module.
const PROGRAMS_MAX: usize = 50;

pub(super) fn language(tree: &Tree, told: &Told) -> Result<Language> {
    let module = module(tree)?;
    let all = programs(tree, &module);
    if all.is_empty() {
        return Err(problem("no-go-program", "found go.mod, but no program: neither main.go nor cmd/NAME/main.go")
            .at("go.mod")
            .hint("put `package main` into main.go or cmd/NAME/main.go"));
    }
    let named: Vec<_> =
        all.iter().filter(|(name, _)| told.words().any(|w| w.rsplit('/').next() == Some(name))).collect();
    let like_module = all.iter().find(|(name, _)| *name == module);
    let built: Vec<&(String, String)> = match (all.as_slice(), like_module) {
        (_, _) if told.anything() => {
            if named.is_empty() {
                all.iter().collect()
            } else {
                named
            }
        }
        ([one], _) | (_, Some(one)) => vec![one],
        _ => return Err(several(&all)),
    };
    let first = built.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let mut copies: Vec<Placed> =
        built.iter().map(|(name, _)| Placed { from: format!(".orlop/out/{name}"), to: name.clone() }).collect();
    let folders = FOLDERS.iter().filter(|folder| tree.has_folder(folder));
    copies.extend(folders.map(|folder| Placed { from: (*folder).to_owned(), to: (*folder).to_owned() }));
    Ok(Language {
        recipe: RecipeName::Go,
        evidence: vec![format!("found go.mod with {}", listed(built.iter().map(|(name, _)| name)))],
        steps: built.iter().map(|(name, package)| step(tree, name, package)).collect(),
        caches: vec![Cache::new("go-build"), Cache::new("go-mod")],
        tools: vec!["go"],
        runtime_tools: Vec::new(),
        output: Output::Copies { copies },
        env: BTreeMap::new(),
        start: Ok(Start::Command(vec![format!("./{first}")], BTreeMap::new())),
        programs: built.into_iter().map(|(name, _)| name.clone()).collect(),
    })
}

fn step(tree: &Tree, name: &str, package: &str) -> Step {
    let vendored = tree.has("vendor/modules.txt");
    let env = super::env([
        ("GOCACHE", "/cache/go-build"),
        ("GOMODCACHE", "/cache/go-mod"),
        ("GOFLAGS", if vendored { "-mod=vendor" } else { "-mod=readonly" }),
        ("GOTOOLCHAIN", "local"),
        SOURCE_DATE_EPOCH,
    ]);
    let out = format!("/workspace/.orlop/out/{name}");
    let command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", &out, package];
    Step::new(&format!("compile {name}"), command, &env)
}

/// The last segment of the module's path.
fn module(tree: &Tree) -> Result<String> {
    let text = tree.text("go.mod")?.unwrap_or_default();
    let path = text.lines().find_map(|line| line.trim().strip_prefix("module ")).map(|p| p.trim().trim_matches('"'));
    // A major version is no name: example.com/shop/v2 (Go modules reference, *Major version suffixes*).
    let version = |s: &str| s.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    path.and_then(|path| path.rsplit('/').find(|segment| !version(segment)))
        .filter(|name| is_plain(name))
        .map(str::to_owned)
        .ok_or_else(|| {
            problem(
                "bad-go-mod",
                format!("go.mod names no module that could be a program: `{}`", shown(path.unwrap_or_default())),
            )
            .at("go.mod")
            .hint("the first line should be like `module example.com/shop`")
        })
}

/// Programs and the packages they are built from.
fn programs(tree: &Tree, module: &str) -> Vec<(String, String)> {
    let root = tree.has("main.go").then(|| (module.to_owned(), ".".to_owned()));
    let commands = tree.beneath("cmd").filter_map(|path| path.strip_suffix("/main.go")).filter(|name| is_plain(name));
    root.into_iter().chain(commands.map(|name| (name.to_owned(), format!("./cmd/{name}")))).take(PROGRAMS_MAX).collect()
}

fn several(all: &[(String, String)]) -> base::Problem {
    let names = || all.iter().map(|(name, _)| name);
    let first = names().next().map(String::as_str).unwrap_or_default();
    problem(
        "several-binaries",
        format!("found {} programs and cannot tell which one serves: {}", all.len(), listed(names())),
    )
    .at("go.mod")
    .hint(format!("add a file `Procfile` with the line `web: ./{first}` (one line for each process you want)"))
}

fn is_plain(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
