//! What is written for people: the page of a crate, decision records, changelog fragments.

use std::collections::BTreeMap;

use super::Finding;
use crate::tree::Tree;

const DECISIONS: &str = "docs/decisions/";
const CHANGELOG: &str = "changelog.d/";
const CHANGELOG_KINDS: [&str; 6] = ["added", "changed", "deprecated", "fixed", "removed", "security"];
const STATUSES: [&str; 3] = ["proposed", "accepted", "superseded by "];

/// Each crate has a page that says what it is for, and documentation at its root.
pub fn crates(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &tree.crates {
        let readme = format!("{}/README.md", member.dir);
        match tree.texts.get(&readme) {
            None => found.push(Finding::new(
                readme,
                None,
                "the crate has no page",
                "write one: what it does, what it decides, its invariants, how it fails",
            )),
            Some(text)
                if !text.starts_with("# ") || text.lines().filter(|line| !line.trim().is_empty()).count() < 3 =>
            {
                found.push(Finding::new(
                    readme,
                    Some(1),
                    "the page says nothing",
                    "a title, and what a newcomer must know",
                ));
            }
            Some(_) => {}
        }
        let roots = ["lib.rs", "main.rs"].map(|file| format!("{}/src/{file}", member.dir));
        let root = roots.iter().find_map(|path| tree.texts.get(path).map(|text| (path, text)));
        if let Some((path, _)) = root.filter(|(_, text)| !text.lines().any(|line| line.starts_with("//! "))) {
            found.push(Finding::new(
                path,
                Some(1),
                "the crate has no documentation",
                "start it with `//! ` and what it is for",
            ));
        }
    }
    found
}

/// Decision records are numbered without gaps, have the same form, and are listed.
pub fn decisions(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut numbers: BTreeMap<usize, &str> = BTreeMap::new();
    let index = tree.texts.get("docs/decisions/README.md").map_or("", String::as_str);
    for (path, text) in tree.texts.range(DECISIONS.to_owned()..).take_while(|(path, _)| path.starts_with(DECISIONS)) {
        let name = &path[DECISIONS.len()..];
        if matches!(name, "README.md" | "template.md") {
            continue;
        }
        let number = name.split_once('-').map(|(number, _)| number).filter(|number| number.len() == 4);
        let Some(number) = number.and_then(|number| number.parse::<usize>().ok()).filter(|_| name.ends_with(".md"))
        else {
            found.push(Finding::new(path, None, "not the name of a record", "call it NNNN-what-was-chosen.md"));
            continue;
        };
        if let Some(other) = numbers.insert(number, path) {
            found.push(Finding::new(path, None, format!("{other} has the same number"), "take the next free number"));
        }
        if !index.contains(&format!("]({name})")) {
            let fix = format!("add a line with [{number:04}]({name}) to docs/decisions/README.md");
            found.push(Finding::new(path, None, "the record is not in the list", fix));
        }
        found.extend(form(path, text, number));
    }
    let last = numbers.keys().next_back().copied().unwrap_or(0);
    for missing in (1..=last).filter(|number| !numbers.contains_key(number)) {
        let fix = "records are never removed: supersede them";
        found.push(Finding::new(DECISIONS, None, format!("there is no record {missing:04}"), fix));
    }
    found
}

fn form(path: &str, text: &str, number: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |what: String, fix: &str| found.push(Finding::new(path, None, what, fix));
    if !text.starts_with(&format!("# {number:04}: ")) {
        say(format!("the title does not start with `# {number:04}: `"), "give it the number of its file");
    }
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if !field("Status:").is_some_and(|status| STATUSES.iter().any(|known| status.starts_with(known))) {
        say("no line `Status: …`".to_owned(), "proposed, accepted, or superseded by NNNN");
    }
    if !field("Date:").is_some_and(is_date) {
        say("no line `Date: YYYY-MM-DD`".to_owned(), "write the day of the decision");
    }
    for heading in ["## Context", "## Decision", "## Consequences"] {
        if !text.lines().any(|line| line == heading) {
            say(format!("no heading `{heading}`"), "start from docs/decisions/template.md");
        }
    }
    found
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_slice(), [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

/// A changelog fragment has a number, a kind, a sentence, its impact and the way to migrate.
pub fn changelog(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts.range(CHANGELOG.to_owned()..).take_while(|(path, _)| path.starts_with(CHANGELOG)) {
        let name = &path[CHANGELOG.len()..];
        if name == "README.md" {
            continue;
        }
        let mut say = |what: &str, fix: String| found.push(Finding::new(path, None, what, fix));
        let parts: Vec<&str> = name.split('.').collect();
        let named = match parts.as_slice() {
            [slug, kind, "md"] => {
                let number = slug
                    .split_once('-')
                    .is_some_and(|(n, rest)| n.len() == 4 && n.parse::<u32>().is_ok() && !rest.is_empty());
                number && CHANGELOG_KINDS.contains(kind)
            }
            _ => false,
        };
        if !named {
            say(
                "not the name of a fragment",
                format!("call it NNNN-what-changed.KIND.md, KIND one of {}", CHANGELOG_KINDS.join(", ")),
            );
        }
        if !text.lines().next().is_some_and(|line| line.trim_end().ends_with('.') && !line.starts_with('#')) {
            say(
                "the first line is not a sentence",
                "say what the reader can do now, in one line with a full stop".to_owned(),
            );
        }
        for field in ["Impact: ", "Migration: "] {
            if !text.lines().any(|line| line.strip_prefix(field).is_some_and(|rest| rest.trim().len() > 3)) {
                say(&format!("no line `{field}…`"), "`none` is an answer: say it".to_owned());
            }
        }
    }
    found
}
