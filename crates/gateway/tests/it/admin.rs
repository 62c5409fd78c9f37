//! The driver, the socket, and what survives on disk.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base::{Generation, Problem};
use gateway::Client;
use ports::{Gateway as _, Snapshot, SnapshotChange};

use crate::support::*;

fn empty(generation: i64) -> Snapshot {
    Snapshot { format: 1, generation: Generation(generation), routes: Vec::new() }
}

fn code<T: std::fmt::Debug>(result: Result<T, Problem>) -> String {
    result.map_or_else(|p| p.code.into_owned(), |v| format!("{v:?}"))
}

#[tokio::test]
async fn generations_only_rise() {
    let front = Front::start().await;
    let apply = |s: Snapshot| async move { s };
    assert_eq!(front.client.status().await.unwrap().generation, Generation(0));
    assert_eq!(front.client.apply(&apply(empty(5)).await).await.unwrap().generation, Generation(5));
    assert_eq!(front.client.apply(&empty(5)).await.unwrap().generation, Generation(5));
    assert_eq!(code(front.client.apply(&empty(4)).await), "stale-generation");
    let other = Snapshot { routes: vec![route("app", vec![])], ..empty(5) };
    assert_eq!(code(front.client.apply(&other).await), "stale-generation");
    assert_eq!(front.client.apply(&Snapshot { generation: Generation(6), ..other }).await.unwrap().generation.0, 6);
    let status = front.client.status().await.unwrap();
    assert_eq!((status.generation.0, status.routes, status.degraded), (6, 1, None));
    assert_eq!(status.pid, std::process::id());
    assert_eq!(status.listeners[0].address, front.address);
}

#[tokio::test]
async fn a_change_is_served_and_survives_a_restart() {
    let (old, new, other) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let mut front = Front::start().await;
    front.one(&old).await;
    let change = |base: i64, routes: Vec<ports::Route>, gone: Vec<ports::RouteName>| SnapshotChange {
        format: 1,
        base: Generation(base),
        generation: Generation(base + 1),
        routes,
        gone,
    };
    let first =
        change(1, vec![route("app", vec![backend(1, &[&new])]), route("two", vec![backend(1, &[&other])])], vec![]);
    assert_eq!(front.client.change(&first).await.unwrap().generation, Generation(2));
    assert_eq!(front.client.change(&first).await.unwrap().generation, Generation(2), "its answer was lost");
    assert_eq!(front.get("app.localhost", "/id").await.body, new.id.to_string());
    assert_eq!(front.get("two.localhost", "/id").await.body, other.id.to_string());
    assert_eq!(code(front.client.change(&change(1, vec![route("three", vec![])], vec![])).await), "other-base");
    assert_eq!(code(front.client.change(&change(5, vec![], vec![])).await), "other-base");
    let stolen = ports::Route { service: "thief".parse().unwrap(), ..route("two", vec![]) };
    assert_eq!(code(front.client.change(&change(2, vec![stolen], vec![])).await), "bad-snapshot");
    let second = change(2, vec![], vec![route("two", vec![]).name()]);
    assert_eq!(front.client.change(&second).await.unwrap().generation, Generation(3));
    let status = front.client.status().await.unwrap();
    assert_eq!((status.generation.0, status.routes, status.degraded), (3, 1, None));
    front.stop().await;
    let again = Front::within(front.dir, |_| {}).await;
    let status = again.client.status().await.unwrap();
    assert_eq!((status.generation.0, status.routes, status.degraded), (3, 1, None));
    assert_eq!(again.get("app.localhost", "/id").await.body, new.id.to_string());
    assert_eq!(again.get("two.localhost", "/id").await.status, 404);
}

