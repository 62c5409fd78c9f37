//! Ten thousand mutated snapshots and changes, handed over and lying on disk: the gateway never
//! ends, serves the last good one, says that it does, and takes the next good one.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use base::{Digest, Generation};
use ports::{Gateway as _, GatewayStatus, Route, SNAPSHOT_FORMAT, Snapshot, SnapshotChange};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::answer::{Answer, Bad, Reader};
use crate::evidence;
use crate::mutate::{self, Chance};
use crate::process::{Gateway, Waits, memory_dir};
use crate::support::{self, Front, Upstream};

/// How many are handed over and how many lie on disk; the variable multiplies both.
const HANDED: usize = 9_000;
const ON_DISK: usize = 1_000;
const LONGER: &str = "ORLOP_TEST_SNAPSHOTS_TIMES";
const SEED: u64 = 20_261_125;
const PATIENCE: Duration = Duration::from_secs(600);

fn times() -> usize {
    std::env::var(LONGER).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What a real control plane hands over: services with hosts, rollouts and weights.
fn routes(up: &Upstream) -> Vec<Route> {
    let idle = |service: &str, port: u16| {
        let id = base::InstanceId::new(base::Time::from_micros(2), [u8::try_from(port % 250).unwrap(); 10]);
        let at = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        support::route(service, vec![support::backend_at(1, &[(id, at)]), support::backend(0, &[])])
    };
    vec![
        support::route("app", vec![support::backend(100, &[up])]),
        idle("shop", 9),
        idle("mail", 10),
        support::route("none", vec![]),
    ]
}

fn whole(generation: i64, routes: &[Route]) -> Snapshot {
    Snapshot { format: SNAPSHOT_FORMAT, generation: Generation(generation), routes: routes.to_vec() }
}

/// A change that moves a weight and takes a route away.
fn change(base: i64, routes: &[Route]) -> SnapshotChange {
    let mut shop = routes[1].clone();
    shop.backends[0].weight = shop.backends[0].weight.wrapping_add(1) % 1000;
    let gone = vec![routes[3].name()];
    SnapshotChange {
        format: SNAPSHOT_FORMAT,
        base: Generation(base),
        generation: Generation(base + 1),
        routes: vec![shop],
        gone,
    }
}

/// One to three mutations, of the document, its text, or both; or a version that is newer.
fn mutated(mut value: Value, chance: &mut Chance) -> Vec<u8> {
    let kind = chance.below(10);
    if kind == 0 {
        value["format"] = [2, 99, u32::MAX][chance.below(3)].into();
        value["more"] = true.into();
    }
    for _ in 0..if kind < 8 { 1 + chance.below(3) } else { 0 } {
        mutate::document(&mut value, chance);
    }
    let mut text = serde_json::to_vec(&value).unwrap();
    if kind >= 7 {
        mutate::text(&mut text, chance);
    }
    text
}

/// The administration socket, spoken to with whatever bytes.
struct Admin {
    reader: Reader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Admin {
    async fn connect(dir: &Path) -> Self {
        let (read, write) = UnixStream::connect(dir.join("admin.sock")).await.unwrap().into_split();
        Self { reader: Reader::new(read, PATIENCE), write }
    }

    async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer, Bad> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = self.write.write_all(&[head.as_bytes(), body].concat()).await;
        self.reader.answer(false).await
    }

    async fn status(&mut self) -> GatewayStatus {
        let answer = self.call("GET", "/v1/status", b"").await.expect("a status");
        serde_json::from_slice(&answer.body).expect("a status")
    }
}

/// What is wrong with the outcome of one hand-over. `code`: of the refusal, empty where it was taken.
fn judge(before: &GatewayStatus, code: &str, http: u16, after: &GatewayStatus) -> Option<String> {
    let stays = before.generation == after.generation && before.routes == after.routes;
    let wrong = match code {
        "" if http == 200 => {
            (after.degraded.is_some() || after.generation < before.generation).then_some("it was taken")
        }
        "bad-snapshot" | "newer-snapshot" => {
            (!stays || after.degraded.is_none() || http != 422).then_some("it was refused")
        }
        "stale-generation" | "other-base" => (!stays || http != 409).then_some("it came too late"),
        _ => Some("it has no name"),
    };
    let wrong = wrong.or((before.pid != after.pid).then_some("another process answers"));
    wrong.map(|what| format!("{what} ({http} {code}), and then: {after:?}"))
}

#[tokio::test]
async fn mutated_snapshots_that_are_handed_over_change_nothing() {
    let up = Upstream::start().await;
    let routes = routes(&up);
    let long = Duration::from_secs(30);
    let mut gateway = Gateway::start(Waits { head: long, body: long, write: long }, routes.clone()).await;
    let (mut admin, mut chance) = (Admin::connect(gateway.dir.path()).await, Chance::new(SEED));
    let (mut outcomes, mut findings): (BTreeMap<String, u64>, Vec<String>) = Default::default();
    let mut before = admin.status().await;
    for n in 0..HANDED * times() {
        let base = before.generation.0;
        let (method, value) = match chance.below(3) {
            0 => ("PATCH", serde_json::to_value(change(base, &routes)).unwrap()),
            _ => ("PUT", serde_json::to_value(whole(base + 1, &routes)).unwrap()),
        };
        let text = mutated(value, &mut chance);
        let (code, http) = match admin.call(method, "/v1/snapshot", &text).await {
            Ok(answer) if answer.status == 200 => (String::new(), 200),
            Ok(answer) => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                (body["code"].as_str().unwrap_or("none").to_owned(), answer.status)
            }
            Err(bad) => (format!("{bad:?}"), 0),
        };
        let after = admin.status().await;
        let shown = crate::show(&text);
        findings.extend(judge(&before, &code, http, &after).map(|f| format!("{n}, {method} {shown}: {f}")));
        let is_taken = code.is_empty();
        *outcomes.entry(if is_taken { "taken".to_owned() } else { code }).or_default() += 1;
        before = after;
        // Traffic goes on; where another snapshot was taken, behind the next good one.
        if is_taken || n % 50 == 0 {
            let good = whole(before.generation.0 + 1, &routes);
            gateway.client.apply(&good).await.expect("the next good one is taken");
            before = admin.status().await;
            assert_eq!((before.generation, &before.degraded), (good.generation, &None), "{n}");
        }
        if is_taken || n % 10 == 0 {
            let answer = ask(gateway.address).await;
            findings.extend((answer != up.id.to_string()).then(|| format!("{n}, behind {shown}: {answer}")));
        }
    }
    evidence::write(
        "snapshots-handed-over",
        &serde_json::json!({"seed": SEED, "mutated": HANDED * times(), "outcomes": outcomes, "findings": findings.len()}),
    );
    assert!(gateway.lives());
    assert!(findings.is_empty(), "seed {SEED}: {} findings:\n{}", findings.len(), findings.join("\n"));
    let count = |code: &str| outcomes.get(code).copied().unwrap_or(0);
    assert!(count("bad-snapshot") > 1000 && count("newer-snapshot") > 100 && count("taken") > 100, "{outcomes:?}");
}

