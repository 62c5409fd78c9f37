//! What the attempts are after: files, sockets, processes and shared memory of the host and of a
//! neighbour, and eyes outside that see whether any of it was touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use base::InstanceId;
use ports::conformance::engine::wait_ready;
use ports::{Connect, Health, Network, Probe, Purpose, Way};

use super::{Said, read};
use crate::bench::{Bench, G1, keeper_of};

const CANARY: &str = "what the host keeps";

/// The targets, for as long as this lives.
pub(super) struct Range {
    pub(super) bench: Bench,
    place: tempfile::TempDir,
    neighbour: InstanceId,
    doors: BTreeMap<&'static str, Door>,
    datagrams: UdpSocket,
    shm: tempfile::NamedTempFile,
    key: i32,
    free: u16,
    visitor: Arc<AtomicBool>,
    _sockets: Vec<UnixListener>,
}

/// A listening socket of the host that counts who comes in.
struct Door {
    address: std::net::SocketAddr,
    visits: Arc<AtomicUsize>,
}

impl Door {
    fn open(address: &str) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().unwrap();
        let visits = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&visits);
        // Ends with the test's process.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                seen.fetch_add(1, SeqCst);
                drop(stream);
            }
        });
        Some(Self { address, visits })
    }
}

impl Range {
    /// Lays everything out. The engine leaves these walls out of every sandbox.
    pub(super) async fn new(left_out: &[&str]) -> Self {
        let bench = Bench::leaving_out(left_out);
        let place = tempfile::tempdir().unwrap();
        for dir in [place.path(), bench.data.path()] {
            std::fs::set_permissions(dir, PermissionsExt::from_mode(0o777)).unwrap();
        }
        let open = |path: PathBuf, text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        };
        open(place.path().join("canary"), CANARY);
        open(bench.data.path().join("orlop.db"), "SQLite format 3");
        let shm = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
        open(shm.path().to_owned(), "shared by the host");

        let mut serve = bench.task(&["serve", "say", "neighbour-word"]);
        (serve.port, serve.purpose, serve.deadline) = (true, Purpose::Serve, None);
        serve.health = Some(Health { probe: Probe::Port, every_ms: 200, timeout_ms: 5000 });
        let neighbour = serve.id;
        bench.engine.ensure(&serve, G1).await.unwrap();
        wait_ready(&bench.engine, neighbour).await;

