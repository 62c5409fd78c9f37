//! The engine's own files (`meta.json`, unpacked artifacts, `removed/`) and those of its keepers
//! (`state.json`, the log).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base::{Bytes, Digest, Generation, InstanceId, MilliCpu, Result, Secret, Time};
use futures_util::stream;
use ports::{
    Base, Clock, Engine as _, ExitKind, InstanceSeen, InstanceSpec, InstanceState, LogStream, Network, Objects, Purpose,
};
use process::{Options, ProcessEngine};
use serde_json::json;

use crate::play::{broken, say, tell};

/// Lines that the program says; longer than the keeper writes at once.
const LINES: usize = 3_000;
/// A program ends within this span, or never.
const PATIENCE: Duration = Duration::from_secs(30);

/// The real time.
struct RealClock;

#[async_trait]
impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "real processes live by the machine's clock")]
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

fn text() -> String {
    (0..LINES).map(|n| format!("line {n}\n")).collect()
}

fn id() -> InstanceId {
    InstanceId::new(Time::from_micros(1), [7; 10])
}

/// Puts an artifact with one file beside the data, where no call fails. Returns its digest.
async fn artifact(objects: &dyn Objects) -> Result<Digest> {
    let blob = async |content: Vec<u8>| {
        let digest = Digest::of(&content);
        let key = format!("oci/blobs/sha256/{}", digest.hex());
        objects.put(&key, Box::pin(stream::iter([Ok(content.into())]))).await.map(|_| digest)
    };
    let mut tar = tar::Builder::new(Vec::new());
    let content = text();
    for name in ["file", "folder/other"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).expect("memory");
    }
    let layer = tar.into_inner().expect("memory");
    let size = layer.len();
    let layer = blob(layer).await?;
    let media = "application/vnd.oci.image";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": format!("{media}.manifest.v1+json"),
        "config": { "mediaType": format!("{media}.config.v1+json"), "digest": layer, "size": size },
        "layers": [{ "mediaType": format!("{media}.layer.v1.tar"), "digest": layer, "size": size }],
    });
    blob(manifest.to_string().into_bytes()).await
}

fn spec(app: Digest) -> InstanceSpec {
    InstanceSpec {
        id: id(),
        service: "shop".parse().expect("a name"),
        environment: Some("dev".parse().expect("a name")),
        release: None,
        process: "web".parse().expect("a name"),
        purpose: Purpose::Task,
        base: Base::Artifact(app),
        mounts: Vec::new(),
        workdir: "/app".to_owned(),
        command: ["/usr/bin/cat", "file", "folder/other"].map(str::to_owned).into(),
        env: BTreeMap::from([("LANG".to_owned(), Secret::new("C".to_owned()))]),
        port: false,
        health: None,
        network: Network::Only(Vec::new()),
        cpu: MilliCpu(1000),
        cpu_weight: 100,
        memory: Bytes(256 << 20),
        tasks_max: 64,
        disk_max: Bytes(64 << 20),
        deadline: Some(PATIENCE),
        hidden: BTreeMap::new(),
        stop_grace: Duration::from_secs(1),
    }
}

/// The binary, or a program that starts it behind the library that fails calls: what the engine
/// starts inherits nothing.
fn binary(home: &Path) -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_orlop"));
    let Some(shim) = std::env::var_os("FAULT_SHIM") else { return binary };
    let names = ["FAULT_DIR", "FAULT_NOT", "FAULT_OP", "FAULT_N", "FAULT_ERRNO", "FAULT_LOG"];
    let set: String =
        names.iter().map(|name| format!("{name}='{}' ", std::env::var(name).unwrap_or_default())).collect();
    let script = format!("#!/bin/sh\n{set}LD_PRELOAD='{}' exec '{}' \"$@\"\n", shim.display(), binary.display());
    let path = home.join("keeper");
    std::fs::write(&path, script).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its own file");
    path
}

