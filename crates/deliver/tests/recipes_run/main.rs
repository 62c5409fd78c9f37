//! Carries plans out on this machine: the fixtures of the end-to-end tests are built by their
//! recipe's steps, collected, started with a port, asked for a page, and told to stop. Nothing is
//! isolated here; `/workspace`, `/cache` and `/app` are folders of a temporary one. A fixture whose
//! tools this machine lacks is skipped, loudly.

mod bench;

use bench::{Bench, Outcome};

/// Builds, runs the release command, starts `web`, asks for two pages, tells it to stop.
fn check(fixture: &str, page_has: &str) -> Option<Bench> {
    let bench = Bench::built(fixture)?;
    bench.release();
    let web = bench.start("web");
    for (path, part) in [("/", page_has), ("/healthz", "")] {
        let (status, body) = web.get(path);
        assert_eq!(status, 200, "{fixture}{path}: {body}\n{}", web.log());
        assert!(body.contains(part), "{fixture}{path}: {body}");
    }
    assert_eq!(web.stop(), Outcome::Ended, "{fixture} must stop when told to\n{}", web.log());
    Some(bench)
}

#[test]
fn django() {
    let Some(bench) = check("django", "from the test") else { return };
    assert!(bench.app("staticfiles/shop.css").is_file(), "collectstatic ran");
    assert!(!bench.app(".git").exists());
}

#[test]
fn flask() {
    check("flask", "from the test");
}

#[test]
fn express() {
    check("express", "from the test");
}

#[test]
fn rust_with_dependencies() {
    check("rust-deps", "from the test");
}

#[test]
fn rust_plain() {
    check("rust-plain", "hello from rust-plain");
}

/// The same source makes the same program from nothing, and the places of the build are not in it.
#[test]
fn rust_is_reproducible() {
    let Some(bench) = Bench::built("rust-deps") else { return };
    let first = std::fs::read(bench.app("rust-deps")).unwrap();
    let bench = bench.again("rust-deps");
    let second = std::fs::read(bench.app("rust-deps")).unwrap();
    assert!(first == second, "two builds of one source differ");
    assert!(
        !String::from_utf8_lossy(&first).contains(bench.root().to_str().unwrap()),
        "it has the path of its build in it"
    );
}

#[test]
fn procfile() {
    let Some(bench) = check("procfile", "from the test") else { return };
    let worker = bench.start("worker");
    worker.wait_for_line("job done");
    assert_eq!(worker.stop(), Outcome::Ended, "{}", worker.log());
}

#[test]
fn site() {
    let Some(bench) = Bench::built("static") else { return };
    for file in ["index.html", "404.html", "css/site.css", "about/index.html", ".well-known/security.txt"] {
        assert!(bench.app(file).is_file(), "{file}");
    }
    assert!(!bench.app(".env.example").exists(), "hidden files are for nobody");
}

#[test]
fn broken_builds_fail_where_they_should() {
    let Some(bench) = Bench::planned("broken-build") else { return };
    let (step, status, log) = bench.build().unwrap_err();
    assert_eq!((&*step, status), ("build", Some(2)), "{log}");
    assert!(log.contains("cannot find the template `header.html`"), "{log}");
}

#[test]
fn broken_programs_break_as_they_should() {
    if let Some(bench) = Bench::built("exits-at-once") {
        let web = bench.start("web");
        assert_eq!(web.end(), Some(3));
        assert!(web.log().contains("DATABASE_URL is not set"));
    }
    for fixture in ["never-listens", "other-port"] {
        let Some(bench) = Bench::built(fixture) else { return };
        let web = bench.start("web");
        web.wait_for_line("listening");
        assert!(!web.listens(), "{fixture}");
        assert_eq!(web.stop(), Outcome::Ended, "{fixture}");
    }
    if let Some(bench) = Bench::built("answers-500") {
        let web = bench.start("web");
        assert_eq!(web.get("/").0, 500);
        assert_eq!(web.stop(), Outcome::Ended);
    }
    if let Some(bench) = Bench::built("ignores-sigterm") {
        let web = bench.start("web");
        assert_eq!(web.get("/").0, 200);
        assert_eq!(web.stop(), Outcome::StillRuns);
    }
}

/// With a small bound, so that nothing here is in danger; the real ones stop them.
#[test]
fn hungry_programs_take_what_they_are_asked_to() {
    for (fixture, path, word) in [("eats-memory", "/eat", "memory taken"), ("fills-disk", "/fill", "written")] {
        let Some(bench) = Bench::built(fixture) else { return };
        let web = bench.start("web");
        assert_eq!(web.get("/").0, 200, "{fixture}");
        let (status, body) = web.get(path);
        assert!(status == 200 && body.contains("was not stopped"), "{fixture}: {body}");
        assert!(web.log().contains(word), "{fixture}");
        assert_eq!(web.stop(), Outcome::Ended, "{fixture}");
    }
}

#[test]
fn every_fixture_is_known_here() {
    let folder = bench::fixtures();
    let mut seen: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .map(|name| {
            let tree = bench::tree(&bench::fixtures().join(&name));
            let outcome = deliver::recipe::detect(&tree, None);
            (name, outcome.map_or_else(|problem| problem.code.into_owned(), |plan| plan.recipe.to_string()))
        })
        .collect();
    seen.sort();
    let expect = [
        ("answers-500", "python"),
        ("broken-build", "node"),
        ("calls", "python"),
        ("django", "python"),
        ("eats-memory", "python"),
        ("exits-at-once", "python"),
        ("express", "node"),
        ("fills-disk", "python"),
        ("flask", "python"),
        ("hangs-build", "node"),
        ("ignores-sigterm", "python"),
        ("never-listens", "python"),
        ("nothing", "nothing-to-detect"),
        ("other-port", "python"),
        ("procfile", "procfile"),
        ("rust-deps", "rust"),
        ("rust-plain", "rust"),
        ("static", "site"),
        ("streams", "python"),
    ];
    let seen: Vec<(&str, &str)> = seen.iter().map(|(name, outcome)| (name.as_str(), outcome.as_str())).collect();
    assert_eq!(seen, expect);
}
