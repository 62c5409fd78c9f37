//! The lines of the platform that change something outside of the process, read from its source.

use std::fmt;
use std::path::Path;

use sim::Point;

/// The crates that make up the control plane; what drivers do lies behind the ports.
const CRATES: [&str; 7] = ["access", "catalog", "deliver", "kernel", "route", "run", "store"];

/// What an effect looks like, and the kind of its points.
const EFFECTS: [(&str, &str); 12] = [
    (".commit()", "commit"),
    ("ctx.commit(", "commit"),
    ("ctx.commit_unkept(", "commit"),
    ("engine.ensure(", "engine.ensure"),
    ("engine.stop(", "engine.stop"),
    ("engine.remove(", "engine.remove"),
    ("gateway.apply(", "gateway.apply"),
    ("gateway.change(", "gateway.change"),
    ("objects.put(", "objects.put"),
    ("objects.delete(", "objects.delete"),
    ("sources.receive(", "sources.receive"),
    ("sources.remove(", "sources.remove"),
];

/// The machinery that every commit and every fenced call passes: the place is who called it.
const MACHINERY: [&str; 4] = ["store/src/tx.rs", "store/src/db.rs", "kernel/src/ctx.rs", "kernel/src/fence.rs"];

/// Lines that no story can reach, each with its reason. One that is reached all the same, or that
/// is gone, fails the test.
const UNREACHED: [(&str, &str, &str, &str); 7] = [
    (
        "deliver/src/work/archive.rs",
        "store",
        "objects.delete",
        "what fails its check fails the stream that is stored, so nothing is there to delete",
    ),
    (
        "deliver/src/work/rollouts.rs",
        "tell_newest",
        "commit",
        "only the ledger of an earlier version has a place whose newest rollout is not told under its name",
    ),
    (
        "store/src/about.rs",
        "catch_up",
        "commit",
        "only the ledger of an earlier version has facts that are not indexed; the store's own tests have one",
    ),
    ("store/src/dump.rs", "restore", "commit", "a database is restored where no control plane runs"),
    (
        "deliver/src/work/build_task.rs",
        "make_room",
        "engine.stop",
        "the disk of a simulated world has no end; `a_full_disk_stops_changes_and_nothing_else` of e2e fills one",
    ),
    (
        "deliver/src/work/garbage.rs",
        "strays",
        "objects.delete",
        "takes a death and an hour of waiting; `keeping.rs` in the flow tests of deliver plants what it finds",
    ),
    (
        "store/src/room.rs",
        "hold_room",
        "commit",
        "called by the binary alone, since only a real file has room; a leftover of the first commit is dropped by the next run",
    ),
];

/// An effect of the platform: its name says where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    pub file: String,
    pub line: usize,
    pub function: String,
    pub kind: &'static str,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {} {}", self.file, self.line, self.function, self.kind)
    }
}

impl Site {
    /// Why no story comes here, if that is known.
    pub fn unreached(&self) -> Option<&'static str> {
        let here = |(file, function, kind, _): &&(&str, &str, &str, &str)| {
            (*file, *function, *kind) == (&*self.file, &*self.function, self.kind)
        };
        UNREACHED.iter().find(here).map(|(_, _, _, why)| *why)
    }
}

/// Every effect in the source.
pub fn all() -> Vec<Site> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in CRATES {
        walk(&root, &root.join(name).join("src"), &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Site>) {
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("a folder can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
        if path.is_dir() {
            if name != "testing" {
                walk(root, &path, found);
            }
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let file = path.strip_prefix(root).expect("it is below").to_str().expect("names are UTF-8").to_owned();
            if !MACHINERY.contains(&file.as_str()) {
                found.extend(effects(&file, &std::fs::read_to_string(&path).expect("source can be read")));
            }
        }
    }
}

/// The effects in one file, tests left out.
pub fn effects(file: &str, text: &str) -> Vec<Site> {
    let mut function = String::new();
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.starts_with("#[cfg(test)]") {
            break;
        }
        let code = text.split("//").next().unwrap_or_default();
        if let Some((_, rest)) = code.split_once("fn ") {
            function = rest.split(['(', '<']).next().unwrap_or_default().to_owned();
        }
        // A call that is broken across lines begins with its dot.
        let code = code.trim_start();
        let of = |(word, kind): &(&str, &'static str)| {
            let broken = word
                .split_once('.')
                .is_some_and(|(_, call)| code.strip_prefix('.').is_some_and(|c| c.starts_with(call)));
            (code.contains(word) || (broken && *word != ".commit()")).then_some(*kind)
        };
        let mut kinds: Vec<&'static str> = EFFECTS.iter().filter_map(of).collect();
        kinds.dedup();
        found.extend(kinds.into_iter().map(|kind| Site {
            file: file.to_owned(),
            line,
            function: function.clone(),
            kind,
        }));
    }
    found
}

/// The effect that a point belongs to: a call that is broken across lines has its point below its
/// beginning, at the `await`.
pub fn site_of<'a>(sites: &'a [Site], point: &Point) -> Option<&'a Site> {
    let place = point.place.as_ref()?;
    let kind = point.kind.trim_end_matches(", done");
    let here = sites.iter().filter(|site| site.file == place.file && site.kind == kind && site.line <= place.line);
    here.max_by_key(|site| site.line).filter(|site| place.line - site.line < 12)
}

#[test]
fn effects_are_found_in_source() {
    let text = "async fn a(x: u8) {\n    tx.commit().await?;\n    ctx.platform().ports()\n        .objects.put(&key)\n        .await?;\n}\n\
        // engine.stop(id)\nasync fn b() {\n    engine.stop(id, generation, grace(id)).await\n}\n#[cfg(test)]\nmod tests {\n    tx.commit()\n}\n";
    let found: Vec<String> = effects("x/src/a.rs", text).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["x/src/a.rs:2 a commit", "x/src/a.rs:4 a objects.put", "x/src/a.rs:9 b engine.stop"]);
}
