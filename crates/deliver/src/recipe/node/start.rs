//! How a Node program is started, without its package manager where that is possible: one process
//! less, which would also swallow signals.

use std::collections::BTreeMap;

use base::{Problem, Result};

use super::super::procfile::Command;
use super::super::words::{self, Line};
use super::super::{Start, Tree, problem, shown};
use super::package::Package;

/// How often one script may lead to the next.
const SCRIPTS_DEEP_MAX: usize = 5;
/// Files that are tried where nothing says what to start, in this order.
const USUAL: &[&str] = &[
    "server.js",
    "server.mjs",
    "index.js",
    "index.mjs",
    "app.js",
    "app.mjs",
    "main.js",
    "src/server.js",
    "src/index.js",
];

pub(super) struct Started {
    pub(super) start: Start,
    pub(super) evidence: String,
    /// It needs the package manager while it runs.
    pub(super) by_manager: bool,
}

pub(super) fn start(tree: &Tree, package: &Package) -> Result<Started> {
    if package.scripts.contains_key("start") {
        return script(package, "start");
    }
    let main = package.main.as_deref().filter(|main| is_inside(main));
    let builds = package.scripts.contains_key("build");
    let main = main.and_then(|main| {
        let main = main.trim_start_matches("./");
        let exact = [main.to_owned(), format!("{main}.js"), format!("{main}/index.js")];
        exact.into_iter().find(|path| tree.has(path)).or_else(|| builds.then(|| main.to_owned()))
    });
    let (file, why) = match (tree.has("server.js"), main) {
        (true, _) => ("server.js".to_owned(), "found server.js"),
        (false, Some(main)) => (main, "package.json names `main`"),
        (false, None) => match USUAL.iter().find(|path| tree.has(path)) {
            Some(path) => ((*path).to_owned(), "found a usual file"),
            None => return Err(nothing()),
        },
    };
    let evidence = format!("{why}: `node {}` runs", shown(&file));
    let command = vec!["node".to_owned(), base::placeholder::escape(&file)];
    Ok(Started { start: Start::Command(command, BTreeMap::new()), evidence, by_manager: false })
}

/// A script; where all it does is start another one, that one.
fn script(package: &Package, name: &str) -> Result<Started> {
    let mut name = name.to_owned();
    for _ in 0..SCRIPTS_DEEP_MAX {
        let line = package.scripts.get(&name).map(String::as_str).unwrap_or_default();
        let around = ["pre", "post"].iter().any(|when| package.scripts.contains_key(&format!("{when}{name}")));
        let parsed = words::parse(line).map_err(|what| {
            problem("bad-package-json", format!("the script `{}` cannot be read: {what}", shown(&name)))
                .at("package.json")
                .hint("write it as you would for a shell, for example `\"start\": \"node server.js\"`")
        })?;
        if around || matches!(parsed, Line::Shell { .. }) {
            return Ok(by_manager(package, &name, line));
        }
        if let Line::Direct { env, argv } = &parsed
            && env.is_empty()
            && let Some(next) = next_script(argv)
            && package.scripts.contains_key(next)
        {
            name = next.to_owned();
            continue;
        }
        let (command, _) = Command::of(line, parsed);
        let evidence = format!("the script `{}` runs `{}`", shown(&name), shown(line));
        return Ok(Started { start: Start::Command(command.argv, command.env), evidence, by_manager: false });
    }
    Err(problem("bad-package-json", format!("the script `{}` leads to itself", shown(&name)))
        .at("package.json")
        .hint("let `scripts.start` name a program: `\"start\": \"node server.js\"`"))
}

/// `npm run serve`, `yarn serve`, `pnpm run serve`, `npm start`.
fn next_script(argv: &[String]) -> Option<&str> {
    match argv.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["npm" | "yarn" | "pnpm", "run", name] | ["yarn" | "pnpm", name] | ["npm", name @ "start"] => {
            argv.iter().map(String::as_str).find(|word| word == name)
        }
        _ => None,
    }
}

fn by_manager(package: &Package, name: &str, line: &str) -> Started {
    let program = package.manager.program();
    let command = [program, "run", name].map(base::placeholder::escape).to_vec();
    let own = BTreeMap::from([("npm_config_cache".to_owned(), "/tmp/npm".to_owned())]);
    let evidence = format!("the script `{}` runs through {program}: `{}`", shown(name), shown(line));
    Started { start: Start::Command(command, own), evidence, by_manager: true }
}

/// A path inside of the source that cannot be taken for an option.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with(['/', '-'])
        && !path.split('/').any(|segment| segment == "..")
        && !path.chars().any(char::is_control)
}

pub(super) fn nothing() -> Problem {
    problem("nothing-to-start", "found package.json, but neither `scripts.start` nor `main` nor a file like server.js")
        .at("package.json")
        .hint("add to package.json: `\"scripts\": { \"start\": \"node server.js\" }` (listen on process.env.PORT)")
}
