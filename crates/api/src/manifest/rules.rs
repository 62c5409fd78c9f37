//! What the parts of a file must have to do with each other.

use std::collections::{BTreeMap, BTreeSet};

use base::{Problem, SettingName};

use super::node::{At, Entry, Fault, Node, Value};
use super::reference::{Reference, missing_reference, references};
use super::types::{Kind, Manifest, Need, Recipe};

pub(super) fn check(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    kinds(manifest, root)?;
    processes(manifest, root)?;
    needs(manifest, root)?;
    routes(manifest, root)?;
    settings(manifest, root)
}

/// What makes no sense for a kind.
fn kinds(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    let never: &[(&[&str], &str)] = match manifest.kind {
        Some(Kind::Site) => &[
            (
                &["run", "command"],
                "a site has no program: the platform serves its files. Remove it, or write `kind: web`",
            ),
            (&["run", "release"], "a site has no program. Remove it, or write `kind: web`"),
            (&["processes"], "a site has no programs. Remove it, or write `kind: web`"),
        ],
        Some(Kind::Worker) => &[
            (&["run", "health"], "a worker listens to nobody. Remove it, or write `kind: web`"),
            (&["routes"], "a worker gets no traffic. Remove it, or write `kind: web`"),
            (&["processes", "web"], "the process `web` gets traffic. Give it another name, or write `kind: web`"),
        ],
        Some(Kind::Web) | None => &[],
    };
    for (path, why) in never {
        let kind = manifest.kind.map_or("", Kind::as_str);
        if let Some(at) = place(root, path) {
            return Err(conflict(at, format!("`{}` does not go with `kind: {kind}`", path.join(".")), why));
        }
    }
    let has_command =
        manifest.run.command.is_some() || manifest.processes.values().any(|process| process.command.is_some());
    match (manifest.build.recipe, manifest.kind) {
        (Some(Recipe::Command), _) if !has_command => Err(conflict(
            place(root, &["build", "recipe"]).unwrap_or(root.at),
            "`build.recipe: command` needs a command".to_owned(),
            "add `run: { command: [\"./program\", \"argument\"] }`",
        )),
        (Some(Recipe::Site), Some(kind @ (Kind::Web | Kind::Worker))) if !has_command => Err(conflict(
            place(root, &["build", "recipe"]).unwrap_or(root.at),
            format!("`build.recipe: site` does not go with `kind: {kind}`"),
            "write `kind: site`, or name the recipe of the program",
        )),
        _ => Ok(()),
    }
}

fn processes(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    for (name, process) in &manifest.processes {
        let at = |key: &[&str]| place(root, &[&["processes", name.as_str()], key].concat()).unwrap_or(root.at);
        let web = name.as_str() == "web";
        if process.health.is_some() && !web {
            return Err(conflict(
                at(&["health"]),
                format!("`processes.{name}.health`: only the process `web` listens to anybody"),
                "remove it: a worker is ready once it runs",
            ));
        }
        for (own, main, key) in [
            (process.command.is_some(), manifest.run.command.is_some(), "command"),
            (process.health.is_some(), manifest.run.health.is_some(), "health"),
        ] {
            if web && own && main {
                let what = format!("`run.{key}` and `processes.web.{key}` say the same thing twice");
                return Err(conflict(at(&[key]), what, "keep one of the two"));
            }
        }
        if web && process.size.instances.is_some_and(|instances| instances.max == 0) {
            return Err(nobody(at(&["size", "instances"])));
        }
    }
    match (manifest.size.instances, manifest.kind) {
        (Some(instances), kind) if instances.max == 0 && kind != Some(Kind::Worker) => {
            Err(nobody(place(root, &["size", "instances"]).unwrap_or(root.at)))
        }
        _ => Ok(()),
    }
}

fn nobody(at: At) -> Fault {
    Fault::new(at, Problem::unprocessable("bad-value", "with 0 instances there is nothing to take the traffic"))
        .hint("write at least 1")
}

