//! Who outlives whom.

use std::time::Duration;

use ports::conformance::engine::{wait, wait_exit, wait_ready};
use ports::{ExitKind, Health, LogStream, Probe, Purpose};

use crate::bench::{Bench, G1, keeper_of};

fn alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// Everything beneath the keeper, found through the kernel's own tree.
fn descendants(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = text.split_whitespace().filter_map(|p| p.parse().ok()).collect();
    children.iter().flat_map(|child| [*child].into_iter().chain(descendants(*child))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_keeper_takes_its_instance_along_and_is_missed() {
    let mut bench = Bench::new();
    let spec = bench.task(&["sleep"]);
    let spec = ports::InstanceSpec { purpose: Purpose::Serve, ..spec };
    bench.engine.ensure(&spec, G1).await.unwrap();
    wait_ready(&bench.engine, spec.id).await;
    let keeper = keeper_of(&bench.instance_dir(spec.id)).expect("a running instance has a keeper");
    let inside = descendants(keeper);
    assert!(inside.len() >= 2, "init and program: {inside:?}");
    crate::bench::kill(keeper);
    let (kind, seen) = wait_exit(&bench.engine, spec.id).await;
    assert_eq!(kind, ExitKind::Lost, "{}", seen.evidence);
    for _ in 0..100 {
        if !inside.iter().any(|pid| alive(*pid)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!inside.iter().any(|pid| alive(*pid)), "{inside:?} still live");
    bench.reopen();
    let again = bench.engine.get(spec.id).await.unwrap().unwrap();
    assert_eq!(again, seen, "the loss is written down once");
    bench.engine.remove(spec.id, G1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_left_behind_end_with_the_program() {
    let bench = Bench::new();
    let (kind, _, lines) = bench.run(&bench.task(&["orphans"])).await;
    assert_eq!(kind, ExitKind::Status { status: 0 });
    assert_eq!(lines.len(), 2, "{lines:?}");
    let mark = format!("instances/{}", "in_");
    let left = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let cgroup = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        cgroup.contains(&mark)
    });
    assert_eq!(left.count(), 0);
    let dir = bench.data.path().join("instances");
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        // The last state is written before the keeper is gone.
        for _ in 0..100 {
            if keeper_of(&entry.path()).is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(keeper_of(&entry.path()), None, "the keeper has ended too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_is_small() {
    let bench = Bench::new();
    let mut spec = bench.task(&["serve"]);
    (spec.purpose, spec.port) = (Purpose::Serve, true);
    spec.health = Some(Health { probe: Probe::Port, every_ms: 50, timeout_ms: 500 });
    bench.engine.ensure(&spec, G1).await.unwrap();
    wait_ready(&bench.engine, spec.id).await;
    let keeper = keeper_of(&bench.instance_dir(spec.id)).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{keeper}/status")).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let (anonymous, threads) = (kib("RssAnon:"), kib("Threads:"));
    println!("keeper: {} KiB resident, {anonymous} KiB of its own", kib("VmRSS:"));
    assert_eq!(threads, 1);
    assert!(anonymous < 2048, "{anonymous} KiB");
    assert!(kib("VmRSS:") < 8192, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_remarks_on_start_and_end() {
    let bench = Bench::new();
    let spec = bench.task(&["partial"]);
    let (_, seen, lines) = bench.run(&spec).await;
    assert_eq!(lines, ["no line feed"], "the last line needs no line feed");
    let all = bench.engine.logs(spec.id, None, 100).await.unwrap();
    let remarks: Vec<&str> = all.iter().filter(|l| l.stream == LogStream::Platform).map(|l| l.text.as_str()).collect();
    assert!(remarks[0].starts_with("starting /app/guest as "), "{remarks:?}");
    assert_eq!(remarks.last(), Some(&seen.evidence.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_wake_and_quiet_does_not() {
    let bench = Bench::new();
    let spec = bench.task(&["sleep"]);
    bench.engine.ensure(&spec, G1).await.unwrap();
    wait_ready(&bench.engine, spec.id).await;
    while tokio::time::timeout(Duration::from_millis(300), bench.engine.changed(Duration::from_secs(60))).await.is_ok()
    {
    }
    let engine = bench.engine.clone();
    let waiting = tokio::spawn(async move { engine.changed(Duration::from_secs(60)).await });
    bench.engine.stop(spec.id, G1, Duration::ZERO).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("an end is news").unwrap();
    wait(&bench.engine, spec.id, "ended", |seen| !seen.state.is_running()).await;
}
