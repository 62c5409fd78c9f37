//! A server of the smart HTTP routes on a port of its own, and the real `git` as its client.
#![allow(dead_code)] // every test binary uses its own part of this

pub mod raw;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base::{Problem, ServiceName};
use futures_util::StreamExt as _;
use ports::{Advice, ByteStream, Progress, PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy, Sources as _};

/// What a policy of the tests does and has seen.
#[derive(Default)]
pub struct Rules {
    /// Refs that are refused, with the reason.
    pub refused: Mutex<HashMap<String, String>>,
    /// Lines that are shown after the refs have moved.
    pub lines: Mutex<Vec<String>>,
    /// How long `landed` works before it shows its last line.
    pub landing: Mutex<Duration>,
    /// All updates that took effect.
    pub landed: Mutex<Vec<PushUpdate>>,
    /// All updates that were judged.
    pub judged: Mutex<Vec<PushUpdate>>,
    pub limits: Mutex<Option<ReceiveLimits>>,
    /// How many bodies came compressed.
    pub zipped: AtomicUsize,
}

struct Policy(Arc<Rules>);

#[async_trait]
impl ReceivePolicy for Policy {
    async fn judge(&self, update: &PushUpdate) -> PushVerdict {
        self.0.judged.lock().unwrap().push(update.clone());
        match self.0.refused.lock().unwrap().get(&update.reference) {
            Some(why) => PushVerdict::Refuse(why.clone()),
            None => PushVerdict::Accept,
        }
    }

    async fn landed(&self, updates: &[PushUpdate], progress: &dyn Progress) {
        let (lines, wait) = (self.0.lines.lock().unwrap().clone(), *self.0.landing.lock().unwrap());
        for line in lines {
            let _ = progress.say(Advice::Line(line)).await;
        }
        tokio::time::sleep(wait).await;
        self.0.landed.lock().unwrap().extend_from_slice(updates);
        let _ = progress.say(Advice::Line("done".into())).await;
    }
}

/// The server with its repositories; everything goes away with it.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub rules: Arc<Rules>,
    pub sources: Arc<git::Repositories>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Shared = (Arc<git::Repositories>, Arc<Rules>);

pub async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let sources = Arc::new(git::Repositories::open(dir.path().join("repositories"), git_program()).unwrap());
    let rules = Arc::new(Rules::default());
    let app = Router::new()
        .route("/{service}/info/refs", get(advertise))
        .route("/{service}/git-receive-pack", post(receive))
        .route("/{service}/git-upload-pack", post(upload))
        .with_state((Arc::clone(&sources), Arc::clone(&rules)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server { dir, address, rules, sources, task }
}

impl Server {
    pub fn url(&self, service: &str) -> String {
        format!("http://{}/{service}", self.address)
    }

    pub fn repository(&self, service: &str) -> PathBuf {
        self.dir.path().join(format!("repositories/{service}.git"))
    }

    /// Everything that can be seen of a repository: its refs, and that it is sound and tidy.
    pub fn state(&self, service: &str) -> String {
        let repository = self.repository(service);
        if !repository.exists() {
            return String::new();
        }
        for entry in std::fs::read_dir(repository.join("objects")).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with("incoming-"), "a quarantine is left: {name:?}");
        }
        let fsck = run(&repository, &["fsck", "--strict", "--full"]);
        let said = text(&fsck);
        assert!(fsck.status.success(), "fsck: {said}");
        for line in said.lines() {
            assert!(["notice:", "dangling", "Checking"].iter().any(|w| line.starts_with(w)), "fsck says {line}");
        }
        text(&run(&repository, &["for-each-ref"]))
    }
}