fn needs(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    for (name, need) in &manifest.needs {
        let at = || place(root, &["needs", name.as_str()]).unwrap_or(root.at);
        if matches!((need, &manifest.service), (Need::Service(other), Some(service)) if other == service) {
            return Err(conflict(at(), format!("the need `{name}` is the service itself"), "remove it"));
        }
        let variable = SettingName::of_need(name, "URL");
        if manifest.settings.contains_key(&variable) {
            let at = place(root, &["settings", variable.as_str()]).unwrap_or(root.at);
            let what = format!("`settings.{variable}` is also the variable that the need `{name}` gives");
            return Err(conflict(at, what, &format!("remove the setting, or name it differently: `{variable}_2`")));
        }
    }
    // Two names may make one variable: never for the grammar of today, in which `-` is the only sign.
    let variables: BTreeSet<_> = manifest.needs.keys().map(|name| SettingName::of_need(name, "URL")).collect();
    debug_assert_eq!(variables.len(), manifest.needs.len());
    Ok(())
}

fn routes(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    let items = match root.get("routes").map(|list| &list.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    for (route, item) in manifest.routes.iter().zip(items) {
        if !seen.insert(&route.host) {
            return Err(conflict(
                item.at,
                format!("the host `{}` is listed twice", route.host),
                "remove one of the two",
            ));
        }
    }
    Ok(())
}

/// What settings ask for is declared, and no setting asks for itself. Settings of the platform are
/// not known here.
fn settings(manifest: &Manifest, root: &Node) -> Result<(), Fault> {
    let mut asks: BTreeMap<&SettingName, Vec<SettingName>> = BTreeMap::new();
    for (name, value) in &manifest.settings {
        let fault = |problem: Problem| {
            let at = root.get("settings").and_then(|block| block.get(name.as_str())).map_or(root.at, |node| node.at);
            Fault::new(at, Problem { message: format!("`settings.{name}`: {}", problem.message), ..problem })
        };
        for reference in references(value).map_err(fault)? {
            match &reference {
                Reference::Need { need, .. } if !manifest.needs.contains_key(need) => {
                    return Err(fault(missing_reference(&reference, manifest.needs.keys(), [])));
                }
                Reference::Need { .. } => {}
                Reference::Setting(other) => asks.entry(name).or_default().push(other.clone()),
            }
        }
    }
    match cycle(&asks) {
        Some(name) => {
            let at = place(root, &["settings", name.as_str()]).unwrap_or(root.at);
            Err(Fault::new(
                at,
                Problem::unprocessable("setting-cycle", format!("the setting `{name}` asks for itself")),
            )
            .hint(format!("write the value of `{name}` out, or set it on the platform under another name")))
        }
        None => Ok(()),
    }
}

/// A setting that asks for itself over any number of others. What asks for nothing that is left is
/// taken away until nothing changes; what remains is in a cycle or leads to one.
fn cycle(asks: &BTreeMap<&SettingName, Vec<SettingName>>) -> Option<SettingName> {
    let mut left: BTreeSet<&SettingName> = asks.keys().copied().collect();
    loop {
        let open = |name: &&&SettingName| {
            asks.get(**name).is_some_and(|others| others.iter().any(|other| left.contains(other)))
        };
        let next: BTreeSet<&SettingName> = left.iter().filter(open).copied().collect();
        if next.len() == left.len() {
            return left.first().map(|name| (*name).clone());
        }
        left = next;
    }
}

/// Where a key stands, if it is there.
fn place(root: &Node, path: &[&str]) -> Option<At> {
    let (last, blocks) = path.split_last()?;
    let block = blocks.iter().try_fold(root, |node, key| node.get(key))?;
    let entry: &Entry = block.entries().iter().find(|entry| entry.key == *last)?;
    (!matches!(entry.value.value, Value::Empty)).then_some(entry.at)
}

fn conflict(at: At, what: String, hint: &str) -> Fault {
    Fault::new(at, Problem::unprocessable("conflicting-keys", what)).hint(hint)
}
