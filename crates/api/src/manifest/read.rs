//! From a file of the right shape to typed values.

use std::collections::BTreeMap;

use base::limits::{SETTING_BYTES_MAX, SETTINGS_MAX};
use base::{NeedName, Problem, ProcessName, SettingName};

use super::node::{Entry, Fault, Node, Value};
use super::types::{Build, Kind, Manifest, Need, Process, Recipe, Rollout, Route, Run, Size, Strategy};
use super::values::{command, memory, name, read, stop, text, typed};

/// Most processes of a service.
const PROCESSES_MAX: usize = 50;
/// Most needs of a service.
const NEEDS_MAX: usize = 50;
/// Most host names of a service.
const ROUTES_MAX: usize = 50;

pub(super) fn manifest(root: &Node) -> Result<Manifest, Fault> {
    let file = Some(root);
    let word = |block: &str, key: &str| text(root.get(block), key).map(|(_, word)| word);
    Ok(Manifest {
        service: typed(file, "", "service")?,
        team: typed(file, "", "team")?,
        kind: text(file, "kind").and_then(|(_, word)| Kind::of(word)),
        build: Build { recipe: word("build", "recipe").and_then(Recipe::of) },
        run: run(root.get("run"))?,
        size: size(root.get("size"), "size.")?,
        processes: named(root, "processes", PROCESSES_MAX, process)?,
        needs: named(root, "needs", NEEDS_MAX, need)?,
        settings: named(root, "settings", SETTINGS_MAX, setting)?,
        routes: routes(root.get("routes"))?,
        rollout: Rollout { strategy: word("rollout", "strategy").and_then(Strategy::of).unwrap_or_default() },
    })
}

fn run(block: Option<&Node>) -> Result<Run, Fault> {
    Ok(Run {
        command: command(block, "run.", "command")?,
        health: typed(block, "run.", "health")?,
        release: command(block, "run.", "release")?,
        stop: stop(block, "run.")?,
    })
}

fn size(block: Option<&Node>, path: &str) -> Result<Size, Fault> {
    Ok(Size {
        cpu: typed(block, path, "cpu")?,
        memory: memory(block, path)?,
        instances: typed(block, path, "instances")?,
    })
}

/// A block of names of one's own.
fn named<N: Ord + std::str::FromStr<Err = base::BadName>, T>(
    root: &Node,
    key: &str,
    most: usize,
    each: fn(&Entry) -> Result<(N, T), Fault>,
) -> Result<BTreeMap<N, T>, Fault> {
    let entries = root.get(key).map(Node::entries).unwrap_or_default();
    if let Some(over) = entries.get(most) {
        let what = format!("`{key}` has {} entries, and {most} are allowed", entries.len());
        return Err(
            Fault::new(over.at, Problem::unprocessable("bad-value", what)).hint("split the service into several")
        );
    }
    entries.iter().map(each).collect()
}

fn process(entry: &Entry) -> Result<(ProcessName, Process), Fault> {
    let process: ProcessName = name("processes", entry)?;
    let path = format!("processes.{process}.");
    let block = Some(&entry.value);
    let process_values = Process {
        command: command(block, &path, "command")?,
        health: typed(block, &path, "health")?,
        stop: stop(block, &path)?,
        size: size(entry.value.get("size"), &format!("{path}size."))?,
    };
    Ok((process, process_values))
}

fn need(entry: &Entry) -> Result<(NeedName, Need), Fault> {
    let need: NeedName = name("needs", entry)?;
    let path = format!("needs.{need}.");
    let block = Some(&entry.value);
    let value = match (typed(block, &path, "service")?, typed(block, &path, "external")?) {
        (Some(service), None) => Need::Service(service),
        (None, Some(url)) => Need::External(url),
        (None, None) => {
            let what = format!("the need `{need}` does not say what it is");
            return Err(Fault::new(entry.at, Problem::unprocessable("bad-value", what)).hint(format!(
                "write `{need}: {{ service: {need} }}` or `{need}: {{ external: \"https://api.example.com\" }}`"
            )));
        }
        (Some(_), Some(_)) => {
            let what = format!("the need `{need}` is a service and external at once");
            return Err(Fault::new(entry.at, Problem::unprocessable("conflicting-keys", what))
                .hint("keep one of the two, or make two needs of it"));
        }
    };
    Ok((need, value))
}

fn setting(entry: &Entry) -> Result<(SettingName, String), Fault> {
    let setting: SettingName = name("settings", entry)?;
    let bad = |at, what: String| Fault::new(at, Problem::unprocessable("bad-value", what));
    if setting.is_reserved() {
        return Err(bad(entry.at, format!("`settings`: the platform itself sets `{setting}`"))
            .hint("choose another name; the port to listen on is always in PORT"));
    }
    let value = match &entry.value.value {
        Value::Scalar(value) => value.clone(),
        _ => String::new(),
    };
    if value.len() > SETTING_BYTES_MAX {
        return Err(bad(entry.value.at, format!("`settings.{setting}` is longer than {SETTING_BYTES_MAX} bytes"))
            .hint("put long text in a file of the source"));
    }
    if value.contains('\0') {
        return Err(bad(entry.value.at, format!("`settings.{setting}` has a NUL character"))
            .hint("remove `\\0`: no environment variable can hold it"));
    }
    Ok((setting, value))
}

fn routes(list: Option<&Node>) -> Result<Vec<Route>, Fault> {
    let Some(Value::List(items)) = list.map(|list| &list.value) else { return Ok(Vec::new()) };
    if let Some(over) = items.get(ROUTES_MAX) {
        let what = format!("`routes` has {} entries, and {ROUTES_MAX} are allowed", items.len());
        return Err(
            Fault::new(over.at, Problem::unprocessable("bad-value", what)).hint("remove those that are not needed")
        );
    }
    let route = |(index, item): (usize, &Node)| {
        let path = format!("routes[{index}]");
        let (at, host) = text(Some(item), "host").ok_or_else(|| {
            Fault::new(item.at, Problem::unprocessable("bad-value", format!("`{path}` has no host")))
                .hint("write `{ host: shop.example.com }`")
        })?;
        let host_value = read(at, &format!("{path}.host"), host).map_err(|fault| match host_like(host) {
            Some(hint) => fault.hint(hint),
            None => fault,
        })?;
        Ok(Route { host: host_value })
    };
    items.iter().enumerate().map(route).collect()
}

/// What to write instead of a host that has more to it than a name.
fn host_like(host: &str) -> Option<String> {
    if host.starts_with("*.") {
        return Some("a route is for one host name; list each of them".to_owned());
    }
    let name = host.split_once("://").map_or(host, |(_, rest)| rest);
    let name = name.split(['/', ':', '?']).next()?.trim_end_matches('.').to_ascii_lowercase();
    (name != host && name.parse::<base::HostName>().is_ok()).then(|| format!("write `host: {name}`"))
}
