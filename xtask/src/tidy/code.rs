//! Words that code may hold in few places only.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::rules::covers;
use crate::source::{Piece, Source, has_word};
use crate::tree::{Tree, is_test_path};

/// SQL stands in `store` and in the `state` rooms.
pub fn sql(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources_in("crates") {
        let at_home =
            path.contains("/src/state/") || path.ends_with("/src/state.rs") || covers(tree.rules.sql.keys(), path);
        if at_home {
            continue;
        }
        for piece in source.strings.iter().filter(|piece| is_sql(&piece.text)) {
            let start: String = piece.text.trim().chars().take(40).collect();
            let fix = "move the query to the `state` room of the capability that owns the table";
            found.push(Finding::new(path, Some(piece.line), format!("SQL outside a state room: `{start}`"), fix));
        }
    }
    found
}

/// Whether a text is a statement on rows or tables. Statements are written in capitals.
fn is_sql(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let has = |word: &str| words.iter().any(|other| other.trim_matches(|c: char| !c.is_ascii_alphabetic()) == word);
    match words.as_slice() {
        ["SELECT", ..] => has("FROM"),
        ["WITH", ..] => has("SELECT") && has("AS"),
        ["INSERT", "INTO" | "OR", ..] | ["DELETE", "FROM", ..] => true,
        ["UPDATE", ..] => has("SET"),
        ["CREATE" | "ALTER" | "DROP", "TABLE" | "INDEX" | "UNIQUE", ..] => true,
        _ => false,
    }
}

/// `unsafe` stands in few places, each with a comment that says why it holds.
pub fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    const LINES_BEFORE: usize = 8;
    let mut found = Vec::new();
    for (path, source) in &tree.sources {
        let lines = source.lines_with("unsafe");
        if !lines.is_empty() && !covers(tree.rules.unsafe_code.keys(), path) {
            let fix = "find a safe way (rustix has one for most calls), or argue for the file in [unsafe-code] of xtask/rules.toml";
            found.push(Finding::new(
                path,
                lines.first().copied(),
                "unsafe code outside the places that may hold it",
                fix,
            ));
            continue;
        }
        for line in lines {
            let near = |piece: &&Piece| piece.line <= line && piece.line + LINES_BEFORE >= line;
            let argued = |piece: &Piece| piece.text.contains("SAFETY:") || piece.text.contains("# Safety");
            if !source.comments.iter().filter(near).any(argued) {
                let fix = "write a comment `// SAFETY: …` above it: which rule must hold, and why it does";
                found.push(Finding::new(path, Some(line), "unsafe code without its argument", fix));
            }
        }
    }
    found
}

/// Programs are started in few modules, and never through a shell.
pub fn commands(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in &tree.sources {
        let starts = places(source, "Command::new", |line| !has_word(line, "clap::Command::new"));
        let shells =
            ["\"sh\"", "\"bash\"", "\"/bin/sh\"", "\"/bin/bash\""].map(|shell| format!("Command::new({shell})"));
        for line in &starts {
            let text = tree.texts.get(path).and_then(|text| text.lines().nth(line - 1)).unwrap_or_default();
            if shells.iter().any(|shell| text.contains(shell)) {
                let fix = "start the program itself, with each argument on its own";
                found.push(Finding::new(path, Some(*line), "a program is started through a shell", fix));
            }
        }
        let free = is_test_path(path) || covers(tree.rules.commands.keys(), path) || uses_clap_command(source);
        for line in starts.into_iter().filter(|line| !free && !source.is_test_line(*line)) {
            let fix = "ask for it through a port, or argue for the module in [commands] of xtask/rules.toml";
            found.push(Finding::new(path, Some(line), "programs may not be started here", fix));
        }
    }
    found
}

/// Words of code that opens a connection to somewhere, or asks where a name leads.
const CONNECTS: [&str; 9] = [
    "reqwest",
    "TcpStream::connect",
    "TcpSocket",
    "UdpSocket",
    "net::connect",
    "lookup_host",
    "to_socket_addrs",
    "ToSocketAddrs",
    "HttpConnector",
];

