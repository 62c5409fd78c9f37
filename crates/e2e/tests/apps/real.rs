//! Repositories as they are found in the world, built for real, answering through the gateway.

use api::catalog::{GetStatus, Health};
use base::Result;
use e2e::{Cases, Installation, Source, ensure};

/// What a service has to answer: path, status, a text in the body.
type Answers = [(&'static str, u16, &'static str)];

#[test]
fn repositories_work_as_they_are() {
    crate::run(async {
        let place = Installation::start().await.expect("an installation starts");
        let p = &place;
        let mut cases = Cases::new();
        // The longest first.
        cases.add("rust-deps", &["git", "cargo"], rust_deps(p));
        cases.add("django", &["git", "python3"], pushed(p, "django", DJANGO, "page shown"));
        cases.add("express", &["node", "npm"], deployed(p, "express", EXPRESS, "listening"));
        cases.add("flask", &["python3"], deployed(p, "flask", FLASK, "\"path\": \"/\""));
        cases.add("static", &["git"], files(p));
        cases.add("procfile", &["git", "python3"], procfile(p));
        cases.add("release gate", &["git", "python3"], release_gate(p));
        cases.run(3).await;
    });
}

#[test]
fn templates_work_as_they_are() {
    crate::run(async {
        let place = Installation::start().await.expect("an installation starts");
        let p = &place;
        let mut cases = Cases::new();
        cases.add("template web", &["git", "cargo"], template(p, "web", Some("Hello"), "listening"));
        cases.add("template worker", &["cargo"], template(p, "worker", None, ""));
        cases.add("template site", &["git"], template(p, "site", Some("<"), ""));
        cases.add("template python-web", &["python3"], template(p, "python-web", Some("Hello"), ""));
        cases.add("template node-web", &["node", "npm"], template(p, "node-web", Some("Hello"), ""));
        cases.run(3).await;
    });
}

const DJANGO: &Answers = &[
    ("/", 200, "<h1>hello from django</h1>"),
    ("/healthz", 200, "true"),
    ("/static/shop.css", 404, ""),
    ("/x", 404, ""),
];
const FLASK: &Answers = &[("/", 200, "hello from flask"), ("/healthz", 200, "true"), ("/x", 404, "")];
const EXPRESS: &Answers = &[("/", 200, "hello from express"), ("/healthz", 200, "true"), ("/x", 404, "")];
const RUST_DEPS: &Answers = &[("/", 200, "hello from rust-deps"), ("/healthz", 200, "ok"), ("/x", 404, "not here")];
const STATIC: &Answers = &[
    ("/", 200, "hello from static"),
    ("/about/", 200, "about static"),
    ("/css/site.css", 200, "{"),
    ("/x", 404, "nothing here"),
    ("/.env.example", 404, "nothing here"),
    ("/../../etc/passwd", 404, ""),
];

async fn pushed(place: &Installation, fixture: &str, answers: &Answers, logged: &str) -> Result<()> {
    let source = Source::of(place, fixture, fixture)?;
    source.push().await?.good()?;
    serves(place, &source, answers).await?;
    source.logged(logged, &[]).await
}

async fn deployed(place: &Installation, fixture: &str, answers: &Answers, logged: &str) -> Result<()> {
    let source = Source::of(place, fixture, fixture)?;
    source.deploy().await?.good()?;
    serves(place, &source, answers).await?;
    source.logged(logged, &["--env", "dev", "--process", "web"]).await
}

/// It answers as it should, and the platform says so too.
async fn serves(place: &Installation, source: &Source<'_>, answers: &Answers) -> Result<()> {
    for (path, status, text) in answers {
        let answer = source.ask(path).await?;
        ensure!(
            answer.status == *status && answer.body.contains(text),
            "{path}: wanted {status} `{text}`, got {answer:?}"
        );
    }
    let status = place.client.get::<GetStatus>(&source.path()).await?;
    let dev = status.environments.first();
    ensure!(dev.is_some_and(|e| e.health == Health::Healthy && e.ready == e.wanted), "{status:?}");
    Ok(())
}

/// The same content gives the same artifact.
async fn again(source: &Source<'_>) -> Result<()> {
    source.push().await?.good()?;
    let releases = source.releases().await?;
    let digests: Vec<_> = releases.iter().map(|r| &r.artifact).collect();
    ensure!(matches!(digests[..], [a, b] if a == b), "two pushes of the same content: {digests:?}");
    Ok(())
}

async fn rust_deps(place: &Installation) -> Result<()> {
    let source = Source::of(place, "rust-deps", "rust-deps")?;
    source.push().await?.good()?;
    serves(place, &source, RUST_DEPS).await?;
    source.logged(r#""message":"listening""#, &[]).await?;
    again(&source).await
}

async fn files(place: &Installation) -> Result<()> {
    let source = Source::of(place, "static", "static")?;
    source.push().await?.good()?;
    serves(place, &source, STATIC).await?;
    source.logged("serving files", &[]).await?;
    again(&source).await
}

async fn procfile(place: &Installation) -> Result<()> {
    let source = Source::of(place, "procfile", "procfile")?;
    let told = source.push().await?.good()?.told;
    ensure!(told.contains("the release command runs"), "{told}");
    serves(place, &source, &[("/", 200, "hello from procfile"), ("/healthz", 200, "ok")]).await?;
    source.logged("release command ran", &["--process", "release"]).await?;
    source.logged("job done", &["--process", "worker"]).await?;
    let web = source.logs(&["--process", "web"]).await?;
    ensure!(web.contains("listening") && !web.contains("job done"), "{web}");
    Ok(())
}

/// A release whose release command fails gets no traffic.
async fn release_gate(place: &Installation) -> Result<()> {
    let source = Source::of(place, "procfile", "gate")?;
    source.push().await?.good()?;
    let before = source.ask("/").await?;
    source.write("release.py", "import sys\nprint('no such column: price', flush=True)\nsys.exit(9)\n")?;
    source.edit("Procfile", "hello from procfile", "hello from the second")?;
    source.push().await?.bad(&["release command", "9"])?;
    let after = source.ask("/").await?;
    ensure!(after.body == before.body && after.release == before.release, "{before:?}, then {after:?}");
    source.logged("no such column: price", &["--process", "release"]).await
}

async fn template(place: &Installation, template: &str, says: Option<&str>, logged: &str) -> Result<()> {
    let service = format!("my-{template}");
    place.orlop(&["new", template, &service]).await?.done()?;
    let source = Source::at(place, &service)?;
    match template {
        "web" | "site" => source.push().await?.good()?,
        _ => source.deploy().await?.good()?,
    };
    let status = place.client.get::<GetStatus>(&source.path()).await?;
    ensure!(status.environments.first().is_some_and(|e| e.health == Health::Healthy && e.ready > 0), "{status:?}");
    if let Some(text) = says {
        let answer = source.ask("/").await?;
        ensure!(answer.status == 200 && answer.body.contains(text), "{answer:?}");
    }
    let own = source.logs(&["--json"]).await?;
    ensure!(
        own.lines().any(|l| l.contains(r#""stream":"out""#) && l.contains(logged)),
        "nothing of its own in the log: {own}"
    );
    Ok(())
}
