//! Cargo packages and workspaces.

mod binaries;

use std::collections::BTreeMap;

use base::Result;
use toml::Table;

use super::{
    Cache, Language, Output, Placed, RecipeName, SOURCE_DATE_EPOCH, Start, Step, Told, Tree, listed, problem, shown,
};
use binaries::{Binary, choose};

pub(super) fn fits(tree: &Tree) -> bool {
    tree.has("Cargo.toml")
}

/// Folders that a program may read while it runs.
const FOLDERS: &[&str] =
    &["assets", "config", "content", "data", "locales", "migrations", "public", "static", "templates", "views"];
/// Files that a program may read while it runs.
const FILES: &[&str] = &["Rocket.toml", "config.json", "config.toml", "config.yaml", "config.yml", "settings.toml"];
/// Where the finished programs are put, in the workspace.
const OUT: &str = ".orlop/out";

pub(super) fn language(tree: &Tree, told: &Told) -> Result<Language> {
    let binaries = choose(tree, told)?;
    let mut evidence = vec![match &*binaries {
        [one] => format!("found Cargo.toml with binary `{}`", one.name),
        several => format!("found Cargo.toml with binaries {}", listed(several.iter().map(|b| &b.name))),
    }];
    let locked = tree.has("Cargo.lock");
    if !locked {
        evidence.push("no Cargo.lock: versions of dependencies may differ from build to build; commit it".to_owned());
    }
    if tree.has("rust-toolchain.toml") || tree.has("rust-toolchain") {
        evidence.push("found rust-toolchain: the host's cargo decides whether it follows it".to_owned());
    }
    let first = binaries.first().map(|binary| binary.name.clone()).unwrap_or_default();
    Ok(Language {
        recipe: RecipeName::Rust,
        evidence,
        steps: steps(tree, &binaries, locked)?,
        caches: vec![Cache::new("cargo-home"), Cache::new("cargo-target")],
        tools: vec!["cargo", "rustc", "install"],
        runtime_tools: Vec::new(),
        output: output(tree, &binaries, told),
        env: BTreeMap::new(),
        start: Ok(Start::Command(vec![format!("./{first}")], BTreeMap::new())),
        programs: binaries.iter().map(|binary| binary.name.clone()).collect(),
    })
}

fn steps(tree: &Tree, binaries: &[Binary], locked: bool) -> Result<Vec<Step>> {
    let env = super::env([
        ("CARGO_HOME", "/cache/cargo-home"),
        ("CARGO_TARGET_DIR", "/cache/cargo-target"),
        ("CARGO_TERM_COLOR", "never"),
        ("CARGO_INCREMENTAL", "0"),
        SOURCE_DATE_EPOCH,
    ]);
    let mut build: Vec<String> = ["cargo", "build", "--release"].map(str::to_owned).to_vec();
    build.extend(locked.then(|| "--locked".to_owned()));
    let mut packages: Vec<&str> = binaries.iter().map(|binary| binary.package.as_str()).collect();
    packages.dedup();
    build.extend(packages.into_iter().map(|package| format!("--package={package}")));
    build.extend(binaries.iter().map(|binary| format!("--bin={}", binary.name)));
    // Joined with the flags that the source's own configuration sets; the environment variable
    // would replace those.
    build.push("--config".to_owned());
    build.push(
        "build.rustflags=[\"--remap-path-prefix=/workspace=.\",\"--remap-path-prefix=/cache/cargo-home=/cargo\"]"
            .to_owned(),
    );
    let folder = match target(tree)? {
        Some(triple) => format!("/cache/cargo-target/{triple}/release"),
        None => "/cache/cargo-target/release".to_owned(),
    };
    let mut install: Vec<String> =
        ["install", "-D", "-m", "0755", "-t", "/workspace/.orlop/out"].map(str::to_owned).to_vec();
    install.extend(binaries.iter().map(|binary| format!("{folder}/{}", binary.name)));
    Ok(vec![Step::new("compile", build, &env), Step::new("collect programs", install, &BTreeMap::new())])
}

/// The target that the source's own configuration asks for.
fn target(tree: &Tree) -> Result<Option<String>> {
    let Some(table) = table(tree, ".cargo/config.toml")? else { return Ok(None) };
    let target = table.get("build").and_then(|build| build.get("target"));
    match target.map(|target| target.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some(triple) if is_plain(triple) => Ok(Some(triple.to_owned())),
        Some(other) => Err(problem(
            "rust-target-not-supported",
            format!("`build.target` is `{}`, which is not the name of one target", shown(other)),
        )
        .at(".cargo/config.toml")
        .hint("write one target like `target = \"x86_64-unknown-linux-musl\"`, or remove the line")),
    }
}

fn output(tree: &Tree, binaries: &[Binary], told: &Told) -> Output {
    let placed = |from: String, to: String| Placed { from, to };
    let mut copies: Vec<Placed> =
        binaries.iter().map(|b| placed(format!("{OUT}/{}", b.name), b.name.clone())).collect();
    // Commands written for a checkout name the program where cargo puts it.
    for binary in binaries {
        let usual = format!("target/release/{}", binary.name);
        if told.words().any(|word| word.trim_start_matches("./") == usual) {
            copies.push(placed(format!("{OUT}/{}", binary.name), usual));
        }
    }
    let homes = || [""].into_iter().chain(binaries.iter().map(|binary| binary.folder.as_str()));
    let join = |home: &str, name: &str| if home.is_empty() { name.to_owned() } else { format!("{home}/{name}") };
    for folder in FOLDERS {
        let found = homes().map(|home| join(home, folder)).find(|path| tree.has_folder(path));
        copies.extend(found.map(|from| placed(from, (*folder).to_owned())));
    }
    for file in FILES {
        let found = homes().map(|home| join(home, file)).find(|path| tree.has(path));
        copies.extend(found.map(|from| placed(from, (*file).to_owned())));
    }
    Output::Copies { copies }
}

/// A TOML file of the source.
fn table(tree: &Tree, path: &str) -> Result<Option<Table>> {
    let Some(text) = tree.text(path)? else { return Ok(None) };
    text.parse::<Table>().map(Some).map_err(|error| {
        let line = error.span().map_or(1, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
        problem("bad-toml", format!("{path} cannot be read: {}", shown(error.message())))
            .at(format!("{path}:{line}"))
            .hint("`cargo metadata` on your machine shows the same fault")
    })
}

/// Letters, digits, `-`, `_` and `.`, not starting with a `-` or `.`: safe as an argument and as a file name.
fn is_plain(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
