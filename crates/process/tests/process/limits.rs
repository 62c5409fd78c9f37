//! What an instance can use up, and how its end is told.

use std::time::Duration;

use base::{Bytes, MilliCpu};
use ports::conformance::engine::{wait, wait_exit, wait_ready};
use ports::{Availability, ExitKind, InstanceState};

use crate::bench::{Bench, G1};

const MIB: u64 = 1 << 20;

fn limited(bench: &Bench, feature: &str) -> bool {
    let works = bench.engine.features().iter().any(|f| f.name == feature && f.availability == Availability::Works);
    if !works {
        eprintln!("SKIPPED: this host has no {feature}");
    }
    works
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_memory_ends_with_evidence() {
    let bench = Bench::new();
    if !limited(&bench, "memory-limit") {
        return;
    }
    for words in [&["eat", "300000000"], &["eat-child", "300000000"]] {
        let mut spec = bench.task(words);
        spec.memory = Bytes(64 * MIB);
        let (kind, seen, lines) = bench.run(&spec).await;
        assert_eq!(kind, ExitKind::Memory, "{words:?}: {} {lines:?}", seen.evidence);
        assert!(seen.evidence.contains("64Mi"), "{}", seen.evidence);
    }
    let (kind, _, lines) = bench.run(&bench.task(&["eat", "30000000"])).await;
    assert_eq!((kind, lines.concat().contains("ate")), (ExitKind::Status { status: 0 }, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_disk_ends_with_evidence() {
    let bench = Bench::new();
    let mut service = bench.task(&["fill", "/tmp/big", "100000000"]);
    service.disk_max = Bytes(8 * MIB);
    let mut build = bench.build(&["fill", "/workspace/big", "2000000000"]);
    build.disk_max = Bytes(64 * MIB);
    for spec in [service, build] {
        let (kind, seen, lines) = bench.run(&spec).await;
        assert_eq!(kind, ExitKind::Disk, "{} {lines:?}", seen.evidence);
        assert!(seen.evidence.contains("limit"), "{}", seen.evidence);
    }
    let mut many = bench.build(&["attack", "list", "/workspace"]);
    many.disk_max = Bytes(64 * MIB);
    assert_eq!(bench.run(&many).await.0, ExitKind::Status { status: 0 }, "what was there before does not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn fork_bombs_fizzle_and_leave_nothing() {
    let bench = Bench::new();
    let mut spec = bench.task(&["fork-bomb"]);
    spec.tasks_max = 30;
    let (kind, _, lines) = bench.run(&spec).await;
    assert_eq!(kind, ExitKind::Status { status: 0 });
    let made: u32 = lines[0].strip_prefix("made ").unwrap().split(':').next().unwrap().parse().unwrap();
    assert!((20..=30).contains(&made), "{lines:?}");
    assert!(lines[0].contains("temporarily unavailable"), "{lines:?}");
    let mut threads = bench.task(&["threads", "100"]);
    threads.tasks_max = 10;
    let (_, _, lines) = bench.run(&threads).await;
    assert!(lines.iter().any(|l| l.contains("temporarily unavailable")), "threads count too: {lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_bounded_and_its_end_is_kept() {
    let bench = Bench::new();
    let bytes = 3 * base::limits::LOG_BYTES_MAX;
    let spec = bench.task(&["flood", &bytes.to_string()]);
    let (kind, _, _) = bench.run(&spec).await;
    assert_eq!(kind, ExitKind::Status { status: 0 });
    let log = bench.instance_dir(spec.id).join("log");
    let size: u64 = std::fs::read_dir(log).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= base::limits::LOG_BYTES_MAX, "{size}");
    let tail = bench.engine.log_tail(spec.id, 3).await.unwrap();
    assert!(tail.iter().any(|l| l.text == "the last line"), "{tail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told() {
    let bench = Bench::new();
    let mut spec = bench.task(&["spin", "1500"]);
    spec.cpu = MilliCpu(2000);
    bench.engine.ensure(&spec, G1).await.unwrap();
    let seen = wait(&bench.engine, spec.id, "busy", |seen| seen.cpu_us.is_some_and(|us| us > 50_000)).await;
    assert!(seen.memory.is_some_and(|m| m.0 > 0 && m.0 < 256 * MIB), "{seen:?}");
    let (_, seen) = wait_exit(&bench.engine, spec.id).await;
    if limited(&bench, "cpu-limit") {
        assert!(seen.cpu_us.is_some_and(|us| us > 50_000), "{seen:?}");
    }
    assert_eq!(seen.memory, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_groups_are_removed_at_the_end() {
    let bench = Bench::new();
    let spec = bench.task(&["sleep"]);
    bench.engine.ensure(&spec, G1).await.unwrap();
    wait_ready(&bench.engine, spec.id).await;
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.instance_dir(spec.id).join("state.json")).unwrap()).unwrap();
    let groups: Vec<String> =
        state["groups"]["groups"].as_array().unwrap().iter().map(|g| g["dir"].as_str().unwrap().to_owned()).collect();
    assert!(groups.iter().all(|dir| std::path::Path::new(dir).exists()));
    bench.engine.stop(spec.id, G1, Duration::ZERO).await.unwrap();
    let (kind, _) = wait_exit(&bench.engine, spec.id).await;
    assert_eq!(kind, ExitKind::Stopped { killed: true });
    assert!(groups.iter().all(|dir| !std::path::Path::new(dir).exists()), "{groups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_set_up_does_not_start() {
    let bench = Bench::new();
    let mut spec = bench.task(&["exit", "0"]);
    spec.workdir = "/no/such/folder".into();
    let (kind, seen, _) = bench.run(&spec).await;
    assert_eq!(kind, ExitKind::NotStarted);
    assert!(seen.evidence.contains("/no/such/folder"), "{}", seen.evidence);
    let mut script = bench.task(&[]);
    script.command = vec!["/app/data/greeting.txt".into()];
    let (kind, seen, _) = bench.run(&script).await;
    assert_eq!(kind, ExitKind::NotStarted);
    assert!(seen.evidence.contains("Permission denied"), "{}", seen.evidence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_listens_says_so() {
    let bench = Bench::new();
    let mut spec = bench.task(&["serve", "deaf"]);
    spec.port = true;
    spec.health =
        Some(ports::Health { probe: ports::Probe::Http { path: "/healthz".into() }, every_ms: 50, timeout_ms: 500 });
    bench.engine.ensure(&spec, G1).await.unwrap();
    let seen = wait(&bench.engine, spec.id, "probed", |seen| seen.evidence.contains("probes in")).await;
    assert_eq!(seen.state, InstanceState::Starting);
    assert!(seen.evidence.starts_with("GET /healthz → connection refused ("), "{}", seen.evidence);
}
