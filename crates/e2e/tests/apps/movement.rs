//! Everything that moves, with visitors watching: not one request may fail.

use std::time::Duration;

use api::access::{SetSetting, SettingPath, SettingQuery, SettingValue};
use api::deliver::{BoardEntry, GetBoard, RolloutState};
use api::run::{ListInstances, PlaceQuery};
use base::{Problem, Result};
use e2e::{Cases, Installation, Source, Visitors, ensure};

#[test]
fn what_moves_moves_without_a_failed_request() {
    crate::run(async {
        let place = Installation::start().await.expect("an installation starts");
        let p = &place;
        let mut cases = Cases::new();
        let python = &["git", "python3"];
        cases.add("versions under load", python, versions(p));
        cases.add("promotion", python, promotion(p));
        cases.add("a newer push takes over", python, supersedes(p));
        cases.add("cancel a rollout", python, cancel_rollout(p));
        cases.add("cancel a build", &["git", "node", "npm"], cancel_build(p));
        cases.add("scale and restart", python, scale(p));
        cases.add("settings and secrets", python, settings(p));
        cases.add("needs", python, needs(p));
        cases.add("an instance is killed", python, instance_killed(p));
        cases.run(3).await;
    });
}

#[test]
fn a_control_plane_may_die_and_a_machine_may_lose_power() {
    if let Some(program) = e2e::missing(&["git", "python3"]) {
        eprintln!("!!! the death of the control plane SKIPPED: there is no program `{program}` on the path");
        return;
    }
    crate::run(async { deaths().await.expect("everything comes back") });
}

/// A small server that says its version and can be asked about its surroundings.
const SERVER: &str = r#"
import json, os, signal, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def fetch(url):
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).read().decode()
    except Exception as error:
        return f"unreachable: {error}"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/env": body = os.environ.get(query, "(unset)")
        elif path == "/fetch": body = fetch(query)
        elif path == "/fetch-need": body = fetch(os.environ.get(query, "http://unset.invalid"))
        else: body = "VERSION"
        body = body.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, text, *values):
        print(json.dumps({"message": "request", "path": self.path}), flush=True)

server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"#;

fn server<'a>(place: &'a Installation, service: &str) -> Result<Source<'a>> {
    let source = Source::at(place, service)?;
    source.write("Procfile", "web: python3 -u server.py\n")?;
    version(&source, "v1")?;
    Ok(source)
}

fn version(source: &Source<'_>, version: &str) -> Result<()> {
    source.write("server.py", SERVER.replace("VERSION", version))?;
    Ok(())
}

async fn says(source: &Source<'_>, path: &str, text: &str) -> Result<()> {
    let answer = source.ask(path).await?;
    ensure!(answer.status == 200 && answer.body.contains(text), "{path}: wanted `{text}`, got {answer:?}");
    Ok(())
}

/// Looks again and again until it is so.
async fn until<F: Future<Output = Result<bool>>>(what: &str, look: impl Fn() -> F) -> Result<()> {
    for _ in 0..150 {
        if look().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Problem::timeout("never", format!("never seen: {what}")))
}

async fn versions(place: &Installation) -> Result<()> {
    let source = server(place, "versions")?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 3);
    version(&source, "v2")?;
    source.push().await?.good()?;
    says(&source, "/", "v2").await?;
    source.write("server.py", "raise SystemExit('v3 is broken')")?;
    source.push().await?.bad(&["v3 is broken"])?;
    says(&source, "/", "v2").await?;
    let back = source.orlop(&["rollback", "--service", "versions", "--env", "dev", "--to", "1"]).await?;
    back.done()?;
    says(&source, "/", "v1").await?;
    let seen = visitors.leave().await;
    seen.all_well()?;
    ensure!(seen.saw("v1") && seen.saw("v2") && seen.bodies.len() == 2, "{:?}", seen.bodies);
    Ok(())
}

async fn board(place: &Installation, source: &Source<'_>) -> Result<Vec<BoardEntry>> {
    Ok(place.client.get::<GetBoard>(&source.path()).await?.items)
}

async fn promotion(place: &Installation) -> Result<()> {
    let source = server(place, "promoted")?;
    source.push().await?.good()?;
    for to in ["staging", "prod"] {
        source.orlop(&["promote", "--service", "promoted", "--to", to]).await?.done()?;
        let answer = place.client.ask(&source.host(to), "/").await?;
        ensure!(answer.status == 200 && answer.body == "v1", "{to}: {answer:?}");
    }
    let board = board(place, &source).await?;
    let first = board.first().and_then(|b| b.artifact);
    ensure!(board.len() == 3 && first.is_some() && board.iter().all(|b| b.artifact == first), "{board:?}");
    ensure!(source.builds().await?.len() == 1, "a promotion built something");
    Ok(())
}

