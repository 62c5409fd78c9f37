//! The outside world of these tests: everything in memory, nothing waits.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use base::{Digest, EnvironmentName, Generation, InstanceId, Problem, Result, Secret, ServiceName};
use bytes::Bytes;
use futures_util::StreamExt;
use ports::{
    AppliedSnapshot, BackendCounters, Base, ByteStream, Engine, ExitKind, Feature, Gateway, GatewayStatus,
    InstanceSeen, InstanceSpec, InstanceState, LogCursor, LogEnd, LogLine, LogStream, Objects, ProbeAnswer, PushUpdate,
    PushVerdict, ReceiveLimits, ReceivePolicy, SettingRef, Snapshot, Sources, Vault,
};

pub fn stream(bytes: Vec<u8>) -> ByteStream {
    // In pieces, as from a socket.
    let pieces: Vec<Result<Bytes>> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}

pub async fn collect(mut stream: ByteStream) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(piece) = stream.next().await {
        out.extend_from_slice(&piece?);
    }
    Ok(out)
}

#[derive(Default)]
pub struct Memory(pub Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl Objects for Memory {
    async fn put(&self, key: &str, content: ByteStream) -> Result<(Digest, u64)> {
        let bytes = collect(content).await?;
        let told = (Digest::of(&bytes), bytes.len() as u64);
        self.0.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(told)
    }
    async fn get(&self, key: &str) -> Result<ByteStream> {
        let found = self.0.lock().unwrap().get(key).cloned();
        found.map(stream).ok_or_else(|| Problem::not_found("object-not-found", key))
    }
    async fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.0.lock().unwrap().get(key).map(|bytes| bytes.len() as u64))
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let all = self.0.lock().unwrap();
        Ok(all.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.len() as u64)).collect())
    }
}

/// An engine whose tasks end at once, as they are told to beforehand.
pub struct Tasks {
    pub objects: std::sync::Arc<Memory>,
    pub all: Mutex<BTreeMap<InstanceId, (InstanceSpec, InstanceSeen)>>,
    /// How tasks end; `None`: they go on.
    pub end: Mutex<Option<ExitKind>>,
    pub clock: std::sync::Arc<dyn ports::Clock>,
}

impl Tasks {
    pub fn finish(&self, kind: ExitKind) {
        for (_, seen) in self.all.lock().unwrap().values_mut() {
            if seen.state.is_running() {
                seen.state = InstanceState::Exited { kind: kind.clone() };
            }
        }
    }

    fn lines(&self, id: InstanceId) -> Vec<LogLine> {
        let all = self.all.lock().unwrap();
        let Some((spec, seen)) = all.get(&id) else { return Vec::new() };
        let nonce = &spec.command[2];
        let mut texts =
            vec![format!("orlop-step {nonce} 0 begin"), "==> install: npm ci".to_owned(), "added 1 package".to_owned()];
        if seen.state == (InstanceState::Exited { kind: ExitKind::Status { status: 0 } }) {
            texts.push(format!("orlop-step {nonce} 0 end 40"));
        }
        let line = |(n, text)| LogLine { cursor: LogCursor(n), at: seen.started, stream: LogStream::Out, text };
        (1..).zip(texts).map(line).collect()
    }
}

#[async_trait]
impl Engine for Tasks {
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }
    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        let now = self.clock.now();
        let end = self.end.lock().unwrap().clone();
        let mut all = self.all.lock().unwrap();
        let (_, seen) = all.entry(spec.id).or_insert_with(|| {
            let seen = InstanceSeen {
                id: spec.id,
                service: spec.service.clone(),
                environment: None,
                release: None,
                process: spec.process.clone(),
                purpose: spec.purpose,
                generation,
                state: end.map_or(InstanceState::Ready, |kind| InstanceState::Exited { kind }),
                address: None,
                started: now,
                since: now,
                evidence: String::new(),
                memory: None,
                cpu_us: None,
            };
            (spec.clone(), seen)
        });
        Ok(seen.clone())
    }
    async fn stop(&self, id: InstanceId, _: Generation, _: Duration) -> Result<()> {
        if let Some((_, seen)) = self.all.lock().unwrap().get_mut(&id)
            && seen.state.is_running()
        {
            seen.state = InstanceState::Exited { kind: ExitKind::Stopped { killed: false } };
        }
        Ok(())
    }
    async fn remove(&self, id: InstanceId, _: Generation) -> Result<()> {
        self.all.lock().unwrap().remove(&id);
        Ok(())
    }
    async fn list(&self) -> Result<Vec<InstanceSeen>> {
        Ok(self.all.lock().unwrap().values().map(|(_, seen)| seen.clone()).collect())
    }
    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>> {
        Ok(self.all.lock().unwrap().get(&id).map(|(_, seen)| seen.clone()))
    }
    async fn changed(&self, _: Duration) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    async fn logs(&self, id: InstanceId, from: Option<LogCursor>, max: usize) -> Result<Vec<LogLine>> {
        Ok(self.lines(id).into_iter().filter(|line| from.is_none_or(|from| line.cursor > from)).take(max).collect())
    }
    async fn log_tail(&self, id: InstanceId, max: usize) -> Result<Vec<LogLine>> {
        let lines = self.lines(id);
        Ok(lines[lines.len().saturating_sub(max)..].to_vec())
    }
    async fn log_back(&self, id: InstanceId, until: LogEnd, max: usize) -> Result<Vec<LogLine>> {
        assert_eq!(until, LogEnd::Newest, "nobody reads the log of a build backwards");
        self.log_tail(id, max).await
    }
    async fn export(&self, id: InstanceId, path: &str) -> Result<ByteStream> {
        assert_eq!(path, "/workspace");
        let key = match &self.all.lock().unwrap()[&id].0.base {
            Base::Workspace { source } => source.clone(),
            Base::Artifact(_) => panic!("a build has a workspace"),
        };
        self.objects.get(&key).await
    }
}

