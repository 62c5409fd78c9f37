//! `cargo xtask bench`: how fast, how large. Never part of the tests: a figure is told, with the
//! machine and its load, and compared with what is aimed at; it never fails a change.

mod page;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::command::{self, Stream};

/// A benchmark: a program that writes one JSON object as the last line of its output.
struct Bench {
    name: &'static str,
    what: &'static str,
    program: Program,
    /// Whether it starts the binary itself (named by `ORLOP_BIN`).
    needs_orlop: bool,
}

/// How a program is built, and what it is told besides `--quick`.
#[derive(Clone, Copy)]
enum Program {
    Bin(&'static str),
    Example(&'static str, &'static [&'static str]),
}

/// All of them. A program takes `--quick`, writes what it does to its error stream, and answers
/// with `{"tables":[{"title","columns","rows"}],"targets":[{"what","target","measured","met"}],
/// "notes":[…],"raw":{…}}`; `bench::Report` makes that, any other JSON writer does too.
const BENCHES: &[Bench] = &[
    Bench {
        name: "gateway",
        what: "requests per second and core, and latency at equal load, beside nginx and HAProxy",
        program: Program::Bin("gateway"),
        needs_orlop: false,
    },
    Bench {
        name: "idle",
        what: "memory of 10,000 idle connections, of an idle gateway and of an instance's keeper",
        program: Program::Bin("idle"),
        needs_orlop: true,
    },
    Bench {
        name: "deploy",
        what: "what the platform adds to a build: push to answer, one-line change, rollback, start of an instance",
        program: Program::Bin("deploy"),
        needs_orlop: true,
    },
    Bench {
        name: "scale",
        what: "lists, one change, start, memory and processor time at rest with 1,000 and 10,000 services",
        program: Program::Example("scale", &[]),
        needs_orlop: false,
    },
    Bench {
        name: "portal",
        what: "the portal with 1,000 services × 3 environments: time and size of each page, live updates, open pages",
        program: Program::Example("scale", &["--portal"]),
        needs_orlop: false,
    },
];

/// The peers to compare with, as Debian packages.
const PEERS: [&str; 2] = ["nginx", "haproxy"];
const USAGE: &str = "options of bench: [NAME]... --quick, --json, --list, --install-peers";

/// What was asked for.
struct Run {
    quick: bool,
    json: bool,
}

/// `cargo xtask bench`.
///
/// # Errors
/// Wrong usage, or a page that cannot be written.
pub fn main(args: &[String]) -> Result<bool, String> {
    let mut run = Run { quick: false, json: false };
    let mut names: Vec<&str> = Vec::new();
    let mut install = false;
    for arg in args {
        match arg.as_str() {
            "--quick" => run.quick = true,
            "--json" => run.json = true,
            "--install-peers" => install = true,
            "--list" => {
                BENCHES.iter().for_each(|bench| println!("{:<10} {}", bench.name, bench.what));
                return Ok(true);
            }
            name if BENCHES.iter().any(|bench| bench.name == name) => names.push(name),
            other => return Err(format!("`{other}` is neither a benchmark nor an option; {USAGE}")),
        }
    }
    let root = command::root();
    if install {
        install_peers(&root, &run)?;
    }
    let chosen: Vec<&Bench> = BENCHES.iter().filter(|bench| names.is_empty() || names.contains(&bench.name)).collect();
    build(&root, &chosen, &run)?;
    let begun = Instant::now();
    let mut ok = true;
    let mut results = Vec::new();
    for bench in chosen {
        match pass(&root, bench, &run) {
            Ok(result) => results.push(result),
            Err(why) => {
                ok = false;
                command::say(run.json, &format!("!!! {} FAILED: {why}", bench.name));
            }
        }
    }
    page::write(&root, &results)?;
    if run.json {
        println!("{}", Value::from(results));
    }
    command::say(run.json, &format!("\nmeasured in {} s; docs/benchmarks.md is up to date", begun.elapsed().as_secs()));
    Ok(ok)
}

fn install_peers(root: &Path, run: &Run) -> Result<(), String> {
    let words = ["apt-get", "install", "-qy", "--no-install-recommends"].into_iter().chain(PEERS);
    let argv: Vec<String> = words.map(str::to_owned).collect();
    let env = [("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())];
    let ok = command::stream(root, &argv, &env, |_, line| command::say(run.json, line))?;
    if ok { Ok(()) } else { Err("the peers could not be installed; see above".to_owned()) }
}

/// Builds everything before anything is measured: as part of the whole workspace, so that what it needs is compiled
/// with the features that it has everywhere else, and not once more.
fn build(root: &Path, chosen: &[&Bench], run: &Run) -> Result<(), String> {
    let mut words = vec!["--workspace"];
    if chosen.iter().any(|bench| bench.needs_orlop) {
        words.extend(["--bin", "orlop"]);
    }
    words.extend(chosen.iter().flat_map(|bench| bench.program.build()));
    let argv = cargo("build", &words);
    match command::stream(root, &argv, &[], |_, line| command::say(run.json, line))? {
        true => Ok(()),
        false => Err(format!("`{}` failed", argv.join(" "))),
    }
}

impl Program {
    /// The words for cargo.
    const fn build(self) -> [&'static str; 2] {
        match self {
            Self::Bin(name) => ["--bin", name],
            Self::Example(name, _) => ["--example", name],
        }
    }

    /// Where it lies, and what it is told.
    fn argv(self, release: &Path) -> Vec<String> {
        let (path, words) = match self {
            Self::Bin(name) => (release.join(name), &[][..]),
            Self::Example(name, words) => (release.join("examples").join(name), words),
        };
        let words = words.iter().map(|word| (*word).to_owned());
        [path.display().to_string()].into_iter().chain(words).collect()
    }
}

fn cargo(verb: &str, words: &[&str]) -> Vec<String> {
    let first = [command::cargo(), verb.to_owned(), "--release".to_owned()];
    first.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
}

/// Runs one program, adds when and where, and keeps the evidence.
fn pass(root: &Path, bench: &Bench, run: &Run) -> Result<Value, String> {
    command::say(run.json, &format!("\n=== {}: {}", bench.name, bench.what));
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let release = folder.join("release");
    let mut argv = bench.program.argv(&release);
    argv.extend(run.quick.then(|| "--quick".to_owned()));
    let env = [("ORLOP_BIN".to_owned(), release.join("orlop").display().to_string())];
    let (begun, load) = (Instant::now(), page::load());
    let mut last = String::new();
    let ok = command::stream(root, &argv, &env, |stream, line| match stream {
        Stream::Out => line.clone_into(&mut last),
        Stream::Err => command::say(true, line),
    })?;
    if !ok {
        return Err(format!("`{}` ended badly", argv.join(" ")));
    }
    let mut result: Value = serde_json::from_str(&last).map_err(|why| format!("its last line is not JSON: {why}"))?;
    let machine = page::machine(root);
    result["name"] = json!(bench.name);
    result["what"] = json!(bench.what);
    result["quick"] = json!(run.quick);
    result["tookSeconds"] = json!(begun.elapsed().as_secs());
    result["loadBefore"] = json!(load);
    result["machine"] = json!(machine);
    let evidence = root.join("target/evidence");
    let file = evidence.join(format!("bench-{}.json", bench.name));
    let text = serde_json::to_string_pretty(&result).map_err(|why| why.to_string())?;
    std::fs::create_dir_all(&evidence)
        .and_then(|()| std::fs::write(&file, text))
        .map_err(|why| format!("{} could not be written: {why}", file.display()))?;
    for target in result["targets"].as_array().into_iter().flatten() {
        command::say(run.json, &page::target_line(target));
    }
    Ok(result)
}
