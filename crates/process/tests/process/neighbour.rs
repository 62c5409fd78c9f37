//! What a service keeps of its throughput while another one misbehaves and while a build uses all it
//! can. The walls that make it so are asserted; how much is kept is measured, printed and written to
//! `target/evidence/neighbour.json`, because it says as much about the machine as about the platform.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use base::{Bytes, MilliCpu};
use ports::conformance::engine::{wait_exit, wait_ready};
use ports::{ExitKind, Health, InstanceSpec, Probe, Purpose};

use crate::bench::{Bench, G1, works};

const MIB: u64 = 1 << 20;
/// The target: what the neighbour shall keep.
const KEPT_MIN: f64 = 0.8;
/// Work of one request, rounds of the guest.
const ROUNDS: &str = "20000";
const CLIENTS: usize = 4;

/// How long one window is measured, and how many of each kind there are; more with `ORLOP_NEIGHBOUR=long`.
fn windows() -> (Duration, usize) {
    match std::env::var("ORLOP_NEIGHBOUR").as_deref() {
        Ok("long") => (Duration::from_secs(5), 7),
        _ => (Duration::from_millis(1500), 3),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_keeps_its_throughput() {
    let bench = Bench::new();
    let mut service = bench.task(&["serve", "work", ROUNDS]);
    (service.port, service.purpose, service.deadline) = (true, Purpose::Serve, None);
    service.health = Some(Health { probe: Probe::Port, every_ms: 1000, timeout_ms: 60_000 });
    bench.engine.ensure(&service, G1).await.unwrap();
    wait_ready(&bench.engine, service.id).await;
    let mut rows = Vec::new();
    for (name, bad) in misbehaving(&bench) {
        let (alone, beside) = beside(&bench, &service, &bad).await;
        let kept = beside / alone;
        println!("{name:<22} alone {alone:>8.0} requests/s, beside {beside:>8.0}, keeps {:>4.0} %", kept * 100.0);
        rows.push(serde_json::json!({
            "beside": name, "alone": alone.round(), "besideIt": beside.round(), "kept": (kept * 1000.0).round() / 1000.0,
            "target": KEPT_MIN, "met": kept >= KEPT_MIN,
        }));
        check_walls(&bench, &service, &bad);
        bench.engine.stop(bad.id, G1, Duration::ZERO).await.unwrap();
        let (kind, seen) = wait_exit(&bench.engine, bad.id).await;
        assert!(!matches!(kind, ExitKind::NotStarted | ExitKind::Lost), "{name}: {}", seen.evidence);
    }
    let seen = bench.engine.get(service.id).await.unwrap().unwrap();
    assert!(seen.state.is_running(), "the service ran through it all: {}", seen.evidence);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    write(&serde_json::json!({ "load": load.trim(), "rows": rows }));
}

/// Who misbehaves: a service with the usual weight, and a build with a build's.
fn misbehaving(bench: &Bench) -> Vec<(&'static str, InstanceSpec)> {
    let service = |words: &[&str]| {
        let mut spec = bench.task(words);
        (spec.cpu, spec.memory, spec.tasks_max) = (MilliCpu(500), Bytes(128 * MIB), 40);
        spec.deadline = None;
        spec
    };
    let mut build = bench.build(&["bomb", "everything", "/workspace"]);
    (build.cpu, build.cpu_weight, build.memory, build.tasks_max) = (MilliCpu(4000), 10, Bytes(256 * MIB), 256);
    build.deadline = None;
    vec![
        ("a burning service", service(&["bomb", "burn", "8"])),
        ("a fork bomb", service(&["bomb", "again", "processes"])),
        ("a memory bomb", service(&["bomb", "again", "memory"])),
        ("a flood of output", service(&["flood", "1000000000000"])),
        ("a build at full blast", build),
    ]
}

/// Windows alone and beside the other, in turns, so that whatever else the machine does meets both.
async fn beside(bench: &Bench, service: &InstanceSpec, bad: &InstanceSpec) -> (f64, f64) {
    let (span, many) = windows();
    let connect = || crate::bench::connect(bench, service.id);
    bench.engine.ensure(bad, G1).await.unwrap();
    wait_ready(&bench.engine, bad.id).await;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..many {
        freeze(bench, bad, true);
        alone.push(throughput(&connect, span));
        freeze(bench, bad, false);
        beside.push(throughput(&connect, span));
    }
    (median(alone), median(beside))
}

/// Stops or continues every process of an instance, which for a moment is as good as none.
fn freeze(bench: &Bench, spec: &InstanceSpec, stop: bool) {
    let signal = if stop { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
    // Twice, since processes may come while the first list is read.
    for _ in 0..2 {
        for pid in crate::bench::processes(bench, spec.id) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

/// Answers per second to a few clients that each ask again as soon as they are answered.
fn throughput(connect: &(impl Fn() -> TcpStream + Sync), span: Duration) -> f64 {
    let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut stream = connect();
                stream.set_nodelay(true).unwrap();
                let mut byte = [1u8; 1];
                while !stop.load(SeqCst) {
                    stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte)).expect("the service answers");
                    count.fetch_add(1, SeqCst);
                }
            });
        }
        std::thread::sleep(span);
        stop.store(true, SeqCst);
    });
    count.load(SeqCst) as f64 / began.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The limits are really in place: as files of control groups, read from outside.
fn check_walls(bench: &Bench, service: &InstanceSpec, bad: &InstanceSpec) {
    for spec in [service, bad] {
        let read = |v1: &str, v2: &str| crate::bench::group_file(bench, spec.id, &[v1, v2]);
        if works(bench, "cpu-limit") {
            let quota = read("cpu.cfs_quota_us", "cpu.max");
            assert_eq!(
                quota.split(' ').next(),
                Some(&*(u64::from(spec.cpu.0) * 100).to_string()),
                "the share of the processor"
            );
            let weight = read("cpu.shares", "cpu.weight");
            let (v1, v2) = (u64::from(spec.cpu_weight) * 1024 / 100, u64::from(spec.cpu_weight));
            assert!([v1.to_string(), v2.to_string()].contains(&weight), "the weight: {weight}");
        }
        if works(bench, "memory-limit") {
            assert_eq!(read("memory.limit_in_bytes", "memory.max"), spec.memory.0.to_string(), "the ceiling of memory");
            let peak: u64 = read("memory.max_usage_in_bytes", "memory.peak").parse().unwrap_or(0);
            // The kernel forces a few pages of its own through.
            assert!(peak <= spec.memory.0 + MIB, "{peak} bytes were used");
        }
        if works(bench, "pids-limit") {
            assert_eq!(read("pids.max", "pids.max"), (spec.tasks_max + 1).to_string(), "processes and threads");
        }
    }
}

fn write(record: &serde_json::Value) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let text = serde_json::to_string_pretty(record).unwrap();
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join("neighbour.json"), text)).unwrap();
}