/// A gateway that nobody asks: routes are played by the world.
pub struct NoGateway;

#[async_trait]
impl Gateway for NoGateway {
    async fn apply(&self, _: &Snapshot) -> Result<AppliedSnapshot> {
        Err(Problem::unavailable("no-gateway", "none here"))
    }
    async fn status(&self) -> Result<GatewayStatus> {
        Err(Problem::unavailable("no-gateway", "none here"))
    }
    async fn probe(&self, _: &base::HostName, _: base::RolloutId, _: &str, _: Duration) -> Result<ProbeAnswer> {
        Err(Problem::unavailable("no-gateway", "none here"))
    }
    async fn counters(&self, _: Option<&ServiceName>) -> Result<Vec<BackendCounters>> {
        Ok(Vec::new())
    }
}

/// Settings of one service, by name and version.
#[derive(Default)]
pub struct Settings(pub Mutex<BTreeMap<String, i64>>);

#[async_trait]
impl Vault for Settings {
    async fn current(&self, service: &ServiceName, _: &EnvironmentName) -> Result<Vec<SettingRef>> {
        let all = self.0.lock().unwrap();
        let of = |(name, version): (&String, &i64)| SettingRef {
            name: name.parse().unwrap(),
            service: Some(service.clone()),
            environment: None,
            version: *version,
            secret: false,
        };
        Ok(all.iter().map(of).collect())
    }
    async fn open(&self, _: &SettingRef) -> Result<Secret<String>> {
        Ok(Secret::new(String::new()))
    }
}

/// One push, as the policy sees it. The reply is what was said to the person.
pub struct Pushes {
    pub update: Mutex<PushUpdate>,
    pub tree: Mutex<Vec<u8>>,
}

#[derive(Default)]
struct Said(Mutex<Vec<String>>);

#[async_trait]
impl ports::Progress for Said {
    async fn say(&self, advice: ports::Advice) -> Result<()> {
        let ports::Advice::Line(line) = advice;
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

#[async_trait]
impl Sources for Pushes {
    async fn advertise_receive(&self, _: &ServiceName) -> Result<Vec<u8>> {
        Ok(b"refs".to_vec())
    }
    async fn receive(
        &self,
        _: &ServiceName,
        body: ByteStream,
        _: ReceiveLimits,
        policy: Box<dyn ReceivePolicy>,
    ) -> Result<ByteStream> {
        assert_eq!(collect(body).await?, b"pack", "the body arrives decompressed");
        let update = self.update.lock().unwrap().clone();
        let said = Said::default();
        match policy.judge(&update).await {
            PushVerdict::Accept => policy.landed(&[update], &said).await,
            PushVerdict::Refuse(why) => said.0.lock().unwrap().push(format!("refused: {why}")),
        }
        let text = said.0.lock().unwrap().join("\n");
        Ok(stream(text.into_bytes()))
    }
    async fn upload_pack(&self, _: &ServiceName, _: Option<ByteStream>, _: Option<&str>) -> Result<ByteStream> {
        Ok(stream(b"pack".to_vec()))
    }
    async fn head(&self, _: &ServiceName, _: &str) -> Result<Option<String>> {
        Ok(self.update.lock().unwrap().new.clone())
    }
    async fn export(&self, _: &ServiceName, _: &str) -> Result<ByteStream> {
        Ok(stream(self.tree.lock().unwrap().clone()))
    }
    async fn remove(&self, _: &ServiceName) -> Result<()> {
        Ok(())
    }
}