        let mut doors = BTreeMap::new();
        for name in ["control-plane", "undeclared", "declared"] {
            doors.insert(name, Door::open("127.0.0.1:0").unwrap());
        }
        doors.insert("elsewhere", Door::open(&format!("127.0.0.2:{}", doors["declared"].address.port())).unwrap());
        doors.extend(Door::open("[::1]:0").map(|door| ("undeclared-v6", door)));
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        datagrams.set_nonblocking(true).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let named = SocketAddr::from_abstract_name(format!("orlop-escape-{free}")).unwrap();
        let sockets =
            vec![UnixListener::bind_addr(&named).unwrap(), UnixListener::bind(place.path().join("socket")).unwrap()];
        std::fs::set_permissions(place.path().join("socket"), PermissionsExt::from_mode(0o666)).unwrap();
        let key = 0x4000_0000 | i32::from(free);
        let range = Self {
            bench,
            place,
            neighbour,
            doors,
            datagrams,
            shm,
            key,
            free,
            visitor: visitor(free),
            _sockets: sockets,
        };
        assert_eq!(range.guest(&["shared", "make", &key.to_string()]).concat(), "made", "shared memory of the host");
        range
    }

    /// A network that declares one door under this name.
    pub(super) fn declared(&self, host: &str) -> Network {
        let port = self.doors["declared"].address.port();
        Network::Only(vec![Connect { host: host.to_owned(), port, way: Way::Direct }])
    }

    /// Everything the guest needs to know. `target` is the process that it tries to reach into.
    pub(super) fn targets(&self, target: &str, artifact: &str) -> String {
        let dir = self.bench.instance_dir(self.neighbour);
        let path = |path: &Path| path.display().to_string();
        let keeper = keeper_of(&dir).expect("the neighbour has a keeper");
        let link = |path: &str| std::fs::read_link(path).map(|p| p.display().to_string()).unwrap_or_default();
        let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut pairs = vec![
            ("canary", path(&self.place.path().join("canary"))),
            ("canary-link", path(&self.place.path().join("linked"))),
            ("data", path(self.bench.data.path())),
            ("database", path(&self.bench.data.path().join("orlop.db"))),
            ("engine-socket", path(&self.bench.data.path().join("notify.sock"))),
            ("keeper-socket", path(&dir.join("control.sock"))),
            ("neighbour-state", path(&dir.join("state.json"))),
            ("host-socket", path(&self.place.path().join("socket"))),
            ("shm-file", path(self.shm.path())),
            ("artifact", artifact.to_owned()),
            ("target", target.to_owned()),
            ("platform", std::process::id().to_string()),
            ("keeper", keeper.to_string()),
            ("neighbour", self.neighbour_pid().to_string()),
            ("sysv", self.key.to_string()),
            ("abstract", format!("orlop-escape-{}", self.free)),
            ("hostname", host_name.trim().to_owned()),
            ("network-namespace", link("/proc/self/ns/net")),
            ("udp", self.datagrams.local_addr().unwrap().to_string()),
            ("free", format!("127.0.0.1:{}", self.free)),
            ("disk", disk()),
            ("control-group", control_group()),
            ("neighbour-address", self.neighbour_address()),
        ];
        pairs.extend(self.doors.iter().map(|(name, door)| (*name, door.address.to_string())));
        pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(";")
    }

    /// Where the neighbour's port is. On a host that gives each instance a network of its own there
    /// is none at this address, and nothing answers there.
    fn neighbour_address(&self) -> String {
        let meta = std::fs::read(self.bench.instance_dir(self.neighbour).join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        meta["port"].as_u64().map_or_else(String::new, |port| format!("127.0.0.1:{port}"))
    }

    /// The neighbour's program as the host numbers it: the child of its init.
    fn neighbour_pid(&self) -> i32 {
        let init = crate::bench::init_of(&self.bench.instance_dir(self.neighbour)).expect("the neighbour runs");
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
        children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("init has a child")
    }

    /// Runs the attempts with no sandbox around them, in a mount and host-name namespace only so
    /// that nothing of them stays.
    #[expect(clippy::disallowed_methods, reason = "the counterpart of the sandbox: the same program without it")]
    pub(super) fn without_walls(&self) -> BTreeMap<String, Said> {
        let artifact = self.place.path().join("artifact");
        std::fs::write(&artifact, "").unwrap();
        let target = self.neighbour_pid().to_string();
        let output = Command::new("unshare")
            .args(["--mount", "--uts", "sh", "-c", "exec \"$0\" escape 9>&2", env!("CARGO_BIN_EXE_process-guest")])
            .env("ESCAPE", self.targets(&target, artifact.to_str().unwrap()))
            .env("LANG", "C")
            .process_group(0)
            .output()
            .expect("unshare of util-linux");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        read(&lines)
    }

    /// What was touched, seen from outside. Where attempts are `open`, because the host has no wall
    /// before them, their visits are no news.
    pub(super) fn harm(&self, open: &BTreeSet<&str>) -> Vec<String> {
        let mut harm = Vec::new();
        let canary = std::fs::read_to_string(self.place.path().join("canary")).unwrap_or_default();
        if canary != CANARY {
            harm.push(format!("a host file holds {canary:?}"));
        }
        if self.place.path().join("linked").exists() {
            harm.push("a hard link to a host file was made".to_owned());
        }
        for path in ["/escape-attempt", "/usr/escape-attempt", "/run/escape-attempt"] {
            if Path::new(path).exists() {
                harm.push(format!("{path} was made"));
            }
        }
        if keeper_of(&self.bench.instance_dir(self.neighbour)).is_none() {
            harm.push("the neighbour was ended".to_owned());
        }
        let mut buffer = [0u8; 16];
        if self.datagrams.recv(&mut buffer).is_ok() && !open.contains("udp-to-host") {
            harm.push("a datagram reached the host".to_owned());
        }
        for (name, door) in &self.doors {
            let came = door.visits.swap(0, SeqCst) > 0;
            if came && !ways(name).iter().any(|attempt| open.contains(attempt)) {
                harm.push(format!("somebody came in at {name}"));
            }
        }
        harm
    }

    /// Runs the guest on the host.
    #[expect(clippy::disallowed_methods, reason = "what is shared by the host is made by a process of the host")]
    fn guest(&self, words: &[&str]) -> Vec<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_process-guest")).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        self.visitor.store(true, SeqCst);
        self.guest(&["shared", "remove", &self.key.to_string()]);
    }
}

/// The attempts that lead to a door.
fn ways(door: &str) -> &'static [&'static str] {
    match door {
        "control-plane" => &["connect-control-plane"],
        "undeclared" => &["connect-undeclared-port", "first-data-connects"],
        "elsewhere" => &["connect-undeclared-host"],
        "undeclared-v6" => &["connect-over-ipv6"],
        _ => &[],
    }
}

/// Somebody of the host who tries this port again and again.
fn visitor(port: u16) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        while !stopped.load(SeqCst) {
            let _ = TcpStream::connect(("127.0.0.1", port));
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    stop
}

/// The device of the root file system, or the first disk there is.
fn disk() -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let device = mounts.lines().filter_map(|l| l.split(' ').next()).find(|d| d.starts_with("/dev/"));
    device.unwrap_or("/dev/vda").to_owned()
}

/// A file by which a process can be moved into another control group.
fn control_group() -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut mount = mounts.lines().filter_map(|l| {
        let mut words = l.split(' ');
        let (_, path, kind) = (words.next()?, words.next()?, words.next()?);
        kind.starts_with("cgroup").then(|| format!("{path}/cgroup.procs"))
    });
    mount.next_back().unwrap_or_else(|| "/sys/fs/cgroup/cgroup.procs".to_owned())
}
