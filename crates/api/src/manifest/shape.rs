//! Whether a file has only keys that are in the table, and behind each what belongs there.

use base::Problem;

use super::keys::{KEYS, Key, Support, Takes, at, within};
use super::node::{At, Entry, Fault, Node, Value};
use super::suggest::{nearest, one_of, shown};

/// Checks the whole file.
pub(super) fn check(root: &Node) -> Result<(), Fault> {
    match &root.value {
        Value::Map(entries) => block("", "", entries),
        _ => Err(Fault::new(root.at, wrong("a service file", "a block of keys", root))
            .hint("write `key: value` lines, as in `kind: web`")),
    }
}

/// A block of known keys. `path` is its path in the table, `typed` the path with the file's names.
fn block(path: &'static str, typed: &str, entries: &[Entry]) -> Result<(), Fault> {
    for entry in entries {
        let key = within(path).find(|key| key.name() == entry.key).ok_or_else(|| unknown(path, typed, entry))?;
        let typed = join(typed, &entry.key);
        if let Support::NotYet(instead) = key.support {
            return Err(not_yet(entry.at, format!("`{typed}` is not supported yet"), instead));
        }
        value(key, &typed, entry)?;
    }
    Ok(())
}

fn value(key: &'static Key, typed: &str, entry: &Entry) -> Result<(), Fault> {
    let node = &entry.value;
    match (key.takes, &node.value) {
        (Takes::Keys | Takes::Names(_) | Takes::Blocks, Value::Empty) => Ok(()),
        (Takes::Keys, Value::Map(entries)) => block(key.path, typed, entries),
        (Takes::Names(_), Value::Map(entries)) => {
            let each = KEYS.iter().find(|each| each.parent() == key.path && each.name() == "*");
            entries.iter().try_for_each(|entry| match each {
                Some(each) => value(each, &join(typed, &shown(&entry.key)), entry),
                None => Ok(()),
            })
        }
        (Takes::Blocks, Value::List(items)) => blocks(key, typed, items),
        (Takes::Command, Value::List(items)) => command(key, typed, entry, items),
        (Takes::Text(_), Value::Scalar(_)) => Ok(()),
        (Takes::Words(now, later), Value::Scalar(text)) => word(typed, node, text, now, later),
        _ => Err(mistaken(key, typed, entry)),
    }
}

/// A list of blocks: the table has their keys beneath `path[]`.
fn blocks(key: &'static Key, typed: &str, items: &[Node]) -> Result<(), Fault> {
    let inner =
        KEYS.iter().find_map(|each| each.parent().strip_suffix("[]").filter(|p| *p == key.path).map(|_| each.parent()));
    for (index, item) in items.iter().enumerate() {
        let typed = format!("{typed}[{index}]");
        match &item.value {
            Value::Map(entries) => block(inner.unwrap_or_default(), &typed, entries)?,
            _ => {
                return Err(Fault::new(item.at, wrong(&format!("`{typed}`"), "a block of keys", item))
                    .hint(format!("write it like `{}`", key.example)));
            }
        }
    }
    Ok(())
}

fn command(key: &Key, typed: &str, entry: &Entry, items: &[Node]) -> Result<(), Fault> {
    match items.iter().enumerate().find(|(_, item)| !matches!(item.value, Value::Scalar(_))) {
        Some((index, item)) => Err(Fault::new(item.at, wrong(&format!("`{typed}[{index}]`"), "text", item))
            .hint("put quotes around each argument; an empty one is `\"\"`")),
        None if items.is_empty() => {
            Err(Fault::new(entry.at, Problem::unprocessable("bad-value", format!("`{typed}` names no program")))
                .hint(format!("write it like `{}`, or remove it", key.example)))
        }
        None => Ok(()),
    }
}

fn word(typed: &str, node: &Node, text: &str, now: &[&str], later: &[&str]) -> Result<(), Fault> {
    if now.contains(&text) {
        return Ok(());
    }
    let what = format!("`{typed}: {}`", shown(text));
    if later.contains(&text) {
        return Err(not_yet(
            node.at,
            format!("{what} is not supported yet"),
            &format!("use {}", one_of(now.iter().copied())),
        ));
    }
    let hint = match nearest(text, now.iter().copied()) {
        Some(near) => format!("write `{typed}: {near}`"),
        None => format!("use {}", one_of(now.iter().copied())),
    };
    Err(Fault::new(node.at, Problem::unprocessable("bad-value", format!("{what} is not known"))).hint(hint))
}

