//! The rules of the house as checks. A rule is a function from the tree to what it found; each has
//! a planted violation in `planted.rs` that it must catch.

mod arrows;
mod code;
mod dependencies;
mod effects;
mod links;
mod papers;
#[cfg(test)]
mod planted;
mod rooms;
mod sizes;
mod supply;
mod text;

use crate::command;
use crate::tree::Tree;

/// A rule of the house.
struct Rule {
    /// What it is called in messages.
    name: &'static str,
    /// Why it is there, in one sentence.
    why: &'static str,
    /// Finds what breaks it.
    check: fn(&Tree) -> Vec<Finding>,
}

/// Something that breaks a rule, with the way out.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which file.
    path: String,
    /// Which line, counted from 1, where there is one.
    line: Option<usize>,
    /// What was found.
    what: String,
    /// What to do about it.
    fix: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: Option<usize>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into(), fix: fix.into() }
    }
}

const RULES: &[Rule] = &[
    Rule { name: "arrows", why: "a crate uses only what the architecture allows", check: arrows::arrows },
    Rule {
        name: "manifests",
        why: "all crates share version, edition, lints and dependencies",
        check: arrows::manifests,
    },
    Rule { name: "test-features", why: "features that exist for tests never ship", check: arrows::test_features },
    Rule { name: "unused-dependencies", why: "every dependency earns its place", check: dependencies::unused },
    Rule {
        name: "locked",
        why: "few packages, all from the registry, one version where two would not work",
        check: dependencies::locked,
    },
    Rule { name: "crate-lines", why: "the floor stays small: everything rebuilds with it", check: sizes::crates },
    Rule { name: "file-lines", why: "a file can be read in one go", check: sizes::files },
    Rule {
        name: "function-lines",
        why: "a function can be seen at once; the exceptions only shrink",
        check: sizes::functions,
    },
    Rule { name: "rooms", why: "one question finds the place of every line of a capability", check: rooms::rooms },
    Rule { name: "sql", why: "what is stored is decided by one room per capability", check: code::sql },
    Rule { name: "unsafe", why: "unsafe code is in few places, each with its argument", check: code::unsafe_code },
    Rule {
        name: "commands",
        why: "child processes are typed argument lists built in few modules",
        check: code::commands,
    },
    Rule {
        name: "effects",
        why: "whatever changes the outside has a point where the simulation can end the control plane",
        check: effects::effects,
    },
    Rule { name: "egress", why: "nobody can make the platform ask an address of their choice", check: code::egress },
    Rule { name: "exceptions", why: "an exception ends with what it was made for", check: code::exceptions },
    Rule { name: "strict-lints", why: "what serves users cannot panic", check: code::strict_lints },
    Rule { name: "unfinished", why: "a change is finished when it lands", check: code::unfinished },
    Rule { name: "crate-papers", why: "each crate says in a page what it is for", check: papers::crates },
    Rule { name: "decisions", why: "each choice has a numbered record of the same form", check: papers::decisions },
    Rule {
        name: "changelog",
        why: "each change that is felt says its impact and what to do",
        check: papers::changelog,
    },
    Rule { name: "links", why: "what a page points to is there", check: links::links },
    Rule {
        name: "machine-paths",
        why: "the project does not know the machine it was written on",
        check: text::machine_paths,
    },
    Rule { name: "whitespace", why: "differences show what changed and nothing else", check: text::whitespace },
];

/// `cargo xtask tidy`.
///
/// # Errors
/// Wrong usage, or a tree that cannot be read.
pub fn main(args: &[String]) -> Result<bool, String> {
    let mut names: Vec<&str> = Vec::new();
    let (mut json, mut tighten, mut args) = (false, false, args.iter().map(String::as_str));
    while let Some(arg) = args.next() {
        match arg {
            "--json" => json = true,
            "--tighten" => tighten = true,
            "--list" => {
                RULES.iter().for_each(|rule| println!("{:<20} {}", rule.name, rule.why));
                println!("{:<20} {}", supply::NAME, supply::WHY);
                return Ok(true);
            }
            "--rule" => {
                names.push(args.next().ok_or("--rule needs the name of a rule; see `cargo xtask tidy --list`")?)
            }
            other => {
                return Err(format!("`{other}` is not an option of tidy (--json, --rule NAME, --tighten, --list)"));
            }
        }
    }
    if let Some(name) = names.iter().find(|name| **name != supply::NAME && RULES.iter().all(|rule| rule.name != **name))
    {
        return Err(format!("there is no rule `{name}`; `cargo xtask tidy --list` shows them"));
    }
    let root = command::root();
    let tree = Tree::read(&root)?;
    if tighten {
        let text = sizes::tightened(&tree)?;
        std::fs::write(root.join(sizes::RATCHETS), text).map_err(|why| format!("{}: {why}", sizes::RATCHETS))?;
        return Ok(true);
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let mut found = check(&tree, wanted);
    if wanted("function-lines") {
        found.extend(sizes::raised(&root, &tree).into_iter().map(|finding| ("function-lines", finding)));
    }
    if wanted(supply::NAME) {
        found.extend(supply::supply(&root, &tree)?.into_iter().map(|finding| (supply::NAME, finding)));
    }
    let rules = RULES.iter().map(|rule| rule.name).chain([supply::NAME]).filter(|name| wanted(name)).count();
    report(&found, json, rules, tree.paths.len());
    Ok(found.is_empty())
}

fn check(tree: &Tree, wanted: impl Fn(&str) -> bool) -> Vec<(&'static str, Finding)> {
    let rules = RULES.iter().filter(|rule| wanted(rule.name));
    rules.flat_map(|rule| (rule.check)(tree).into_iter().map(|finding| (rule.name, finding))).collect()
}

fn report(found: &[(&str, Finding)], json: bool, rules: usize, files: usize) {
    if json {
        let list: Vec<_> = found
            .iter()
            .map(|(rule, f)| serde_json::json!({"rule": rule, "path": f.path, "line": f.line, "what": f.what, "fix": f.fix}))
            .collect();
        println!("{}", serde_json::json!({"files": files, "findings": list}));
        return;
    }
    for (rule, finding) in found {
        let place = finding.line.map_or_else(|| finding.path.clone(), |line| format!("{}:{line}", finding.path));
        println!("{place}: {} [{rule}]\n    {}", finding.what, finding.fix);
    }
    match found.len() {
        0 => println!("tidy: no findings (rules: {rules}, files: {files})"),
        1 => println!("tidy: 1 finding in {files} files"),
        count => println!("tidy: {count} findings in {files} files"),
    }
}
