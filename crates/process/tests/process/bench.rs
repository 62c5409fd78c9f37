//! What the tests stand on: an engine on a temporary directory, objects in memory, specifications.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base::{Bytes, Digest, Generation, InstanceId, MilliCpu, Problem, Result, Secret, Time};
use futures_util::StreamExt;
use ports::{
    Availability, Base, ByteStream, Clock, Engine, ExitKind, InstanceSeen, InstanceSpec, LogStream, Network, Objects,
    Purpose,
};
use process::{Options, ProcessEngine};

pub(crate) const G1: Generation = Generation(1);

/// Objects in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, bytes::Bytes>>);

impl Memory {
    pub(crate) fn insert(&self, key: &str, content: Vec<u8>) -> Digest {
        let digest = Digest::of(&content);
        self.0.lock().unwrap().insert(key.to_owned(), content.into());
        digest
    }

    pub(crate) fn blob(&self, content: Vec<u8>) -> Digest {
        let digest = Digest::of(&content);
        self.insert(&format!("oci/blobs/sha256/{}", digest.hex()), content)
    }
}

#[async_trait]
impl Objects for Memory {
    async fn put(&self, key: &str, mut content: ByteStream) -> Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        while let Some(chunk) = content.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        let length = bytes.len() as u64;
        Ok((self.insert(key, bytes), length))
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let found = self.0.lock().unwrap().get(key).cloned();
        let bytes = found.ok_or_else(|| Problem::not_found("object-not-found", format!("no object {key}")))?;
        let pieces: Vec<Result<bytes::Bytes>> = bytes.chunks(100_000).map(|c| Ok(bytes.slice_ref(c))).collect();
        Ok(Box::pin(futures_util::stream::iter(pieces)))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.0.lock().unwrap().get(key).map(|b| b.len() as u64))
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.len() as u64)).collect())
    }
}

/// The real time.
#[expect(clippy::disallowed_methods, reason = "the tests run against the real kernel and its clock")]
fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// The clock of the tests.
pub(crate) struct RealClock;

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Time {
        let since = wall_clock().duration_since(std::time::UNIX_EPOCH).unwrap();
        Time::from_micros(since.as_micros() as i64)
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<std::time::Instant> = OnceLock::new();
        BEGAN.get_or_init(std::time::Instant::now).elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// One engine and what it needs.
pub(crate) struct Bench {
    pub(crate) data: tempfile::TempDir,
    pub(crate) objects: Arc<Memory>,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) app: Digest,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// An engine that claims these walls and does not raise them.
    pub(crate) fn leaving_out(walls: &[&str]) -> Self {
        Self::with(|options| options.left_out = walls.iter().map(|w| (*w).to_owned()).collect())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let objects = Arc::new(Memory::default());
        let app = guest_artifact(&objects);
        let mut options = options(data.path(), &objects);
        change(&mut options);
        let engine = ProcessEngine::open(options).unwrap();
        Self { data, objects, engine, app }
    }

    /// As if the platform was killed and started again.
    pub(crate) fn reopen(&mut self) {
        self.engine = open(self.data.path(), &self.objects);
    }

    /// A task that runs the guest with these words.
    pub(crate) fn task(&self, words: &[&str]) -> InstanceSpec {
        let command = ["/app/guest"].iter().chain(words).map(|w| (*w).to_owned()).collect();
        InstanceSpec {
            id: new_id(),
            service: "shop".parse().unwrap(),
            environment: Some("dev".parse().unwrap()),
            release: None,
            process: "web".parse().unwrap(),
            purpose: Purpose::Task,
            base: Base::Artifact(self.app),
            mounts: Vec::new(),
            workdir: "/app".to_owned(),
            command,
            env: BTreeMap::from([("LANG".to_owned(), Secret::new("C".to_owned()))]),
            port: false,
            health: None,
            network: Network::Only(Vec::new()),
            cpu: MilliCpu(1000),
            cpu_weight: 100,
            memory: Bytes(256 << 20),
            tasks_max: 64,
            disk_max: Bytes(64 << 20),
            deadline: Some(Duration::from_secs(60)),
            hidden: BTreeMap::new(),
            stop_grace: Duration::from_secs(5),
        }
    }

    /// A build: the guest is in the workspace.
    pub(crate) fn build(&self, words: &[&str]) -> InstanceSpec {
        let mut spec = self.task(words);
        self.objects
            .insert("sources/guest.tar", tar_of(&[("guest", &guest(), true), ("src/main.c", b"int x;", false)]));
        spec.base = Base::Workspace { source: "sources/guest.tar".to_owned() };
        spec.workdir = "/workspace".to_owned();
        spec.command[0] = "/workspace/guest".to_owned();
        spec.network = Network::Host;
        spec
    }

    /// Runs to the end; how it ended and what it said.
    pub(crate) async fn run(&self, spec: &InstanceSpec) -> (ExitKind, InstanceSeen, Vec<String>) {
        self.engine.ensure(spec, G1).await.unwrap();
        let (kind, seen) = ports::conformance::engine::wait_exit(&self.engine, spec.id).await;
        let lines = self.said(spec.id).await;
        (kind, seen, lines)
    }

    /// What the program wrote.
    pub(crate) async fn said(&self, id: InstanceId) -> Vec<String> {
        let lines = self.engine.logs(id, None, 100_000).await.unwrap();
        lines.into_iter().filter(|l| l.stream != LogStream::Platform).map(|l| l.text).collect()
    }

    pub(crate) fn instance_dir(&self, id: InstanceId) -> PathBuf {
        self.data.path().join("instances").join(id.to_string())
    }
}