#[tokio::test]
async fn a_degraded_gateway_wants_the_whole() {
    let mut front = Front::start().await;
    front.route(vec![]).await;
    front.route(vec![]).await;
    front.stop().await;
    std::fs::write(front.dir.path().join("snapshot.json"), "garbage").unwrap();
    let again = Front::within(front.dir, |_| {}).await;
    let base = again.client.status().await.unwrap().generation;
    let change = SnapshotChange { format: 1, base, generation: Generation(9), routes: Vec::new(), gone: Vec::new() };
    assert_eq!(code(again.client.change(&change).await), "other-base");
    again.client.apply(&empty(9)).await.unwrap();
    let next = SnapshotChange { base: Generation(9), generation: Generation(10), ..change };
    assert_eq!(again.client.change(&next).await.unwrap().generation, Generation(10));
}

#[tokio::test]
async fn bad_snapshots_change_nothing() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let route = route("app", vec![backend(1, &[&up])]);
    let with = |routes| Snapshot { routes, ..empty(9) };
    assert_eq!(
        code(front.client.apply(&Snapshot { format: ports::SNAPSHOT_FORMAT + 1, ..empty(9) }).await),
        "newer-snapshot"
    );
    assert_eq!(code(front.client.apply(&with(vec![route.clone(), route.clone()])).await), "bad-snapshot");
    let mut far = route.clone();
    far.backends[0].instances[0].address = "93.184.216.34:80".parse().unwrap();
    assert_eq!(code(front.client.apply(&with(vec![far])).await), "bad-snapshot");
    let mut own = route.clone();
    own.backends[0].instances[0].address = ports::Address::Tcp(front.address);
    let problem = front.client.apply(&with(vec![own])).await.unwrap_err();
    assert!(problem.message.contains("gateway's own"), "{problem}");
    assert_eq!(front.get("app.localhost", "/id").await.body, up.id.to_string());
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let front = Front::start().await;
    for (body, code) in [
        (r#"{"format":1,"generation":1,"routes":[],"more":1}"#, "bad-snapshot"),
        (r#"{"format":7,"generation":1,"routes":[],"more":1}"#, "newer-snapshot"),
        (r#"{"format":1,"generation":1"#, "bad-snapshot"),
    ] {
        let mut stream = tokio::net::UnixStream::connect(front.dir.path().join("admin.sock")).await.unwrap();
        let text = format!(
            "PUT /v1/snapshot HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut back = String::new();
        stream.read_to_string(&mut back).await.unwrap();
        assert!(back.starts_with("HTTP/1.1 422") && back.contains(code), "{body}: {back}");
    }
}

#[tokio::test]
async fn a_restart_serves_the_last_good_snapshot() {
    let up = Upstream::start().await;
    let mut front = Front::start().await;
    front.one(&up).await;
    front.stop().await;
    let again = Front::within(front.dir, |_| {}).await;
    assert_eq!(again.get("app.localhost", "/id").await.body, up.id.to_string());
    let status = again.client.status().await.unwrap();
    assert_eq!((status.generation.0, status.degraded), (1, None));
    assert_eq!(code(again.client.apply(&Snapshot { generation: Generation(0), ..empty(1) }).await), "bad-snapshot");
}

#[tokio::test]
async fn a_damaged_snapshot_is_visible_and_the_one_before_it_serves() {
    for (damage, both, served) in [("", false, true), ("{\"half", false, true), ("", true, false)] {
        let up = Upstream::start().await;
        let mut front = Front::start().await;
        front.one(&up).await;
        front.route(vec![]).await;
        front.stop().await;
        std::fs::write(front.dir.path().join("snapshot.json"), damage).unwrap();
        if both {
            std::fs::write(front.dir.path().join("snapshot.prev.json"), damage).unwrap();
        }
        let again = Front::within(front.dir, |_| {}).await;
        let status = again.client.status().await.unwrap();
        assert!(status.degraded.is_some_and(|why| why.contains("snapshot.json")), "{damage}");
        assert_eq!(status.generation.0, i64::from(served));
        assert_eq!(again.get("app.localhost", "/id").await.status, if served { 200 } else { 404 });
        // A good one heals it.
        again.client.apply(&empty(10)).await.unwrap();
        assert_eq!(again.client.status().await.unwrap().degraded, None);
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_changes_nothing() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    // A directory in the place of the new file fails even for root.
    std::fs::create_dir(front.dir.path().join("snapshot.json.new")).unwrap();
    assert_eq!(code(front.client.apply(&empty(2)).await), "snapshot-not-kept");
    let status = front.client.status().await.unwrap();
    assert!(status.generation.0 == 1 && status.degraded.is_some(), "{status:?}");
    assert_eq!(front.get("app.localhost", "/id").await.status, 200);
    std::fs::remove_dir(front.dir.path().join("snapshot.json.new")).unwrap();
    front.client.apply(&empty(2)).await.unwrap();
    assert_eq!(front.client.status().await.unwrap().degraded, None);
}

#[tokio::test]
async fn the_socket_is_private_and_one_gateway_runs_in_a_directory() {
    let front = Front::start().await;
    for name in ["admin.sock", "hand-over.sock"] {
        let mode = std::fs::metadata(front.dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let second = gateway::start(gateway::Options::new(front.dir.path())).await;
    assert_eq!(second.err().map(|p| p.code.into_owned()).as_deref(), Some("gateway-runs"));
    front.client.status().await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let front = Front::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut options = gateway::Options::new(dir.path());
    options.listen = vec![front.address];
    let problem = gateway::start(options).await.err().unwrap();
    assert!(problem.code == "listen-failed" && problem.message.contains(&front.address.to_string()), "{problem}");
}

#[tokio::test]
async fn without_a_gateway_the_driver_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let problem = Client::new(dir.path()).status().await.unwrap_err();
    assert_eq!((&*problem.code, problem.kind), ("gateway-unreachable", base::Kind::Unavailable));
    assert!(problem.hint.is_some());
}

#[tokio::test]
async fn probes_reach_a_rollout_whatever_its_weight_and_are_not_counted() {
    let mut front = Front::limited(|l| l.answer_timeout = Duration::from_millis(200)).await;
    let (live, next, dead) = (Upstream::start().await, Upstream::start().await, Upstream::start().await);
    let backends = vec![backend(1, &[&live]), backend(0, &[&next]), backend(0, &[&dead])];
    let rollouts = [backends[0].rollout, backends[1].rollout, backends[2].rollout];
    let releases = [backends[0].release, backends[1].release, backends[2].release];
    front.route(vec![route("app", backends)]).await;
    let dead_id = dead.id;
    dead.kill().await;
    let host = "app.localhost".parse().unwrap();
    let probe = |rollout, path: &'static str| front.client.probe(&host, rollout, path, Duration::from_secs(5));
    for (at, up) in [&live, &next].into_iter().enumerate() {
        let got = probe(rollouts[at], "/id").await.unwrap();
        assert_eq!((got.status, got.release, got.instance, got.from_gateway), (200, releases[at], up.id, false));
        assert!(got.took_us > 0);
    }
    assert_eq!(probe(rollouts[1], "/status/500").await.unwrap().status, 500);
    let got = probe(rollouts[2], "/").await.unwrap();
    assert_eq!((got.status, got.release, got.instance, got.from_gateway), (502, releases[2], dead_id, true));
    assert_eq!(probe(rollouts[0], "/hang").await.unwrap().status, 504);
    assert_eq!(code(probe(rollout(), "/").await), "nothing-runs");
    assert_eq!(
        code(front.client.probe(&"no.localhost".parse().unwrap(), rollouts[0], "/", Duration::from_secs(1)).await),
        "unknown-host"
    );
    assert_eq!(code(probe(rollouts[0], "no path").await), "bad-probe");
    assert_eq!(code(front.client.probe(&host, rollouts[0], "/slow", Duration::from_millis(20)).await), "probe-timeout");
    let counters = front.client.counters(None).await.unwrap();
    assert!(counters.iter().all(|c| c.by_class == [0; 5]), "{counters:?}");
    assert!(front.log(6).await.iter().all(|line| line["probe"] == true));
}