async fn advertise(
    State((sources, _)): State<Shared>,
    UrlPath(service): UrlPath<String>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let service: ServiceName = service.parse().unwrap();
    let kind = query.get("service").cloned().unwrap_or_default();
    let content_type = format!("application/x-{kind}-advertisement");
    if kind == "git-receive-pack" {
        return match sources.advertise_receive(&service).await {
            Ok(body) => ([("content-type", content_type)], body).into_response(),
            Err(problem) => refuse(&problem),
        };
    }
    answer(sources.upload_pack(&service, None, protocol(&request).as_deref()).await, content_type)
}

async fn receive(
    State((sources, rules)): State<Shared>,
    UrlPath(service): UrlPath<String>,
    request: Request,
) -> Response {
    let service: ServiceName = service.parse().unwrap();
    let limits = rules.limits.lock().unwrap().unwrap_or_default();
    let body = body(request, &rules);
    let reply = sources.receive(&service, body, limits, Box::new(Policy(rules))).await;
    answer(reply, "application/x-git-receive-pack-result".into())
}

async fn upload(
    State((sources, rules)): State<Shared>,
    UrlPath(service): UrlPath<String>,
    request: Request,
) -> Response {
    let protocol = protocol(&request);
    let service: ServiceName = service.parse().unwrap();
    let reply = sources.upload_pack(&service, Some(body(request, &rules)), protocol.as_deref()).await;
    answer(reply, "application/x-git-upload-pack-result".into())
}

fn protocol(request: &Request) -> Option<String> {
    Some(request.headers().get("git-protocol")?.to_str().unwrap().to_owned())
}

fn body(request: Request, rules: &Rules) -> ByteStream {
    let zipped = request.headers().get("content-encoding").is_some_and(|e| e == "gzip");
    let stream = request.into_body().into_data_stream();
    let stream: ByteStream = stream.map(|chunk| chunk.map_err(|e| Problem::invalid("cut", e))).boxed();
    if zipped {
        rules.zipped.fetch_add(1, Ordering::Relaxed);
        git::gunzip(stream, 64 << 20)
    } else {
        stream
    }
}

fn answer(reply: base::Result<ByteStream>, content_type: String) -> Response {
    match reply {
        Ok(stream) => ([("content-type", content_type)], Body::from_stream(stream)).into_response(),
        Err(problem) => refuse(&problem),
    }
}

fn refuse(problem: &Problem) -> Response {
    (http::StatusCode::from_u16(problem.kind.status()).unwrap(), problem.to_string()).into_response()
}

/// The git of this host, if it has one.
pub fn git_program() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join("git")).find(|file| file.is_file())
}

/// Whether the real git is here; says so loudly if not.
pub fn has_git() -> bool {
    let found = git_program().is_some();
    if !found {
        eprintln!("SKIPPED: no git on this host; the tests with the real client did not run");
    }
    found
}

/// Runs git in a directory, undisturbed by the configuration of the host.
pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the real client of the tests")]
pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(git_program().unwrap());
    command.current_dir(dir).args(arguments).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("HOME", "/nonexistent");
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        command.env(format!("GIT_{who}_DATE"), "1790000000 +0000");
    }
    command
}

/// Both outputs of a program.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A clone with a remote `orlop`.
pub struct Work {
    pub dir: tempfile::TempDir,
}

impl Work {
    pub fn new(server: &Server, service: &str) -> Self {
        let work = Self { dir: tempfile::tempdir().unwrap() };
        work.git(&["init", "-q", "-b", "main", "."]);
        work.git(&["remote", "add", "orlop", &server.url(service)]);
        work
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs git; it must succeed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = run(self.path(), arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output));
        text(&output)
    }

    /// Commits one file.
    pub fn commit(&self, file: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", &format!("change {file}")]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Pushes without blocking the server, which runs in this process.
    pub async fn push(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["push"];
        all.extend_from_slice(arguments);
        let mut command = command(self.path(), &all);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs git against the server; it must succeed.
    pub async fn remote(&self, arguments: &[&str]) -> String {
        let mut command = command(self.path(), arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }
}

/// Bytes that do not compress and are the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
