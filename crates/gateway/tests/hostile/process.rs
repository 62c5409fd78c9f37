//! A gateway in a process of its own: the test program starts itself again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base::Generation;
use gateway::{Client, Limits, Options};
use ports::{Gateway as _, Route, SNAPSHOT_FORMAT, Snapshot};

/// Where the gateway lives, as the variable that makes this program one.
const DIR: &str = "HOSTILE_GATEWAY_DIR";

/// Limits that differ from the defaults, as whole milliseconds in the order of the fields below.
const LIMITS: &str = "HOSTILE_GATEWAY_LIMITS";

/// The waits of a gateway process.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    pub head: Duration,
    pub body: Duration,
    pub write: Duration,
}

/// A folder in memory, where the machine has one: what is tried here thousands of times is what is
/// written and read, not whether a disk keeps it.
pub fn memory_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    pub client: Client,
    /// Where its snapshot and its log are.
    pub dir: tempfile::TempDir,
}

impl Gateway {
    #[expect(clippy::disallowed_methods, reason = "a process of its own, whose memory can be measured")]
    pub async fn start(waits: Waits, routes: Vec<Route>) -> Self {
        let dir = memory_dir();
        let limits = [waits.head, waits.body, waits.write].map(|w| w.as_millis().to_string()).join(" ");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::the_gateway_of_other_tests", "--nocapture"])
            .env(DIR, dir.path())
            .env(LIMITS, limits)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let client = Client::new(dir.path());
        let mut address = None;
        for _ in 0..1000 {
            if let Ok(status) = client.status().await {
                address = status.listeners.first().map(|l| l.address);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let made = Self { child, address: address.expect("the gateway answers"), client, dir };
        let snapshot = Snapshot { format: SNAPSHOT_FORMAT, generation: Generation(1), routes };
        made.client.apply(&snapshot).await.unwrap();
        made
    }

    /// Whether the process still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Memory it has now and had at most, bytes.
    pub fn memory(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = |name: &str| -> u64 {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (kib("VmRSS:") * 1024, kib("VmHWM:") * 1024)
    }

    /// Processor time it has used, in ticks of the kernel (10 ms on the machines this runs on).
    pub fn ticks(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after = text.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: with the variable set it is the gateway, until its standard input ends.
#[test]
fn the_gateway_of_other_tests() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let limits = std::env::var(LIMITS).unwrap();
    let mut waits = limits.split(' ').map(|text| Duration::from_millis(text.parse().unwrap()));
    let mut next = || waits.next().unwrap();
    let limits = Limits { head_timeout: next(), body_timeout: next(), write_timeout: next(), ..Limits::default() };
    let mut options = Options::new(Path::new(&dir));
    options.listen = vec!["127.0.0.1:0".parse().unwrap()];
    options.workers = 2;
    options.limits = limits;
    options.log.flush_every = Duration::from_millis(20);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let running = gateway::start(options).await.unwrap();
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let _ = ended.await;
        drop(running);
    });
    std::process::exit(0);
}