impl Drop for Bench {
    /// No instance survives a test, whatever its result. Without init a keeper clears up and ends.
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.data.path().join("instances")).into_iter().flatten().flatten() {
            for _ in 0..200 {
                let Some(keeper) = keeper_of(&entry.path()) else { break };
                kill(init_of(&entry.path()).unwrap_or(keeper));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The pid of init, which is the keeper's child and so keeps its number while the keeper lives.
pub(crate) fn init_of(dir: &Path) -> Option<i32> {
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("state.json")).ok()?).ok()?;
    i32::try_from(state.get("init")?.as_i64()?).ok()
}

/// Ends a process of this test by force.
pub(crate) fn kill(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The pid of a living keeper.
pub(crate) fn keeper_of(dir: &Path) -> Option<i32> {
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("state.json")).ok()?).ok()?;
    let pid = i32::try_from(state.get("keeper")?.as_i64()?).ok().filter(|pid| *pid > 0)?;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    String::from_utf8_lossy(&words).contains(dir.file_name()?.to_str()?).then_some(pid)
}

pub(crate) fn open(data: &Path, objects: &Arc<Memory>) -> Arc<dyn Engine> {
    ProcessEngine::open(options(data, objects)).unwrap()
}

fn options(data: &Path, objects: &Arc<Memory>) -> Options {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_process-testbed"));
    Options::new(data.to_owned(), objects.clone(), Arc::new(RealClock), binary)
}

/// The port that an instance was given.
pub(crate) fn port_of(dir: &Path) -> u16 {
    let meta: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("meta.json")).unwrap()).unwrap();
    u16::try_from(meta["port"].as_u64().unwrap()).unwrap()
}

pub(crate) fn new_id() -> InstanceId {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut random = [0u8; 10];
    random[..4].copy_from_slice(&std::process::id().to_be_bytes());
    random[4..8].copy_from_slice(&COUNT.fetch_add(1, SeqCst).to_be_bytes());
    InstanceId::new(RealClock.now(), random)
}

pub(crate) fn guest() -> Vec<u8> {
    std::fs::read(env!("CARGO_BIN_EXE_process-guest")).unwrap()
}

pub(crate) fn tar_of(files: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content, executable) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if *executable { 0o755 } else { 0o644 });
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The guest as a process of this host, serving.
#[expect(clippy::disallowed_methods, reason = "compares an instance with the bare program")]
pub(crate) fn bare_guest(port: u16) -> std::process::Child {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_process-guest"));
    command.arg("serve").env("PORT", port.to_string()).stdout(std::process::Stdio::null()).spawn().unwrap()
}

/// An artifact of one layer that holds the guest.
fn guest_artifact(objects: &Memory) -> Digest {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    let layer = LAYER.get_or_init(|| {
        gz(&tar_of(&[("guest", &guest(), true), ("data/greeting.txt", b"hello from the artifact", false)]))
    });
    artifact(objects, std::slice::from_ref(layer))
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// An artifact of these layers (tar+gzip).
pub(crate) fn artifact(objects: &Memory, layers: &[Vec<u8>]) -> Digest {
    let layers: Vec<serde_json::Value> = layers
        .iter()
        .map(|layer| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": objects.blob(layer.clone()),
                "size": layer.len(),
            })
        })
        .collect();
    let config = objects.blob(b"{}".to_vec());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
        "layers": layers,
    });
    objects.blob(serde_json::to_vec(&manifest).unwrap())
}

/// Whether this host has a feature; says so loudly when it has not.
pub(crate) fn works(bench: &Bench, name: &str) -> bool {
    let features = bench.engine.features();
    let feature = features.iter().find(|f| f.name == name).expect(name);
    let works = feature.availability == Availability::Works;
    if !works {
        eprintln!("SKIPPED in part: this host has no {name}: {:?}", feature.availability);
    }
    works
}

/// A connection to an instance's port.
pub(crate) fn connect(bench: &Bench, id: InstanceId) -> std::net::TcpStream {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let socket = bench.instance_dir(id).join("connect.sock");
    if !socket.exists() {
        let address = ("127.0.0.1", port_of(&bench.instance_dir(id)));
        return std::net::TcpStream::connect(address).expect("the service accepts connections");
    }
    let keeper = std::os::unix::net::UnixStream::connect(socket).expect("the keeper listens");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0u8; 1];
    let into = &mut [std::io::IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(&keeper, into, &mut control, RecvFlags::CMSG_CLOEXEC).expect("the keeper answers");
    let given = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut all) => all.next(),
        _ => None,
    });
    let stream = std::net::TcpStream::from(given.expect("the keeper gives a connection"));
    // What is sent first waits until the connection is there.
    stream.set_nonblocking(false).unwrap();
    stream
}

/// The processes of an instance as the host numbers them, init and keeper left out.
pub(crate) fn processes(bench: &Bench, id: InstanceId) -> Vec<i32> {
    let mut todo: Vec<i32> = init_of(&bench.instance_dir(id)).into_iter().collect();
    let mut found = Vec::new();
    while let Some(pid) = todo.pop() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children: Vec<i32> = children.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            found.extend(&children);
            todo.extend(children);
        }
    }
    found
}

/// What the first of these files says that one of an instance's control groups has.
pub(crate) fn group_file(bench: &Bench, id: InstanceId, names: &[&str]) -> String {
    let state = std::fs::read(bench.instance_dir(id).join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    let dirs = state["groups"]["groups"].as_array().into_iter().flatten().filter_map(|g| g["dir"].as_str());
    let paths = dirs.flat_map(|dir| names.iter().map(move |name| Path::new(dir).join(name)));
    paths.filter_map(|path| std::fs::read_to_string(path).ok()).next().unwrap_or_default().trim().to_owned()
}