async fn ask(address: std::net::SocketAddr) -> String {
    let text = "GET /id HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n";
    support::raw(address, text).await.body
}

/// A snapshot of a million routes is refused, and traffic goes on.
#[tokio::test]
async fn a_million_routes_are_refused() {
    let up = Upstream::start().await;
    let long = Duration::from_secs(30);
    let mut gateway = Gateway::start(Waits { head: long, body: long, write: long }, routes(&up)).await;
    let mut text = br#"{"format":1,"generation":9,"routes":["#.to_vec();
    for n in 0..1_000_000 {
        let comma = if n == 0 { "" } else { "," };
        text.extend_from_slice(
            format!(r#"{comma}{{"service":"s{n}","environment":"dev","hosts":[],"backends":[]}}"#).as_bytes(),
        );
    }
    text.extend_from_slice(b"]}");
    let mut admin = Admin::connect(gateway.dir.path()).await;
    let answer = admin.call("PUT", "/v1/snapshot", &text).await.expect("an answer");
    assert!(answer.status == 422 && answer.text().contains("1000000 routes are more than"), "{}", answer.text());
    assert!(admin.status().await.degraded.is_some_and(|why| why.contains("generation 1 is served on")));
    assert_eq!(ask(gateway.address).await, up.id.to_string());
    assert!(gateway.lives());
    println!("{} bytes of snapshot, {} bytes of memory at most", text.len(), gateway.memory().1);
}

#[test]
fn the_checker_of_snapshots_finds_planted_bugs() {
    let status = |generation: i64, degraded: Option<&str>| -> GatewayStatus {
        serde_json::from_value(serde_json::json!({
            "generation": generation, "started": "2026-11-25T00:00:00Z", "pid": 1, "version": "1", "listeners": [],
            "degraded": degraded, "connections": 0, "routes": 1, "inFlight": [],
        }))
        .unwrap()
    };
    let check = |code: &str, http: u16, after: GatewayStatus, is_wrong: bool| {
        assert_eq!(judge(&status(5, None), code, http, &after).is_some(), is_wrong, "{code} {http} {after:?}");
    };
    check("bad-snapshot", 422, status(5, Some("why")), false);
    check("bad-snapshot", 422, status(5, None), true);
    check("bad-snapshot", 422, status(6, Some("why")), true);
    check("bad-snapshot", 500, status(5, Some("why")), true);
    check("stale-generation", 409, status(5, None), false);
    check("stale-generation", 409, status(4, None), true);
    check("", 200, status(6, None), false);
    check("", 200, status(6, Some("why")), true);
    check("", 200, status(4, None), true);
    check("End", 0, status(5, None), true);
    check("internal", 500, status(5, None), true);
    check("", 200, GatewayStatus { pid: 2, ..status(6, None) }, true);
}

/// The files that a gateway left behind: two snapshots, and the changes since each.
fn template(dir: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    ["snapshot.json", "snapshot.prev.json", "changes.jsonl", "changes.prev.jsonl"]
        .into_iter()
        .map(|name| (name, std::fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))))
        .collect()
}