/// Something of the wrong type stands behind a key.
fn mistaken(key: &Key, typed: &str, entry: &Entry) -> Fault {
    let node = &entry.value;
    let place = if matches!(node.value, Value::Empty) { entry.at } else { node.at };
    let fault = Fault::new(place, wrong(&format!("`{typed}`"), &key.takes.words(), node));
    match (&node.value, key.takes) {
        (Value::Scalar(line), Takes::Command) => {
            let words: Vec<String> =
                line.split_whitespace().take(20).map(|word| format!("{:?}", shown(word))).collect();
            fault.hint(format!("write `{}: [{}]`", key.name(), words.join(", ")))
        }
        (Value::Scalar(text), Takes::Keys) if key.path == "needs.*" => {
            fault.hint(format!("write `{}: {{ service: {} }}`", shown(&entry.key), shown(text)))
        }
        (Value::Empty, _) if key.path == "settings.*" => {
            fault.hint(format!("write `{}: \"\"` for an empty text", shown(&entry.key)))
        }
        (Value::Empty, _) => fault.hint(format!("give it a value, as in `{}`, or remove it", key.example)),
        _ => fault.hint(format!("write it like `{}`", key.example)),
    }
}

fn wrong(what: &str, takes: &str, node: &Node) -> Problem {
    Problem::unprocessable("wrong-type", format!("{what} takes {takes}; here is {}", node.found()))
}

fn not_yet(at: At, what: String, instead: &str) -> Fault {
    Fault::new(at, Problem::unprocessable("not-yet", what)).hint(instead)
}

/// Words of other platforms' files, where they stand, and what they are called here.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("", "port", "remove it: the platform chooses the port and gives it in the environment variable PORT"),
    ("run", "port", "remove it: the platform chooses the port and gives it in the environment variable PORT"),
    ("", "name", "write `service: NAME`"),
    ("", "type", "write `kind: web`, `kind: worker` or `kind: site`"),
    ("", "env", "write `settings: { NAME: value }`"),
    ("", "environment", "write `settings: { NAME: value }`"),
    ("run", "env", "write at the left margin: `settings: { NAME: value }`"),
    ("run", "args", "put the arguments behind the program: `command: [\"./program\", \"argument\"]`"),
    ("", "secrets", "keep secrets out of the file: `orlop setting set NAME=VALUE`"),
    ("", "replicas", "write `size: { instances: 2 }`"),
    ("size", "replicas", "write `instances: 2`"),
    ("size", "mem", "write `memory: 256Mi`"),
    ("", "resources", "write `size: { cpu: 500m, memory: 256Mi }`"),
    ("", "healthcheck", "write `run: { health: /healthz }`"),
    ("", "domains", "write `routes: [ { host: shop.example.com } ]`"),
    ("", "hosts", "write `routes: [ { host: shop.example.com } ]`"),
    ("", "depends_on", "write `needs: { NAME: { service: NAME } }`"),
    ("needs.*", "url", "write `external: \"https://…\"`"),
    ("processes.*", "kind", "remove it: the process `web` gets the traffic, every other name is a worker"),
    ("processes.*", "instances", "write `size: { instances: 2 }`"),
    (
        "processes.*",
        "release",
        "a service has one: write `run: { release: [\"./program\", \"migrate\"] }` at the left margin",
    ),
];

fn unknown(path: &str, typed: &str, entry: &Entry) -> Fault {
    let key = shown(&entry.key);
    let place = if typed.is_empty() { "a service file".to_owned() } else { format!("`{typed}`") };
    let problem = Problem::unprocessable("unknown-key", format!("`{key}` is not a key of {place}"));
    let supported = |key: &&Key| key.support == Support::Now;
    let near = || nearest(&entry.key, within(path).filter(supported).map(Key::name));
    let hint = if entry.key == "<<" {
        "merge keys are not read: write the keys out".to_owned()
    } else if let Some((.., hint)) = ELSEWHERE.iter().find(|(at, word, _)| *at == path && *word == entry.key) {
        (*hint).to_owned()
    } else if let Some(other) =
        KEYS.iter().filter(supported).find(|other| other.name() == entry.key && other.name() != "*")
    {
        match other.parent() {
            "" => format!("`{key}` stands at the left margin: `{}`", other.example),
            parent => format!("`{key}` stands in `{parent}`: `{}`", other.example),
        }
    } else if let Some(near) = near() {
        format!("write `{near}`")
    } else {
        let known: Vec<&str> = within(path).filter(supported).map(Key::name).collect();
        format!("known here: {}", one_of(known))
    };
    debug_assert!(path.is_empty() || at(path).is_some() || path.ends_with("[]"), "{path} is no block");
    Fault::new(entry.at, problem).hint(hint)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
