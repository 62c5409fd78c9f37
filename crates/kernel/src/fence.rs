//! The outside as a control plane has it that may have been replaced: before anything is changed it
//! is asked whether this one still leads. What was replaced reads and changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Digest, Generation, HostName, InstanceId, Result, RolloutId, ServiceName};
use ports::{
    AppliedSnapshot, BackendCounters, ByteStream, Engine, Feature, Gateway, GatewayStatus, InstanceSeen, InstanceSpec,
    LogCursor, LogEnd, LogLine, Objects, ProbeAnswer, Progress, PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy,
    Snapshot, SnapshotChange, Sources,
};
use store::Store;

use crate::Ports;

/// A port behind the fence.
struct Fenced<T: ?Sized> {
    port: Arc<T>,
    store: Store,
}

/// Puts everything that changes the outside behind the fence of this state.
pub(crate) fn fenced(ports: Ports, store: &Store) -> Ports {
    let store = || store.clone();
    Ports {
        engine: Arc::new(Fenced { port: ports.engine, store: store() }),
        gateway: Arc::new(Fenced { port: ports.gateway, store: store() }),
        objects: Arc::new(Fenced { port: ports.objects, store: store() }),
        sources: Arc::new(Fenced { port: ports.sources, store: store() }),
        ..ports
    }
}

#[async_trait]
impl Engine for Fenced<dyn Engine> {
    fn features(&self) -> Vec<Feature> {
        self.port.features()
    }

    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        self.store.leads().await?;
        self.port.ensure(spec, generation).await
    }

    async fn stop(&self, id: InstanceId, generation: Generation, grace: Duration) -> Result<()> {
        self.store.leads().await?;
        self.port.stop(id, generation, grace).await
    }

    async fn remove(&self, id: InstanceId, generation: Generation) -> Result<()> {
        self.store.leads().await?;
        self.port.remove(id, generation).await
    }

    async fn list(&self) -> Result<Vec<InstanceSeen>> {
        self.port.list().await
    }

    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>> {
        self.port.get(id).await
    }

    async fn changed(&self, at_most: Duration) {
        self.port.changed(at_most).await;
    }

    async fn news(&self, mark: u64) -> Result<(u64, Option<BTreeSet<InstanceId>>)> {
        self.port.news(mark).await
    }

    async fn logs(&self, id: InstanceId, from: Option<LogCursor>, max: usize) -> Result<Vec<LogLine>> {
        self.port.logs(id, from, max).await
    }

    async fn log_tail(&self, id: InstanceId, max: usize) -> Result<Vec<LogLine>> {
        self.port.log_tail(id, max).await
    }

    async fn log_back(&self, id: InstanceId, until: LogEnd, max: usize) -> Result<Vec<LogLine>> {
        self.port.log_back(id, until, max).await
    }

    async fn export(&self, id: InstanceId, path: &str) -> Result<ByteStream> {
        self.port.export(id, path).await
    }
}

#[async_trait]
impl Gateway for Fenced<dyn Gateway> {
    async fn apply(&self, snapshot: &Snapshot) -> Result<AppliedSnapshot> {
        self.store.leads().await?;
        self.port.apply(snapshot).await
    }

    async fn change(&self, change: &SnapshotChange) -> Result<AppliedSnapshot> {
        self.store.leads().await?;
        self.port.change(change).await
    }

    async fn status(&self) -> Result<GatewayStatus> {
        self.port.status().await
    }

    async fn probe(&self, host: &HostName, rollout: RolloutId, path: &str, timeout: Duration) -> Result<ProbeAnswer> {
        self.port.probe(host, rollout, path, timeout).await
    }

    async fn counters(&self, of: Option<&ServiceName>) -> Result<Vec<BackendCounters>> {
        self.port.counters(of).await
    }
}

#[async_trait]
impl Objects for Fenced<dyn Objects> {
    async fn put(&self, key: &str, content: ByteStream) -> Result<(Digest, u64)> {
        self.store.leads().await?;
        self.port.put(key, content).await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        self.port.get(key).await
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        self.port.size(key).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.store.leads().await?;
        self.port.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        self.port.list(prefix).await
    }
}

/// A push lasts: whether this control plane leads is asked again where the refs are about to move.
struct FencedPolicy {
    policy: Box<dyn ReceivePolicy>,
    store: Store,
}

#[async_trait]
impl ReceivePolicy for FencedPolicy {
    async fn judge(&self, update: &PushUpdate) -> PushVerdict {
        match self.store.leads().await {
            Ok(()) => self.policy.judge(update).await,
            Err(problem) => PushVerdict::Refuse(problem.to_string()),
        }
    }

    async fn landed(&self, updates: &[PushUpdate], progress: &dyn Progress) {
        self.policy.landed(updates, progress).await;
    }
}

#[async_trait]
impl Sources for Fenced<dyn Sources> {
    async fn advertise_receive(&self, service: &ServiceName) -> Result<Vec<u8>> {
        self.port.advertise_receive(service).await
    }

    async fn receive(
        &self,
        service: &ServiceName,
        body: ByteStream,
        limits: ReceiveLimits,
        policy: Box<dyn ReceivePolicy>,
    ) -> Result<ByteStream> {
        self.store.leads().await?;
        let policy = Box::new(FencedPolicy { policy, store: self.store.clone() });
        self.port.receive(service, body, limits, policy).await
    }

    async fn upload_pack(
        &self,
        service: &ServiceName,
        body: Option<ByteStream>,
        protocol: Option<&str>,
    ) -> Result<ByteStream> {
        self.port.upload_pack(service, body, protocol).await
    }

    async fn head(&self, service: &ServiceName, reference: &str) -> Result<Option<String>> {
        self.port.head(service, reference).await
    }

    async fn export(&self, service: &ServiceName, commit: &str) -> Result<ByteStream> {
        self.port.export(service, commit).await
    }

    async fn remove(&self, service: &ServiceName) -> Result<()> {
        self.store.leads().await?;
        self.port.remove(service).await
    }
}