/// Damages one to three files: their text, their content under a digest that fits, their names.
fn damage(files: &mut BTreeMap<&'static str, Vec<u8>>, chance: &mut Chance) -> Vec<String> {
    let names: Vec<&'static str> = files.keys().copied().collect();
    let mut done = Vec::new();
    for _ in 0..1 + chance.below(3) {
        let (name, other) = (names[chance.below(names.len())], names[chance.below(names.len())]);
        let kind = chance.below(5);
        done.push(format!("{name}: {kind}"));
        match (kind, files.get(name).cloned(), files.get(other).cloned()) {
            (0, Some(_), _) => drop(files.remove(name)),
            (1, Some(one), Some(two)) => {
                files.insert(name, two);
                files.insert(other, one);
            }
            (2, Some(text), _) => drop(files.insert(name, forged(&text, chance))),
            (_, Some(mut text), _) => {
                mutate::text(&mut text, chance);
                files.insert(name, text);
            }
            _ => {}
        }
    }
    done
}

/// The first line with its document mutated and a digest that fits.
fn forged(text: &[u8], chance: &mut Chance) -> Vec<u8> {
    let first = text.split_inclusive(|b| *b == b'\n').next().unwrap_or(b"");
    let Ok(line) = serde_json::from_slice::<Value>(first) else { return text.to_vec() };
    let key = if line.get("change").is_some() { "change" } else { "snapshot" };
    let mut value = line[key].clone();
    if chance.below(4) == 0 {
        value["format"] = 99.into();
    }
    mutate::document(&mut value, chance);
    let json = value.to_string();
    let digest = Digest::of(json.as_bytes());
    [format!("{{\"digest\":\"{digest}\",\"{key}\":{json}}}\n").as_bytes(), &text[first.len()..]].concat()
}

#[tokio::test]
async fn mutated_snapshots_on_disk_end_no_gateway() {
    let up = Upstream::start().await;
    let routes = routes(&up);
    let start = |dir| Front::within(dir, |options| options.workers = 1);
    let mut first = start(memory_dir()).await;
    for generation in [1, 3] {
        first.client.apply(&whole(generation, &routes)).await.unwrap();
        first.client.change(&change(generation, &routes)).await.unwrap();
    }
    let newest = first.client.status().await.unwrap().generation;
    first.stop().await;
    let files = template(first.dir.path());
    let mut chance = Chance::new(SEED);
    let (mut findings, mut outcomes): (Vec<String>, BTreeMap<String, u64>) = Default::default();
    for n in 0..ON_DISK * times() {
        let mut damaged = files.clone();
        let done = damage(&mut damaged, &mut chance);
        let dir = memory_dir();
        for (name, text) in &damaged {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let is_whole = damaged == files;
        let mut front = start(dir).await;
        let status = front.client.status().await.unwrap();
        let told = status.degraded.is_some();
        let mut find = |what: &str| findings.push(format!("{n}, {done:?}: {what}: {status:?}"));
        if is_whole && (told || status.generation != newest) {
            find("nothing was damaged");
        }
        // What only lost its last lines cannot be told from what never had them.
        let lost_lines =
            ["changes.jsonl", "changes.prev.jsonl"].iter().any(|name| damaged.get(name) != files.get(name));
        let lost_all = !damaged.contains_key("snapshot.json") && !damaged.contains_key("snapshot.prev.json");
        if status.generation < newest && !told && !lost_lines && !lost_all {
            find("it serves an older one and does not say so");
        }
        let is_intact = |name: &str| damaged.get(name) == files.get(name);
        let keeps_one =
            is_intact("snapshot.json") || is_intact("snapshot.prev.json") && !damaged.contains_key("snapshot.json");
        if keeps_one
            && is_intact("changes.jsonl")
            && is_intact("changes.prev.jsonl")
            && ask(front.address).await != up.id.to_string()
        {
            find("a good snapshot was there and is not served");
        }
        *outcomes.entry(format!("{}{}", if told { "degraded, " } else { "" }, status.generation)).or_default() += 1;
        let good = whole(status.generation.0.max(newest.0) + 1, &routes);
        match front.client.apply(&good).await {
            Ok(_)
                if front.client.status().await.unwrap().degraded.is_none()
                    && ask(front.address).await == up.id.to_string() => {}
            other => find(&format!("the next good one does not heal it: {other:?}")),
        }
        front.stop().await;
    }
    evidence::write(
        "snapshots-on-disk",
        &serde_json::json!({"seed": SEED, "mutated": ON_DISK * times(), "outcomes": outcomes, "findings": findings.len()}),
    );
    assert!(findings.is_empty(), "seed {SEED}: {} findings:\n{}", findings.len(), findings.join("\n"));
}
