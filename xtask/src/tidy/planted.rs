//! Every rule against a violation planted in an otherwise tidy tree: a rule that catches nothing
//! protects nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{RULES, check as check_all};
use crate::rules::Rules;
use crate::tree::Tree;

/// A plant: the files that differ from the tidy tree, and the path of the one finding expected.
struct Plant {
    rule: &'static str,
    files: Vec<(&'static str, String)>,
    at: &'static str,
}

const MANIFEST: &str = "[package]\nname = \"NAME\"\nversion.workspace = true\nedition.workspace = true\n\
    rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n";
const README: &str = "# A crate\n\nWhat it is for.\nHow it fails.\n";
const RECORD: &str =
    "# 0001: A choice\n\nStatus: accepted\nDate: 2026-01-31\n\n## Context\n\n## Decision\n\n## Consequences\n";
const STRICT: &str = "//! Docs.\n#![cfg_attr(\n    not(test),\n    deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, \
    clippy::arithmetic_side_effects)\n)]\n";

#[test]
fn the_tidy_tree_is_tidy() {
    let found = check_all(&tree(&[]), |_| true);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_rule_catches_what_was_planted() {
    let plants = plants();
    let planted: BTreeSet<_> = plants.iter().map(|plant| plant.rule).collect();
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(planted, rules, "each rule has a plant, and each plant a rule");
    plants.into_iter().for_each(check);
}

fn check(plant: Plant) {
    let found = check_all(&tree(&plant.files), |_| true);
    let seen: Vec<_> = found.iter().map(|(rule, finding)| (*rule, finding.path.as_str())).collect();
    assert_eq!(seen, [(plant.rule, plant.at)], "{found:#?}");
}

/// The text of a file that is not there.
const GONE: &str = "gone\n";

/// A small workspace that breaks no rule, with `files` laid over it. The rules are the real ones.
fn tree(files: &[(&'static str, String)]) -> Tree {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |path: &str, text: &str| drop(texts.insert(path.to_owned(), text.to_owned()));
    put("xtask/rules.toml", include_str!("../../rules.toml"));
    put("Cargo.lock", "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\n");
    put("Cargo.toml", "[workspace]\n");
    put("docs/decisions/0001-a-choice.md", RECORD);
    put("docs/decisions/README.md", "# Decisions\n\n- [0001](0001-a-choice.md)\n");
    put("changelog.d/0001-first.added.md", "It is there.\n\nImpact: all of it.\nMigration: none.\n");
    for name in ["base", "ports", "deliver", "kernel"] {
        put(&format!("crates/{name}/Cargo.toml"), &MANIFEST.replace("NAME", name));
        put(&format!("crates/{name}/README.md"), README);
        put(&format!("crates/{name}/src/lib.rs"), if name == "kernel" { STRICT } else { "//! Docs.\n" });
    }
    put("crates/deliver/src/state/mod.rs", "pub const ALL: &str = \"SELECT id FROM rollouts\";\n");
    put("crates/deliver/src/decide/mod.rs", "#[cfg(test)]\nmod tests {\n    async fn a() {}\n}\n");
    files.iter().for_each(|(path, text)| put(path, text));
    let rules: Rules = toml::from_str(include_str!("../../rules.toml")).expect("the rules can be read");
    let excepted =
        [&rules.commands, &rules.egress, &rules.unsafe_code, &rules.effects, &rules.sql, &rules.rooms.exceptions];
    let excepted = excepted.into_iter().flat_map(BTreeMap::keys).chain(rules.left_alone.values().flatten());
    let mut paths: BTreeSet<String> = texts.keys().cloned().chain(excepted.cloned()).collect();
    paths.retain(|path| !files.iter().any(|(other, text)| other == path && text == GONE));
    Tree::new(paths, texts).expect("the rules of the project can be read")
}

fn manifest(name: &str, more: &str) -> String {
    MANIFEST.replace("NAME", name) + more
}

fn plants() -> Vec<Plant> {
    let mut plants = Vec::new();
    let mut plant = |rule, at, files: &[(&'static str, String)]| plants.push(Plant { rule, at, files: files.to_vec() });
    manifests_and_packages(&mut plant);
    sizes_and_code(&mut plant);
    papers(&mut plant);
    plants
}

type Plants<'a> = &'a mut dyn FnMut(&'static str, &'static str, &[(&'static str, String)]);

fn manifests_and_packages(plant: Plants) {
    const DELIVER: &str = "crates/deliver/Cargo.toml";
    let uses = |name: &str| ("crates/deliver/src/lib.rs", format!("//! Docs.\nuse {name}::X;\n"));
    let run = [("crates/run/Cargo.toml", manifest("run", "")), ("crates/run/README.md", README.to_owned())];
    let run = [run.to_vec(), vec![("crates/run/src/lib.rs", "//! Docs.\n".to_owned())]].concat();
    let sideways = manifest("deliver", "\n[dependencies]\nrun.workspace = true\n");
    plant("arrows", DELIVER, &[run.clone(), vec![(DELIVER, sideways), uses("run")]].concat());
    let sideways = manifest("deliver", "\n[dev-dependencies]\nrun.workspace = true\n");
    plant("arrows", DELIVER, &[run, vec![(DELIVER, sideways), uses("run")]].concat());
    let up = manifest("base", "\n[dependencies]\nkernel.workspace = true\n");
    plant(
        "arrows",
        "crates/base/Cargo.toml",
        &[("crates/base/Cargo.toml", up), ("crates/base/src/a.rs", "use kernel::X;\n".into())],
    );
    let stranger = [
        ("crates/magic/Cargo.toml", manifest("magic", "")),
        ("crates/magic/README.md", README.to_owned()),
        ("crates/magic/src/lib.rs", "//! Docs.\n".to_owned()),
    ];
    plant("arrows", "crates/magic/Cargo.toml", &stranger);
    let world = [
        ("crates/orlop/Cargo.toml", manifest("orlop", "\n[dependencies]\nsim.workspace = true\n")),
        ("crates/orlop/README.md", README.to_owned()),
        ("crates/orlop/src/main.rs", "//! Docs.\nuse sim::X;\n".to_owned()),
        ("crates/sim/Cargo.toml", manifest("sim", "")),
        ("crates/sim/README.md", README.to_owned()),
        ("crates/sim/src/lib.rs", "//! Docs.\n".to_owned()),
    ];
    plant("arrows", "crates/orlop/Cargo.toml", &world);
    let own = manifest("deliver", "\n[dependencies]\nserde = \"1\"\n");
    plant("manifests", DELIVER, &[(DELIVER, own), uses("serde")]);
    plant("manifests", DELIVER, &[(DELIVER, manifest("deliver", "").replace("\n[lints]\nworkspace = true\n", ""))]);
    let shipped = manifest("deliver", "\n[dependencies]\nports = { workspace = true, features = [\"conformance\"] }\n");
    plant("test-features", DELIVER, &[(DELIVER, shipped), uses("ports")]);
    plant(
        "unused-dependencies",
        DELIVER,
        &[(DELIVER, manifest("deliver", "\n[dependencies]\nbase.workspace = true\n"))],
    );
    let tests = "//! Docs.\n#[cfg(test)]\nmod tests {\n    use base::X;\n}\n".to_owned();
    let late = manifest("deliver", "\n[dependencies]\nbase.workspace = true\n");
    plant("unused-dependencies", DELIVER, &[(DELIVER, late), ("crates/deliver/src/lib.rs", tests)]);
    let shared = "[workspace.dependencies]\nports = { path = \"crates/ports\", features = [\"conformance\"] }\n";
    plant("test-features", "Cargo.toml", &[("Cargo.toml", shared.to_owned())]);
    let always = manifest("ports", "\n[features]\ndefault = [\"conformance\"]\nconformance = []\n");
    plant("test-features", "crates/ports/Cargo.toml", &[("crates/ports/Cargo.toml", always)]);
    let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    plant("locked", "Cargo.lock", &[("Cargo.lock", package("tokio", "1.0.0") + &package("tokio", "2.0.0"))]);
    plant("locked", "Cargo.lock", &[("Cargo.lock", (0..501).map(|n| package(&format!("p{n}"), "1.0.0")).collect())]);
    plant(
        "locked",
        "Cargo.lock",
        &[("Cargo.lock", package("serde", "1.0.0") + "source = \"git+https://example.com\"\n")],
    );
}

fn sizes_and_code(plant: Plants) {
    const SOURCE: &str = "crates/deliver/src/work/act.rs";
    let lines = |count: usize| "// A line.\n".repeat(count);
    plant("file-lines", SOURCE, &[(SOURCE, lines(601))]);
    let floor = ["a", "b", "c", "d", "e", "f"].map(|name| match name {
        "a" => ("crates/base/src/a.rs", lines(600)),
        "b" => ("crates/base/src/b.rs", lines(600)),
        "c" => ("crates/base/src/c.rs", lines(600)),
        "d" => ("crates/base/src/d.rs", lines(600)),
        "e" => ("crates/base/src/e.rs", lines(600)),
        _ => ("crates/base/src/f.rs", lines(1)),
    });
    plant("crate-lines", "crates/base/src", &floor);
    let function = |count: usize| format!("fn long() {{\n{}}}\n", "    x();\n".repeat(count - 2));
    let ratchet = |lines: usize| ("xtask/ratchets.toml", format!("[function-lines]\n\"{SOURCE}::long\" = {lines}\n"));
    plant("function-lines", SOURCE, &[(SOURCE, function(71))]);
    plant("function-lines", SOURCE, &[(SOURCE, function(81)), ratchet(80)]);
    plant("function-lines", "xtask/ratchets.toml", &[(SOURCE, function(79)), ratchet(80)]);
    plant("rooms", "crates/deliver/src/helpers.rs", &[("crates/deliver/src/helpers.rs", lines(1))]);
    plant(
        "rooms",
        "crates/deliver/src/decide/next.rs",
        &[("crates/deliver/src/decide/next.rs", "async fn a() {}\n".into())],
    );
    plant(
        "rooms",
        "crates/deliver/src/decide/next.rs",
        &[("crates/deliver/src/decide/next.rs", "use store::Tx;\n".into())],
    );
    plant(
        "rooms",
        "crates/deliver/src/http/stop.rs",
        &[("crates/deliver/src/http/stop.rs", "use ports::Engine;\n".into())],
    );
    plant("sql", SOURCE, &[(SOURCE, "const A: &str = \"DELETE FROM rollouts\";\n".into())]);
    plant("unsafe", SOURCE, &[(SOURCE, "// SAFETY: no.\nfn a() { unsafe { b() } }\n".into())]);
    let bare = [
        ("crates/process/Cargo.toml", manifest("process", "")),
        ("crates/process/README.md", README.to_owned()),
        ("crates/process/src/lib.rs", "//! Docs.\nfn a() { unsafe { b() } }\n".to_owned()),
    ];
    plant("unsafe", "crates/process/src/lib.rs", &bare);
    plant("commands", SOURCE, &[(SOURCE, "fn a() { std::process::Command::new(\"ls\"); }\n".into())]);
    plant("commands", "xtask/src/command.rs", &[("xtask/src/command.rs", "fn a() { Command::new(\"sh\"); }\n".into())]);
    plant("effects", SOURCE, &[(SOURCE, "fn a() { std::fs::rename(x, y); }\n".into())]);
    plant("effects", SOURCE, &[(SOURCE, "async fn a() {\n    self.quiet.stop(id, generation).await;\n}\n".into())]);
    plant("effects", SOURCE, &[(SOURCE, "async fn a() {\n    hidden\n        .commit().await;\n}\n".into())]);
    plant("egress", SOURCE, &[(SOURCE, "async fn a() { reqwest::get(url).await; }\n".into())]);
    plant("egress", SOURCE, &[(SOURCE, "fn a() { std::net::TcpStream::connect(host); }\n".into())]);
    plant("exceptions", "xtask/rules.toml", &[("xtask/src/command.rs", GONE.to_owned())]);
    let lax = STRICT.replace("clippy::panic, ", "");
    plant("strict-lints", "crates/kernel/src/lib.rs", &[("crates/kernel/src/lib.rs", lax)]);
    plant("unfinished", SOURCE, &[(SOURCE, format!("// {}: later\n", concat!("TO", "DO")))]);
    plant("unfinished", SOURCE, &[(SOURCE, "fn a() { dbg!(1); }\n".into())]);
    plant(
        "unfinished",
        "crates/base/README.md",
        &[("crates/base/README.md", format!("{README}{}: b\n", concat!("FIX", "ME")))],
    );
}

fn papers(plant: Plants) {
    const RECORD_PATH: &str = "docs/decisions/0001-a-choice.md";
    const FRAGMENT: &str = "changelog.d/0001-first.added.md";
    plant("crate-papers", "crates/base/README.md", &[("crates/base/README.md", "# Base\n".into())]);
    plant("crate-papers", "crates/base/src/lib.rs", &[("crates/base/src/lib.rs", "pub fn a() {}\n".into())]);
    plant("decisions", RECORD_PATH, &[(RECORD_PATH, RECORD.replace("## Context\n\n", ""))]);
    plant("decisions", RECORD_PATH, &[(RECORD_PATH, RECORD.replace("2026-01-31", "soon"))]);
    plant("decisions", RECORD_PATH, &[("docs/decisions/README.md", "# Decisions\n".into())]);
    let list = "- [1](0001-a-choice.md)\n- [3](0003-more.md)\n".to_owned();
    let third = RECORD.replace("0001", "0003");
    plant(
        "decisions",
        "docs/decisions/",
        &[("docs/decisions/README.md", list), ("docs/decisions/0003-more.md", third)],
    );
    plant("changelog", FRAGMENT, &[(FRAGMENT, "It is there.\n\nImpact: all of it.\n".into())]);
    plant(
        "changelog",
        "changelog.d/note.md",
        &[("changelog.d/note.md", "A.\nImpact: none.\nMigration: none.\n".into())],
    );
    plant("links", "README.md", &[("README.md", "# A\n[b](docs/nothing.md)\n".into())]);
    plant("links", "README.md", &[("README.md", "# A\n[b](#c)\n".into())]);
    plant("machine-paths", "README.md", &[("README.md", format!("# A\ncd /{}/main\n", "work"))]);
    plant("machine-paths", "README.md", &[("README.md", format!("# A\nuse {}.org\n", "pypi"))]);
    plant("whitespace", "README.md", &[("README.md", "# A \n".into())]);
    plant("whitespace", "README.md", &[("README.md", "# A\n\tb\n".into())]);
    plant("whitespace", "README.md", &[("README.md", "# A".into())]);
    plant("whitespace", "README.md", &[("README.md", "# A\r\n".into())]);
}