async fn supersedes(place: &Installation) -> Result<()> {
    let source = server(place, "hurried")?;
    source.push().await?.good()?;
    // The second never becomes ready; the third does not wait for it.
    source.write("server.py", "import time\ntime.sleep(600)")?;
    source.orlop(&["deploy", "--detach", "--service", "hurried"]).await?.done()?;
    until("the second starts", || async {
        Ok(source.rollouts().await?.first().is_some_and(|r| r.number == 2 && r.state == RolloutState::Starting))
    })
    .await?;
    version(&source, "v3")?;
    source.push().await?.good()?;
    says(&source, "/", "v3").await?;
    let rollouts = source.rollouts().await?;
    ensure!(rollouts.iter().any(|r| r.number == 2 && r.state == RolloutState::Superseded), "{rollouts:?}");
    Ok(())
}

async fn cancel_rollout(place: &Installation) -> Result<()> {
    let source = server(place, "regretted")?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 1);
    source.write("server.py", "import time\ntime.sleep(600)")?;
    source.orlop(&["deploy", "--detach", "--service", "regretted"]).await?.done()?;
    until("the second starts", || async {
        Ok(source.rollouts().await?.first().is_some_and(|r| r.number == 2 && r.state == RolloutState::Starting))
    })
    .await?;
    let rollout = source.rollouts().await?.first().map(|r| r.rollout.to_string()).unwrap_or_default();
    source.orlop(&["rollout", "cancel", &rollout, "--service", "regretted"]).await?.done()?;
    until("it is cancelled", || async {
        Ok(source.rollouts().await?.first().is_some_and(|r| r.state == RolloutState::Cancelled))
    })
    .await?;
    says(&source, "/", "v1").await?;
    visitors.leave().await.all_well()
}

async fn cancel_build(place: &Installation) -> Result<()> {
    use api::deliver::BuildState;
    let source = Source::of(place, "hangs-build", "stopped")?;
    source.orlop(&["deploy", "--detach", "--service", "stopped"]).await?.done()?;
    until("it builds", || async { Ok(source.builds().await?.first().is_some_and(|b| b.state == BuildState::Running)) })
        .await?;
    let build = source.builds().await?.first().map(|b| b.build.to_string()).unwrap_or_default();
    source.orlop(&["build", "cancel", &build, "--service", "stopped"]).await?.done()?;
    until("it is cancelled", || async {
        Ok(source.builds().await?.first().is_some_and(|b| b.state == BuildState::Cancelled))
    })
    .await?;
    ensure!(source.releases().await?.is_empty(), "a cancelled build made a release");
    Ok(())
}

async fn ready(place: &Installation, source: &Source<'_>) -> Result<usize> {
    let page = place.client.list::<ListInstances>(&source.path(), &PlaceQuery::default()).await?;
    Ok(page.items.iter().filter(|i| i.state == "ready").count())
}

async fn scale(place: &Installation) -> Result<()> {
    let source = server(place, "elastic")?;
    source.write("orlop.yaml", "size: { instances: 1..3 }\n")?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 2);
    let pids = |n: usize| {
        let source = &source;
        async move { until("so many are ready", || async { Ok(ready(place, source).await? == n) }).await }
    };
    for n in ["3", "1"] {
        source.orlop(&["scale", n, "--service", "elastic", "--env", "dev"]).await?.done()?;
        pids(n.parse().unwrap_or(0)).await?;
    }
    source.orlop(&["restart", "--service", "elastic", "--env", "dev"]).await?.done()?;
    pids(1).await?;
    visitors.leave().await.all_well()
}

async fn settings(place: &Installation) -> Result<()> {
    let source = server(place, "configured")?;
    source.write("orlop.yaml", "settings: { COLOUR: blue }\n")?;
    source.push().await?.good()?;
    says(&source, "/env?COLOUR", "blue").await?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 1);
    source.orlop(&["setting", "set", "COLOUR=green", "--service", "configured", "--env", "dev"]).await?.done()?;
    let secret = SettingPath { service: source.service.clone(), name: "KEY".parse()? };
    let value = SettingValue { value: "hunter2-e2e".into(), secret: true };
    let told = place.client.call::<SetSetting>(&secret, &SettingQuery::default(), Some(&value)).await?;
    ensure!(told.secret && told.value.is_none(), "the reply tells the secret");
    source.orlop(&["restart", "--service", "configured", "--env", "dev"]).await?.done()?;
    says(&source, "/env?COLOUR", "green").await?;
    says(&source, "/env?KEY", "hunter2-e2e").await?;
    for look in [
        &["setting", "list", "--json", "--service", "configured"][..],
        &["setting", "history", "KEY", "--json", "--service", "configured"],
        &["audit", "list", "--json"],
        &["releases", "--json", "--service", "configured"],
        &["logs", "--json", "--tail", "10000", "--service", "configured"],
    ] {
        let told = place.orlop(look).await?.done()?.all();
        ensure!(!told.contains("hunter2-e2e"), "{look:?} tells the secret");
    }
    let log = std::fs::read_to_string(place.path("up.log")).unwrap_or_default();
    ensure!(!log.contains("hunter2-e2e"), "the platform's own log tells the secret");
    visitors.leave().await.all_well()
}

