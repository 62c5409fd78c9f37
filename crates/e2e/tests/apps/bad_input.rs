//! Every bad input of the list: a clear error that names place and fix, and nothing is lost.

use base::Result;
use e2e::{Cases, Installation, Options, Source, Visitors, ensure};

/// Bounds that bad builds and programs meet soon.
const TIGHT: [&str; 5] = [
    "build.deadline=15s",
    "build.memory=192Mi",
    "build.disk=48Mi",
    "rollout.start_deadline=8s",
    "rollout.release_deadline=20s",
];

/// A manifest and what the person has to be told about it.
const MANIFESTS: &[(&str, &str, &[&str])] = &[
    ("unknown key", "run:\n  helth: /x\n", &["orlop.yaml:2:3", "`helth` is not a key of `run`", "write `health`"]),
    ("wrong type", "size:\n  instances: [1]\n", &["orlop.yaml:2:14", "takes a number", "here is a list"]),
    ("bad name", "service: Bad_Name\n", &["orlop.yaml:1:10", "Bad_Name"]),
    ("bad yaml", "run: [\n", &["orlop.yaml:"]),
    (
        "missing need",
        "needs:\n  stock: { service: no-such }\n",
        &["needs.stock.service", "no-such", "orlop service create"],
    ),
    ("missing setting", "settings:\n  X: \"${settings.NOPE}\"\n", &["settings.X", "`NOPE`", "orlop setting set NOPE="]),
    ("a host of another", "routes:\n  - host: taken.example.com\n", &["taken.example.com"]),
    ("a host of the platform", "routes:\n  - host: other-dev.localhost\n", &["other-dev.localhost"]),
];

/// A fixture, a manifest for it, and what the person has to be told.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("nothing", "", &["Procfile", "README.md", "orlop.yaml"]),
    ("broken-build", "", &["cannot find the template `header.html`"]),
    ("hangs-build", "", &["still building", "15s"]),
    ("exits-at-once", "", &["DATABASE_URL is not set"]),
    ("never-listens", "", &["$PORT"]),
    ("other-port", "", &["$PORT"]),
    ("answers-500", "run: { health: /healthz }\n", &["/healthz", "500"]),
];

#[test]
fn bad_input_is_told_and_nothing_is_lost() {
    crate::run(async {
        let place = Installation::with(Options::with(&TIGHT)).await.expect("an installation starts");
        let p = &place;
        let owner = Source::of(p, "static", "owner").expect("a fixture");
        owner.write("orlop.yaml", "routes:\n  - host: taken.example.com\n").expect("a file");
        owner.push().await.and_then(e2e::Outcome::good).expect("the first one gets the host");
        let guard = Visitors::begin(&p.client, "taken.example.com", 1);

        let mut cases = Cases::new();
        cases.add("hostile manifests", &["git"], async move {
            for (i, (what, manifest, words)) in hostile().into_iter().enumerate() {
                refused(p, format!("hostile-{i}"), &manifest, words, what).await?;
            }
            Ok(())
        });
        for (i, (what, manifest, words)) in MANIFESTS.iter().enumerate() {
            cases.add(what, &["git"], refused(p, format!("manifest-{i}"), manifest, words, what));
        }
        for (fixture, manifest, words) in PROGRAMS {
            cases.add(fixture, &["git", "python3", "node", "npm"], broken(p, fixture, manifest, words));
        }
        cases.add(
            "a build that fills the disk",
            &["git", "node", "npm"],
            broken_build(p, "disk", FILLS_DISK, &["48Mi", "build.disk"]),
        );
        cases.add(
            "a build that eats memory",
            &["git", "node", "npm"],
            broken_build(p, "memory", EATS_MEMORY, &["192Mi", "build.memory"]),
        );
        cases.add("a program that ignores SIGTERM", &["git", "python3"], ignores_sigterm(p));
        cases.add("a program that eats memory", &["git", "python3"], eats_memory(p));
        cases.add("names outside the grammar", &[], names(p));
        cases.add("what does not exist", &[], absent(p));
        cases.run(3).await;
        let seen = guard.leave().await;
        seen.all_well().expect("whoever had the host keeps it");
        assert!(seen.bodies.len() == 1 && seen.saw("hello from static"), "{:?}", seen.bodies);
    });
}

/// Manifests that were made to hurt.
fn hostile() -> Vec<(&'static str, String, &'static [&'static str])> {
    let mut bomb = "settings:\n  A: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 0..9 {
        let before = if i == 0 { "a".to_owned() } else { format!("b{}", i - 1) };
        let nine = vec![format!("*{before}"); 9].join(",");
        bomb.push_str(&format!("  B{i}: &b{i} [{nine}]\n"));
    }
    vec![
        ("100k nesting", format!("a: {}", "[".repeat(100_000)), &["orlop.yaml:1:", "nests deeper"]),
        ("alias bomb", bomb, &["orlop.yaml:", "aliases"]),
        ("not text", "\u{0}\u{1}\u{2}".to_owned(), &["orlop.yaml"]),
        ("too large", format!("# {}\n", "x".repeat(2 << 20)), &["orlop.yaml"]),
    ]
}

