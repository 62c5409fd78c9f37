//! Abuse that takes what others need: processes, memory, disk, descriptors, output. Each bomb goes
//! off inside, ends with the word that says why, and leaves nothing behind; a neighbour that served
//! before serves after.

use std::collections::BTreeSet;

use base::Bytes;
use ports::conformance::engine::{wait_exit, wait_ready};
use ports::{ExitKind, Health, InstanceSpec, Probe, Purpose};

use crate::bench::{Bench, G1, works};

const MIB: u64 = 1 << 20;

/// One bomb: its words, how it must end, and the feature that may be missing on this host.
struct Bomb {
    words: &'static [&'static str],
    ends: &'static [fn(&ExitKind) -> bool],
    /// What it says when it was stopped short.
    says: &'static str,
    needs: Option<&'static str>,
    build: bool,
}

fn status_0(kind: &ExitKind) -> bool {
    *kind == ExitKind::Status { status: 0 }
}

fn memory(kind: &ExitKind) -> bool {
    *kind == ExitKind::Memory
}

fn disk(kind: &ExitKind) -> bool {
    *kind == ExitKind::Disk
}

const fn bomb(words: &'static [&'static str], ends: &'static [fn(&ExitKind) -> bool], says: &'static str) -> Bomb {
    Bomb { words, ends, says, needs: None, build: false }
}

impl Bomb {
    const fn needs(mut self, feature: &'static str) -> Self {
        self.needs = Some(feature);
        self
    }

    const fn build(mut self) -> Self {
        self.build = true;
        self
    }
}