async fn needs(place: &Installation) -> Result<()> {
    let stock = server(place, "stock")?;
    stock.push().await?.good()?;
    let hidden = server(place, "hidden")?;
    hidden.push().await?.good()?;
    let shop = server(place, "shop")?;
    shop.write("orlop.yaml", "needs: { stock: { service: stock } }\n")?;
    shop.push().await?.good()?;
    says(&shop, "/fetch-need?STOCK_URL", "v1").await?;
    // Not declared: neither its port nor, if the gateway can be reached, its name may answer.
    let page = place.client.list::<ListInstances>(&hidden.path(), &PlaceQuery::default()).await?;
    let address = page.items.iter().find_map(|i| i.address.clone());
    let Some(address) = address else { return Err(Problem::internal("no-address", "an instance without address")) };
    let doctor = place.orlop(&["doctor"]).await?.all();
    // In a network of its own it has no address that could be asked for: its name stands for it.
    let place_of = if address.starts_with("unix:") {
        let port = place.client.gateway().rsplit(':').next().unwrap_or_default();
        format!("{}:{port}", hidden.host("dev"))
    } else {
        address
    };
    let answer = shop.ask(&format!("/fetch?http://{place_of}/")).await?;
    if doctor.contains("network") && doctor.contains("limited") && answer.body == "v1" {
        eprintln!("!!! the wall between services SKIPPED: this machine has none, and the doctor says so");
        return Ok(());
    }
    ensure!(answer.body.starts_with("unreachable"), "an undeclared service answers: {answer:?}\n{doctor}");
    Ok(())
}

/// The process of an instance of this service, found by its working folder's code.
async fn instance_killed(place: &Installation) -> Result<()> {
    let source = server(place, "mortal")?;
    source.write(
        "server.py",
        SERVER.replace("VERSION", "v1").replace(
            "if path == \"/env\"",
            "if path == \"/die\": os.kill(os.getpid(), 9)\n        elif path == \"/env\"",
        ),
    )?;
    source.push().await?.good()?;
    let _ = source.ask("/die").await;
    until("it serves again", || async { Ok(source.ask("/").await?.status == 200) }).await?;
    source.logged("signal", &["--json"]).await
}

async fn deaths() -> Result<()> {
    let mut place = Installation::start().await?;
    let source = server(&place, "steady")?;
    source.push().await?.good()?;
    let visitors = Visitors::begin(&place.client, &source.host("dev"), 2);
    tokio::time::sleep(Duration::from_millis(300)).await;
    place.kill_control();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    place.up().await?;
    let source = server(&place, "steady")?;
    version(&source, "v2")?;
    source.push().await?.good()?;
    says(&source, "/", "v2").await?;
    let seen = visitors.leave().await;
    seen.all_well()?;
    let last = seen.answered.last().cloned().unwrap_or_default();
    source.logged(&format!("{last}\\\""), &["--json"]).await?;
    let log = source.logs(&["--json"]).await?;
    let lost: Vec<_> = seen.answered.iter().filter(|path| !log.contains(&format!("{path}\\\""))).collect();
    ensure!(lost.is_empty(), "{} of {} log lines are lost: {:?}", lost.len(), seen.answered.len(), lost.first());

    place.kill_everything();
    place.up().await?;
    let source = server(&place, "steady")?;
    until("the service is back after the power cut", || async {
        Ok(source.ask("/").await.is_ok_and(|a| a.status == 200 && a.body == "v2"))
    })
    .await?;
    until("the platform says so", || async {
        let status = place.client.get::<api::catalog::GetStatus>(&source.path()).await?;
        Ok(status.environments.first().is_some_and(|e| e.health == api::catalog::Health::Healthy))
    })
    .await?;
    version(&source, "v3")?;
    source.push().await?.good()?;
    says(&source, "/", "v3").await
}