/// First a good release; then one with this manifest, which must be refused while the good one serves on.
async fn refused(place: &Installation, service: String, manifest: &str, words: &[&str], what: &str) -> Result<()> {
    let source = Source::of(place, "static", &service)?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 1);
    source.write("orlop.yaml", manifest)?;
    source.edit("index.html", "hello from static", "never to be seen")?;
    let outcome = source.push().await?;
    ensure!(outcome.told.len() < 4000, "{what}: a message of {} bytes", outcome.told.len());
    outcome.bad(words)?;
    unharmed(visitors, &source).await
}

/// Nobody was refused, nobody saw the bad one, and the release of before is the current one.
async fn unharmed(visitors: Visitors, source: &Source<'_>) -> Result<()> {
    source.ask("/").await?;
    let seen = visitors.leave().await;
    seen.all_well()?;
    ensure!(seen.bodies.len() == 1, "{:?}", seen.bodies);
    let current: Vec<_> =
        source.releases().await?.into_iter().filter(|r| !r.current_in.is_empty()).map(|r| r.number).collect();
    ensure!(current == [1], "current: {current:?}");
    Ok(())
}

/// First a good release; then a fixture in its place.
async fn broken(place: &Installation, fixture: &str, manifest: &str, words: &[&str]) -> Result<()> {
    let source = Source::of(place, "static", fixture)?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 1);
    source.clear()?;
    let source = Source::of(place, fixture, fixture)?;
    if !manifest.is_empty() {
        source.write("orlop.yaml", manifest)?;
    }
    source.push().await?.bad(words)?;
    unharmed(visitors, &source).await
}

const FILLS_DISK: &str = "const fs = require('fs'); const piece = Buffer.alloc(1 << 20, 1);
const out = fs.openSync('big', 'w'); for (let i = 0; i < 400; i++) fs.writeSync(out, piece);";
const EATS_MEMORY: &str = "const all = []; for (let i = 0; i < 900; i++) all.push(Buffer.alloc(1 << 20, i % 250 + 1));
console.log(all.length, 'MiB taken');";

async fn broken_build(place: &Installation, service: &str, script: &str, words: &[&str]) -> Result<()> {
    let source = Source::of(place, "broken-build", service)?;
    source.write("build.js", script)?;
    source.push().await?.bad(words)?;
    ensure!(source.releases().await?.is_empty(), "there is a release of a build that failed");
    Ok(())
}

/// It serves; when a new release takes its place it is ended by force, and no request is lost.
async fn ignores_sigterm(place: &Installation) -> Result<()> {
    let source = Source::of(place, "ignores-sigterm", "stubborn")?;
    source.write("orlop.yaml", "run: { stop: 1s }\n")?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 2);
    source.edit("server.py", r#"b"ok\n""#, r#"b"v2\n""#)?;
    source.push().await?.good()?;
    source.ask("/").await?;
    let seen = visitors.leave().await;
    seen.all_well()?;
    source.logged("told to stop, and going on", &[]).await
}

/// The one that takes too much is ended and started again; its visitors are told honestly.
async fn eats_memory(place: &Installation) -> Result<()> {
    let source = Source::of(place, "eats-memory", "hungry")?;
    source.write("orlop.yaml", "size: { memory: 96Mi }\n")?;
    source.push().await?.good()?;
    let answer = source.ask("/eat").await?;
    ensure!(answer.status == 502 || answer.status == 503, "{answer:?}");
    source.logged("memory", &["--json"]).await?;
    for _ in 0..100 {
        if source.ask("/").await?.status == 200 {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    ensure!(false, "it was not started again: {}", source.logs(&[]).await?);
    Ok(())
}

async fn says(place: &Installation, args: &[&str], words: &[&str]) -> Result<()> {
    let finished = place.orlop(args).await?;
    let all = finished.all();
    ensure!(finished.status != Some(0), "{args:?} succeeded: {all}");
    ensure!(words.iter().all(|w| all.contains(w)), "{args:?}: wanted {words:?} in: {all}");
    Ok(())
}

async fn names(place: &Installation) -> Result<()> {
    for name in ["Shop", "shop_1", "1shop", "-shop", "shop-", "a--b", "ünder", "a/b", "..", ""] {
        says(place, &["service", "create", "--", name], &["invalid value"]).await?;
    }
    says(place, &["setting", "set", "lower=1", "--service", "owner"], &["capital letters"]).await?;
    says(place, &["logs", "--service", "owner", "--env", "Dev"], &["Dev"]).await?;
    let answer = place.client.ask("-bad-.localhost", "/").await?;
    ensure!((400..500).contains(&answer.status), "{answer:?}");
    Ok(())
}

async fn absent(place: &Installation) -> Result<()> {
    says(place, &["logs", "--service", "no-such"], &["`no-such`", "orlop service"]).await?;
    says(place, &["setting", "unset", "NOPE", "--service", "owner"], &["NOPE"]).await?;
    says(place, &["rollback", "--service", "owner", "--env", "dev"], &["owner"]).await?;
    says(place, &["rollback", "--service", "owner", "--env", "dev", "--to", "99"], &["99"]).await?;
    says(place, &["promote", "--service", "owner", "--to", "mars"], &["mars", "staging"]).await?;
    says(place, &["scale", "x=2", "--service", "owner", "--env", "dev"], &["x"]).await?;
    says(place, &["new", "no-such", "shop"], &["no-such"]).await
}