/// The platform asks nobody at an address that a user can choose: each place that opens connections
/// says where to. The first that must will need a client that resolves once, refuses private ranges
/// and follows no redirect unseen.
pub fn egress(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in &tree.sources {
        let ships = path.starts_with("crates/") && path.contains("/src/") && !is_test_path(path);
        if !ships || covers(tree.rules.egress.keys(), path) {
            continue;
        }
        let lines: BTreeSet<usize> = CONNECTS.iter().flat_map(|word| source.lines_with(word)).collect();
        for line in lines.into_iter().filter(|line| !source.is_test_line(*line)) {
            let fix = "ask through a port, or say in [egress] of xtask/rules.toml where it goes and who chooses that";
            found.push(Finding::new(path, Some(line), "a connection to elsewhere may not be opened here", fix));
        }
    }
    found
}

/// An exception for something that is gone is one for whatever comes there next.
pub fn exceptions(tree: &Tree) -> Vec<Finding> {
    let rules = &tree.rules;
    let lists =
        [&rules.commands, &rules.egress, &rules.unsafe_code, &rules.effects, &rules.sql, &rules.rooms.exceptions];
    let alone = rules.left_alone.values().flatten();
    let mut found = Vec::new();
    for path in lists.into_iter().flat_map(BTreeMap::keys).chain(alone) {
        if !tree.paths.iter().any(|there| covers([path], there)) {
            let what = format!("`{path}` is excepted from a rule and is not there");
            found.push(Finding::new("xtask/rules.toml", None, what, "remove the line"));
        }
    }
    found
}

fn uses_clap_command(source: &Source) -> bool {
    source.code.lines().any(|line| line.contains("use clap::") && has_word(line, "Command"))
}

fn places(source: &Source, word: &str, counts: impl Fn(&str) -> bool) -> Vec<usize> {
    let lines: Vec<&str> = source.code.lines().collect();
    source.lines_with(word).into_iter().filter(|line| lines.get(line - 1).is_some_and(|text| counts(text))).collect()
}

/// The crates that serve users deny what can panic, outside their tests.
pub fn strict_lints(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in &tree.rules.strict.crates {
        let path = format!("crates/{name}/src/lib.rs");
        let Some(source) = tree.sources.get(&path) else { continue };
        let denied: String =
            attributes(&source.code).filter(|text| text.contains("deny(") || text.contains("forbid(")).collect();
        let missing: Vec<&str> = tree
            .rules
            .strict
            .lints
            .iter()
            .map(String::as_str)
            .filter(|lint| !has_word(&denied, &format!("clippy::{lint}")))
            .collect();
        if !missing.is_empty() {
            let list: Vec<String> = missing.iter().map(|lint| format!("clippy::{lint}")).collect();
            let fix = format!("add `#![cfg_attr(not(test), deny({}))]` to the root", list.join(", "));
            found.push(Finding::new(path, None, format!("does not deny {}", missing.join(", ")), fix));
        }
    }
    found
}

/// The inner attributes at the top of a crate.
fn attributes(code: &str) -> impl Iterator<Item = &str> {
    code.split("#![").skip(1).map(|rest| rest.split(")]").next().unwrap_or(rest))
}

/// Nothing that says of itself that it is not finished.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    let macros = BTreeMap::from([("dbg!", "remove it"), ("todo!", "write it"), ("unimplemented!", "write it")]);
    let mut found = Vec::new();
    for (path, source) in &tree.sources {
        for piece in &source.comments {
            if let Some(mark) = marks.iter().find(|mark| has_word(&piece.text, mark)) {
                let fix = "finish it now, or open an issue and describe the present state in the comment";
                found.push(Finding::new(path, Some(piece.line), format!("a comment says {mark}"), fix));
            }
        }
        for (name, fix) in &macros {
            let lines = source.lines_with(name).into_iter();
            found.extend(
                lines.map(|line| Finding::new(path, Some(line), format!("`{name}` is left in the code"), *fix)),
            );
        }
    }
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        for (number, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().take(2).find(|mark| line.contains(&format!("{mark}:"))) {
                let fix = "write it, or leave the promise out";
                found.push(Finding::new(path, Some(number + 1), format!("the text says {mark}"), fix));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::is_sql;

    #[test]
    fn sql_is_told_from_prose() {
        for text in [
            "SELECT a FROM b",
            " INSERT INTO t (a) VALUES ($1)",
            "UPDATE t\n SET a = $1",
            "DELETE FROM t",
            "CREATE UNIQUE INDEX i ON t (a)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
        ] {
            assert!(is_sql(text), "{text}");
        }
        for text in
            ["SELECT a service", "select one from the list", "UPDATE the page", "INSERT a coin", "DELETE", "/services"]
        {
            assert!(!is_sql(text), "{text}");
        }
    }
}
