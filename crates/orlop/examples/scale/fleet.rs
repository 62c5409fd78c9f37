//! An engine whose instances are entries of a map.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, InstanceId, Problem, Result};
use ports::{
    Address, ByteStream, Clock, Engine, ExitKind, Feature, InstanceSeen, InstanceSpec, InstanceState, LogCursor,
    LogEnd, LogLine,
};
use tokio::sync::{Mutex, Notify};

/// The instances.
pub struct Fleet {
    clock: Arc<dyn Clock>,
    port: u16,
    state: Mutex<State>,
    come: Notify,
}

#[derive(Default)]
struct State {
    instances: HashMap<InstanceId, InstanceSeen>,
    given: u32,
    news: Vec<InstanceId>,
}

/// Every address of 127.0.0.0/8 is this machine: one server answers for all.
pub fn address(number: u32, port: u16) -> Address {
    let [_, high, mid, low] = number.to_be_bytes();
    Address::Tcp(([127, high, mid, low], port).into())
}

impl Fleet {
    /// Those that run already; addresses from `given` on are free.
    pub fn of(running: Vec<InstanceSeen>, given: u32, port: u16, clock: Arc<dyn Clock>) -> Self {
        let instances = running.into_iter().map(|seen| (seen.id, seen)).collect();
        let state = Mutex::new(State { instances, given, news: Vec::new() });
        Self { clock, port, state, come: Notify::new() }
    }

    async fn change(&self, id: InstanceId, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().await;
        change(&mut state);
        state.news.push(id);
        drop(state);
        self.come.notify_one();
    }
}

#[async_trait]
impl Engine for Fleet {
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }

    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        let now = self.clock.now();
        self.change(spec.id, |state| {
            state.given += 1;
            let address = spec.port.then(|| address(state.given, self.port));
            state.instances.entry(spec.id).or_insert_with(|| InstanceSeen {
                id: spec.id,
                service: spec.service.clone(),
                environment: spec.environment.clone(),
                release: spec.release,
                process: spec.process.clone(),
                purpose: spec.purpose,
                generation,
                state: InstanceState::Ready,
                address,
                started: now,
                since: now,
                evidence: "GET / 200".to_owned(),
                memory: None,
                cpu_us: None,
            });
        })
        .await;
        self.get(spec.id).await?.ok_or_else(|| Problem::internal("lost", "it was just put there"))
    }

    async fn stop(&self, id: InstanceId, _: Generation, _: Duration) -> Result<()> {
        self.change(id, |state| {
            if let Some(one) = state.instances.get_mut(&id) {
                one.state = InstanceState::Exited { kind: ExitKind::Stopped { killed: false } };
            }
        })
        .await;
        Ok(())
    }

    async fn remove(&self, id: InstanceId, _: Generation) -> Result<()> {
        self.change(id, |state| drop(state.instances.remove(&id))).await;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<InstanceSeen>> {
        Ok(self.state.lock().await.instances.values().cloned().collect())
    }

    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>> {
        Ok(self.state.lock().await.instances.get(&id).cloned())
    }

    async fn changed(&self, at_most: Duration) {
        tokio::select! {
            () = self.come.notified() => {}
            () = self.clock.sleep(at_most) => {}
        }
    }

    async fn news(&self, mark: u64) -> Result<(u64, Option<BTreeSet<InstanceId>>)> {
        let state = self.state.lock().await;
        let from = usize::try_from(mark).unwrap_or(usize::MAX);
        Ok((state.news.len() as u64, state.news.get(from..).map(|ids| ids.iter().copied().collect())))
    }

    async fn logs(&self, _: InstanceId, _: Option<LogCursor>, _: usize) -> Result<Vec<LogLine>> {
        Ok(Vec::new())
    }

    async fn log_tail(&self, _: InstanceId, _: usize) -> Result<Vec<LogLine>> {
        Ok(Vec::new())
    }

    async fn log_back(&self, _: InstanceId, _: LogEnd, _: usize) -> Result<Vec<LogLine>> {
        Ok(Vec::new())
    }

    async fn export(&self, id: InstanceId, _: &str) -> Result<ByteStream> {
        Err(Problem::not_found("instance-not-found", format!("{id} is no task")))
    }
}