async fn open(data: &Path) -> Result<(Arc<ProcessEngine>, Digest)> {
    let home = data.parent().expect("data are in a folder");
    let objects: Arc<dyn Objects> = Arc::new(cloud::Objects::in_folder(&home.join("objects"))?);
    let app = artifact(&*objects).await?;
    let options = Options::new(data.join("engine"), objects, Arc::new(RealClock), binary(home));
    Ok((ProcessEngine::open(options)?, app))
}

/// How it ended.
async fn end(engine: &ProcessEngine) -> Result<(ExitKind, InstanceSeen)> {
    let begun = Instant::now();
    loop {
        let seen = engine.get(id()).await?.ok_or_else(|| broken("it was started and is not there"))?;
        match &seen.state {
            InstanceState::Exited { kind } => return Ok((kind.clone(), seen)),
            _ if begun.elapsed() > PATIENCE => return Err(broken(format!("it does not end: {seen:?}"))),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Starts one, waits for its end, removes it.
pub async fn act(data: &Path) {
    say("begin", "open");
    let (engine, app) = match open(data).await {
        Ok(opened) => opened,
        Err(problem) => return say("refused", format!("open {problem}").replace('\n', " ")),
    };
    say("begin", "ensure");
    if tell("ensure", engine.ensure(&spec(app), Generation(1)).await).is_none() {
        return;
    }
    say("begin", "end");
    let ended = async {
        match end(&engine).await? {
            (ExitKind::Status { status: 0 }, _) => Ok(()),
            (kind, seen) => Err(broken(format!("it ended with {kind:?}: {}", seen.evidence))),
        }
    };
    tell("end", ended.await);
    say("begin", "remove");
    tell("remove", engine.remove(id(), Generation(2)).await);
}

/// What the next start of the platform finds, and that it can go on with it.
pub async fn verify(data: &Path, acked: &[&str]) -> Result<()> {
    let (engine, app) = open(data).await?;
    let seen = engine.get(id()).await?;
    let is_removed = acked.contains(&"remove");
    if is_removed {
        if let Some(seen) = seen {
            return Err(broken(format!("it was removed and is there: {seen:?}")));
        }
        match engine.ensure(&spec(app), Generation(1)).await {
            Err(problem) if problem.code == "stale-generation" => {}
            other => return Err(broken(format!("an older order starts it again: {other:?}"))),
        }
    } else if let (true, None) = (acked.contains(&"ensure"), &seen)
        && !data.join("engine/removed").join(id().to_string()).exists()
    {
        return Err(broken("it was started and is not there"));
    }
    engine.ensure(&spec(app), Generation(3)).await?;
    let (kind, seen) = end(&engine).await?;
    let lines = engine.logs(id(), None, 4 * LINES).await?;
    if kind == (ExitKind::Status { status: 0 }) {
        said(&lines)?;
    } else if kind != ExitKind::Lost {
        return Err(broken(format!("it ended with {kind:?}: {}", seen.evidence)));
    }
    engine.remove(id(), Generation(3)).await?;
    Ok(())
}

/// Everything that the program said is in its log, in its order, or the log says how much is not.
fn said(lines: &[ports::LogLine]) -> Result<()> {
    let out: Vec<&str> = lines.iter().filter(|l| l.stream == LogStream::Out).map(|l| &*l.text).collect();
    let told = lines.iter().filter(|l| l.stream == LogStream::Platform);
    let lost: usize = told.filter_map(|l| l.text.split_once(" lines were not kept")?.0.parse::<usize>().ok()).sum();
    let whole: Vec<String> = [text(), text()].concat().lines().map(str::to_owned).collect();
    let mut rest = whole.iter();
    // A line that was torn by the fault is a piece of one.
    let torn = out.iter().filter(|line| !rest.by_ref().any(|w| w == *line)).count();
    if out.len() + lost < whole.len() || (lost == 0 && torn > 0) {
        return Err(broken(format!("{} lines, {torn} torn, {lost} told as lost, of {}", out.len(), whole.len())));
    }
    Ok(())
}
