//! What an instance cannot do. Each test has a counterpart that shows the same thing working where
//! it should, so that a wall that merely breaks everything is caught.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;

use base::Secret;
use ports::conformance::engine::{wait_exit, wait_ready};
use ports::{Availability, Connect, ExitKind, Health, Mount, Network, Probe, Purpose, Way};

use crate::bench::{Bench, G1, works};

/// Runs the guest with these words and returns what it said.
async fn said(bench: &Bench, words: &[&str]) -> Vec<String> {
    let (kind, seen, lines) = bench.run(&bench.task(words)).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{words:?}: {} {lines:?}", seen.evidence);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_described_truthfully() {
    let bench = Bench::new();
    for feature in bench.engine.features() {
        println!("{feature:?}");
        if let Availability::Missing { why, fix } = feature.availability {
            assert!(!why.is_empty() && !fix.is_empty(), "{}", feature.name);
        }
    }
    for name in ["user-namespace", "mount-namespace", "pid-namespace", "seccomp"] {
        assert!(works(&bench, name), "{name}: the tests need it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_is_nobody_of_the_host() {
    let bench = Bench::new();
    let lines = said(&bench, &["attack", "identity"]).await;
    let text = lines.join("\n");
    assert!(text.contains("uid 1000 gid 1000 pid 2"), "{text}");
    for caps in [
        "CapEff: 0000000000000000",
        "CapPrm: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        assert!(text.contains(caps), "{caps} is not in {text}");
    }
    let map = lines.iter().find(|l| l.starts_with("uid_map")).unwrap();
    assert!(!map.contains(" 0 "), "user 0 of the host is not mapped: {map}");
    assert!(lines.iter().any(|l| l.starts_with("cgroup") && !l.contains("orlop")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_host_do_not_exist() {
    let bench = Bench::new();
    let root = said(&bench, &["attack", "list", "/"]).await;
    let allowed = "app bin dev etc home lib lib32 lib64 libx32 proc run sbin tmp usr var";
    for name in root[0].trim_start_matches("list: ").split(' ') {
        assert!(allowed.split(' ').any(|a| a == name), "/{name} is there: {root:?}");
    }
    let data = bench.data.path().to_str().unwrap();
    for path in [data, "/root", "/etc/shadow", "/sys/kernel", "/var/log", "/dev/sda", "/run/systemd"] {
        let lines = said(&bench, &["read", path]).await;
        assert!(lines[0].contains("No such file"), "{path}: {lines:?}");
    }
    let processes = said(&bench, &["attack", "list", "/proc"]).await;
    let pids: Vec<&str> = processes[0].split(' ').filter(|n| n.bytes().all(|b| b.is_ascii_digit())).collect();
    assert_eq!(pids, ["1", "2"], "only init and itself");
    assert!(said(&bench, &["read", "/app/data/greeting.txt"]).await[0].contains("hello from the artifact"));
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_is_possible_only_where_it_is_meant() {
    let bench = Bench::new();
    for path in [
        "/app/x",
        "/app/guest",
        "/usr/x",
        "/etc/passwd",
        "/x",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/dev/x",
        "/proc/1/oom_score_adj",
    ] {
        let line = said(&bench, &["write", path, "text"]).await.join(" ");
        assert!(line.starts_with("write: ") && line != "write: ok", "{path}: {line}");
    }
    for path in ["/tmp/x", "/home/app/x", "/dev/shm/x", "/dev/null", "/var/tmp/x"] {
        assert_eq!(said(&bench, &["write", path, "text"]).await, ["write: ok"], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn system_calls_are_refused() {
    let bench = Bench::new();
    let lines = said(&bench, &["attack", "syscalls"]).await;
    assert!(lines.len() >= 20, "{lines:?}");
    for line in &lines {
        let (what, result) = line.split_once(": ").unwrap();
        let expect = match what {
            "clone3" | "x32" => "Function not implemented",
            "setuid" => "Invalid argument",
            _ => "Operation not permitted",
        };
        assert!(result.contains(expect), "{what}: {result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_plain_sockets_exist() {
    let bench = Bench::new();
    let lines = said(&bench, &["attack", "sockets"]).await;
    for line in &lines {
        let (what, result) = line.split_once(": ").unwrap();
        let good = matches!(what, "unix" | "tcp" | "netlink-route");
        assert_eq!(result == "ok", good, "{line}");
        assert!(good || result.contains("not permitted"), "{line}");
    }
    assert!(said(&bench, &["attack", "udp"]).await[0].contains("not permitted"));
    let mut named = bench.task(&["attack", "udp"]);
    named.network = Network::Only(vec![Connect { host: "db.example.org".into(), port: 5432, way: Way::Direct }]);
    let lines = bench.run(&named).await.2;
    if works(&bench, "network-namespace") {
        assert!(lines[0].contains("not permitted"), "names are written down: {lines:?}");
    } else {
        assert_eq!(lines, ["udp: ok"], "names must be looked up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_only_where_declared() {
    let bench = Bench::new();
    if !works(&bench, "landlock-tcp") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = |network: Network| {
        let mut spec = bench.task(&["attack", "connect", &format!("127.0.0.1:{port}")]);
        spec.network = network;
        spec
    };
    let only = |port| Network::Only(vec![Connect { host: "127.0.0.1".into(), port, way: Way::Direct }]);
    assert!(bench.run(&connect(Network::Only(vec![]))).await.2[0].contains("Permission denied"));
    assert!(bench.run(&connect(only(port ^ 1))).await.2[0].contains("Permission denied"));
    assert_eq!(bench.run(&connect(only(port))).await.2, ["connect: ok"]);
    assert_eq!(bench.run(&connect(Network::Host)).await.2, ["connect: ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_own_port_can_be_bound() {
    let bench = Bench::new();
    if !works(&bench, "landlock-tcp") {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut spec = bench.task(&["attack", "bind", &free]);
    spec.port = true;
    assert!(bench.run(&spec).await.2[0].contains("Permission denied"));
    let mut serve = bench.task(&["serve"]);
    (serve.port, serve.purpose) = (true, Purpose::Serve);
    serve.health = Some(Health { probe: Probe::Port, every_ms: 50, timeout_ms: 500 });
    bench.engine.ensure(&serve, G1).await.unwrap();
    let seen = wait_ready(&bench.engine, serve.id).await;
    assert!(seen.evidence.contains("accepts connections"), "{}", seen.evidence);
    // A neighbour reaches neither its port nor its processes.
    let port = crate::bench::port_of(&bench.instance_dir(serve.id));
    let line = said(&bench, &["attack", "connect", &format!("127.0.0.1:{port}")]).await.concat();
    assert!(line.contains("Permission denied"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_outside_cannot_be_signalled() {
    let bench = Bench::new();
    let me = std::process::id().to_string();
    let neighbour = bench.task(&["sleep"]);
    bench.engine.ensure(&neighbour, G1).await.unwrap();
    wait_ready(&bench.engine, neighbour.id).await;
    let line = said(&bench, &["attack", "kill", &me]).await.join("");
    assert!(line.contains("No such process") || line.contains("not permitted"), "{line}");
    let line = said(&bench, &["attack", "kill", "1"]).await.join("");
    assert!(line.contains("not permitted"), "not even its own init: {line}");
    assert!(bench.engine.get(neighbour.id).await.unwrap().unwrap().state.is_running());
    bench.engine.stop(neighbour.id, G1, std::time::Duration::ZERO).await.unwrap();
    wait_exit(&bench.engine, neighbour.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_the_host_without_a_path_are_out_of_reach() {
    let bench = Bench::new();
    let name = format!("orlop-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    assert!(std::os::unix::net::UnixStream::connect_addr(&address).is_ok(), "the test itself reaches it");
    let line = said(&bench, &["attack", "abstract", &name]).await.join("");
    // In a network of its own there is no such name; else Landlock or the kernel's scopes refuse it.
    let none = works(&bench, "network-namespace") && line.contains("refused");
    assert!(none || line.contains("not permitted"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_platform_is_inherited_and_no_secret_reaches_the_disk() {
    let bench = Bench::new();
    let secret = "s3cr3t-value-of-a-setting";
    let mut spec = bench.task(&["env", "TOKEN"]);
    spec.env.insert("TOKEN".into(), Secret::new(secret.into()));
    assert_eq!(bench.run(&spec).await.2, [format!("TOKEN={secret}")]);
    assert_eq!(said(&bench, &["env", "CARGO_MANIFEST_DIR"]).await, ["CARGO_MANIFEST_DIR=(unset)"]);
    for entry in std::fs::read_dir(bench.instance_dir(spec.id)).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{:?}", entry.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_host_are_lent_read_only() {
    let bench = Bench::new();
    let lent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(lent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = lent.path().join("tool.conf");
    std::fs::write(&file, "lent").unwrap();
    let path = file.to_str().unwrap();
    let with = |words: &[&str]| {
        let mut spec = bench.task(words);
        spec.mounts = vec![Mount::Host { path: lent.path().to_owned() }];
        spec
    };
    assert!(bench.run(&with(&["read", path])).await.2.concat().starts_with("lent"));
    assert!(bench.run(&with(&["write", path, "x"])).await.2[0].contains("Read-only"));
    let mut data = bench.task(&["sleep"]);
    data.mounts = vec![Mount::Host { path: bench.data.path().join("instances") }];
    assert_eq!(bench.engine.ensure(&data, G1).await.unwrap_err().code, "bad-mount");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_binary_is_lent_on_request() {
    let bench = Bench::new();
    let mut spec = bench.task(&[]);
    spec.mounts = vec![Mount::Platform { target: "/platform/orlop".into() }];
    spec.command = vec!["/platform/orlop".into(), "--help".into()];
    let (kind, _, lines) = bench.run(&spec).await;
    assert_eq!((kind, lines), (ExitKind::Status { status: 1 }, vec!["the first word is `shim`".to_owned()]));
}
