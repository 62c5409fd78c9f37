#![expect(clippy::disallowed_methods, reason = "starts the PostgreSQL that the suite runs on")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::Mutex;

use super::find;

const PREFIX: &str = "orlop-test-pg-";
const TRIES: u32 = 600;

static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A PostgreSQL server of its own in a temporary directory, reachable only over a Unix socket there.
/// It stops when it is dropped, also by a panic.
pub struct Cluster {
    bin: PathBuf,
    root: PathBuf,
    server: Child,
}

impl Cluster {
    /// The server that is shared by the tests that run now; started by the first, stopped after the
    /// last. `None`, said loudly, where PostgreSQL is not installed; with `ORLOP_REQUIRE_PG=1` that
    /// is a failure.
    pub async fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let cluster = Arc::new(Self::own().await?);
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    /// A server for one test alone, or `None` as with [`Self::shared`].
    pub async fn own() -> Option<Self> {
        let Some(bin) = find::binaries() else {
            assert!(
                std::env::var("ORLOP_REQUIRE_PG").as_deref() != Ok("1"),
                "PostgreSQL is required and not installed"
            );
            find::say_loudly(
                "SKIPPED on PostgreSQL: it is not installed; name its programs' directory in ORLOP_TEST_PG_BIN",
            );
            return None;
        };
        Some(Self::start(bin).await)
    }

    /// Ends the server as a crash does, without a word to anybody, and starts it again.
    pub async fn crash(&mut self) {
        stop(&self.bin, &self.root);
        let _ = self.server.wait();
        self.server = serve(&self.bin, &self.root);
        self.wait().await;
    }

    /// The URL of a new, empty database.
    pub async fn database(&self) -> String {
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let mut connection = self.connect("postgres").await.expect("the server that was started answers");
        let sql = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.expect("a database can be created");
        let _ = connection.close().await;
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://orlop@localhost/{database}?host={}", self.root.display())
    }

    async fn connect(&self, database: &str) -> sqlx::Result<sqlx::PgConnection> {
        self.url(database).parse::<sqlx::postgres::PgConnectOptions>()?.disable_statement_logging().connect().await
    }

    async fn start(bin: PathBuf) -> Self {
        for root in find::abandoned(PREFIX) {
            stop(&bin, &root);
            let _ = std::fs::remove_dir_all(&root);
        }
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let root = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        std::fs::create_dir_all(&root).expect("the temporary directory can be written");
        if let Some((user, group)) = find::unprivileged() {
            std::os::unix::fs::chown(&root, Some(user), Some(group)).expect("root may give a directory away");
        }
        init(&bin, &root);
        let server = serve(&bin, &root);
        let cluster = Self { bin, root, server };
        cluster.wait().await;
        cluster
    }

    async fn wait(&self) {
        for _ in 0..TRIES {
            if let Ok(connection) = self.connect("postgres").await {
                let _ = connection.close().await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.root.join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start; its log:\n{log}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop(&self.bin, &self.root);
        // Does nothing where the server has ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// With linguistic order where the build has ICU: nothing of ours may depend on byte order by luck.
fn init(bin: &Path, root: &Path) {
    let plain = ["--pgdata=data", "--username=orlop", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C"];
    let icu = ["--locale-provider=icu", "--icu-locale=en"];
    let run = |args: &[&str]| {
        let _ = std::fs::remove_dir_all(root.join("data"));
        command(bin, root, "initdb").args(args).output().expect("initdb can be run")
    };
    if !run(&[&plain[..], &icu[..]].concat()).status.success() {
        let done = run(&plain);
        assert!(done.status.success(), "initdb failed: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Settings that are quick (a test does not cut the power) or that the store must not believe.
fn serve(bin: &Path, root: &Path) -> Child {
    let log = std::fs::File::create(root.join("log")).expect("the directory can be written");
    let mut server = command(bin, root, "postgres");
    server.args(["-D", "data", "-k"]).arg(root).args(["-c", "listen_addresses="]);
    for setting in ["fsync=off", "synchronous_commit=off", "max_connections=400", "shared_buffers=32MB"] {
        server.args(["-c", setting]);
    }
    server.stdout(Stdio::null()).stderr(log).spawn().expect("postgres can be run")
}

fn stop(bin: &Path, root: &Path) {
    let _ = command(bin, root, "pg_ctl").args(["stop", "-D", "data", "-m", "immediate", "-w", "-t", "20"]).output();
}

/// A program of PostgreSQL in the server's directory, with nothing of our environment.
fn command(bin: &Path, root: &Path, tool: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(bin.join(tool));
    command.env_clear().env("LC_ALL", "C").env("PATH", bin).current_dir(root).stdin(Stdio::null());
    if let Some((user, group)) = find::unprivileged() {
        command.uid(user).gid(group);
    }
    command
}