const BOMBS: &[Bomb] = &[
    bomb(&["bomb", "processes"], &[status_0], "temporarily unavailable"),
    bomb(&["bomb", "processes"], &[status_0], "temporarily unavailable").build(),
    bomb(&["bomb", "sessions"], &[status_0], "temporarily unavailable"),
    bomb(&["threads", "500"], &[status_0], "temporarily unavailable"),
    bomb(&["eat", "2000000000"], &[memory], "").needs("memory-limit"),
    bomb(&["eat", "2000000000"], &[memory], "").needs("memory-limit").build(),
    bomb(&["eat-child", "2000000000"], &[memory], "").needs("memory-limit"),
    bomb(&["bomb", "anonymous-files"], &[memory], "").needs("memory-limit"),
    bomb(&["bomb", "pipes"], &[status_0, memory], ""),
    bomb(&["bomb", "socket-buffers"], &[memory], "").needs("memory-limit"),
    bomb(&["bomb", "descriptors"], &[status_0, memory], ""),
    bomb(&["bomb", "descriptors-of-many"], &[status_0, memory], ""),
    bomb(&["fill", "/tmp/big", "2000000000"], &[disk], ""),
    bomb(&["fill", "/dev/shm/big", "2000000000"], &[disk], ""),
    bomb(&["fill", "/workspace/big", "2000000000"], &[disk], "").build(),
    bomb(&["bomb", "small-files", "/tmp"], &[status_0, disk, memory], ""),
    bomb(&["bomb", "deep-folders", "/tmp"], &[status_0, disk, memory], ""),
    bomb(&["bomb", "deep-folders", "/workspace", "and-write"], &[disk], "").build(),
    bomb(&["bomb", "unlinked", "/workspace"], &[disk], "").build(),
    bomb(&["flood", "40000000"], &[status_0], ""),
    bomb(&["bomb", "endless-line"], &[status_0], ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn bombs_go_off_inside() {
    let bench = Bench::new();
    let mut serve = bench.task(&["serve", "say", "neighbour"]);
    (serve.port, serve.purpose, serve.deadline) = (true, Purpose::Serve, None);
    serve.health = Some(Health { probe: Probe::Http { path: "/healthz".into() }, every_ms: 500, timeout_ms: 60_000 });
    bench.engine.ensure(&serve, G1).await.unwrap();
    let before = wait_ready(&bench.engine, serve.id).await;
    for bomb in BOMBS {
        if bomb.needs.is_some_and(|feature| !works(&bench, feature)) {
            continue;
        }
        let spec = loaded(&bench, bomb);
        let (kind, seen, lines) = bench.run(&spec).await;
        let what = format!("{:?} (build: {}): {} {:?}", bomb.words, bomb.build, seen.evidence, lines.last());
        println!("{what}");
        assert!(bomb.ends.iter().any(|expected| expected(&kind)), "{kind:?} {what}");
        assert!(lines.iter().any(|l| l.contains(bomb.says)) || bomb.says.is_empty(), "{what}");
        let left = survivors(&spec);
        assert!(left.is_empty(), "{what}: these live on: {left:?}");
        let log = bench.instance_dir(spec.id).join("log");
        let kept: u64 = std::fs::read_dir(log).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(kept <= base::limits::LOG_BYTES_MAX, "{what}: {kept} bytes of output are kept");
        bench.engine.remove(spec.id, G1).await.unwrap();
    }
    let after = wait_ready(&bench.engine, serve.id).await;
    assert_eq!(after.started, before.started, "the neighbour ran through it all: {}", after.evidence);
}

fn loaded(bench: &Bench, bomb: &Bomb) -> InstanceSpec {
    let mut spec = if bomb.build { bench.build(bomb.words) } else { bench.task(bomb.words) };
    spec.memory = Bytes(128 * MIB);
    spec.disk_max = Bytes(32 * MIB);
    spec.tasks_max = 40;
    marked(spec)
}

/// With a word in its environment by which every process of it is found from outside.
fn marked(mut spec: InstanceSpec) -> InstanceSpec {
    spec.env.insert("ESCAPE_MARK".to_owned(), base::Secret::new(spec.id.to_string()));
    spec
}

/// The counterpart: within its limits each of them does all that it wants, so it is the limit that ends it.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_within_the_limits_is_no_bomb() {
    let bench = Bench::new();
    let mut roomy = bench.task(&["eat", "200000000"]);
    roomy.memory = Bytes(512 * MIB);
    assert_eq!(bench.run(&roomy).await.0, ExitKind::Status { status: 0 });
    let mut threads = bench.task(&["threads", "50"]);
    threads.tasks_max = 100;
    assert_eq!(bench.run(&threads).await.2, ["threads 50"]);
}

/// Whatever an instance leaves in the background, in other sessions, deaf to signals or renamed, ends with it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_survives() {
    let bench = Bench::new();
    for build in [false, true] {
        let words = ["bomb", "background"];
        let spec = marked(if build { bench.build(&words) } else { bench.task(&words) });
        let (kind, _, lines) = bench.run(&spec).await;
        assert_eq!(kind, ExitKind::Status { status: 0 }, "{lines:?}");
        assert_eq!(lines.concat(), "left 4", "it did leave something");
        let left = survivors(&spec);
        assert!(left.is_empty(), "{left:?}");
    }
    // The counterpart: while it runs, they are seen by the same eyes.
    let running = marked(bench.task(&["bomb", "background-and-stay"]));
    bench.engine.ensure(&running, G1).await.unwrap();
    wait_ready(&bench.engine, running.id).await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while survivors(&running).len() < 5 {
        assert!(std::time::Instant::now() < until, "the look into /proc sees {:?}", survivors(&running));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    bench.engine.stop(running.id, G1, std::time::Duration::ZERO).await.unwrap();
    wait_exit(&bench.engine, running.id).await;
    let left = survivors(&running);
    assert!(left.is_empty(), "{left:?}");
}

/// Links that a build makes, also while it is looked at, lead nobody of the platform to the host's files.
#[tokio::test(flavor = "multi_thread")]
async fn links_that_change_lead_nowhere() {
    use futures_util::TryStreamExt;
    let bench = Bench::new();
    let host = tempfile::tempdir().unwrap();
    std::fs::set_permissions(host.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::write(host.path().join("kept"), "what the host keeps").unwrap();
    let mut spec = bench.build(&["bomb", "links", "/workspace"]);
    spec.env.insert("CANARY_FOLDER".to_owned(), base::Secret::new(host.path().display().to_string()));
    let (kind, seen, lines) = bench.run(&spec).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{} {lines:?}", seen.evidence);
    for path in ["/workspace/turning", "/workspace/out", "/workspace"] {
        let refused = match bench.engine.export(spec.id, path).await {
            Err(problem) => problem.to_string(),
            Ok(stream) => match stream.try_collect::<Vec<_>>().await {
                Err(problem) => problem.to_string(),
                Ok(pieces) => panic!("{path} was exported: {:?}", String::from_utf8_lossy(&pieces.concat())),
            },
        };
        assert!(refused.contains("link"), "{path}: {refused}");
    }
    let plain = bench.engine.export(spec.id, "/workspace/plain").await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    let bytes = plain.concat();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let modes: Vec<u32> = archive.entries().unwrap().map(|e| e.unwrap().header().mode().unwrap()).collect();
    assert_eq!(modes, [0o755], "no set-user-id bit leaves a build");
    bench.engine.remove(spec.id, G1).await.unwrap();
    assert_eq!(std::fs::read_to_string(host.path().join("kept")).unwrap(), "what the host keeps");
}

/// Processes of the host that carry this instance's id in their environment.
fn survivors(spec: &InstanceSpec) -> BTreeSet<String> {
    let mark = format!("ESCAPE_MARK={}", spec.id);
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&mark) {
            found.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}
