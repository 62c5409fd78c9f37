//! The machine as an engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, InstanceId, Problem, Result};
use bytes::Bytes;
use futures_util::stream;
use ports::{
    Availability, Base, ByteStream, Clock, Engine, Feature, InstanceSeen, InstanceSpec, LogCursor, LogEnd, LogLine,
};

use super::Machine;
use crate::source::plain_tar;
use crate::{Gate, ObjectMap, VirtualClock};

/// The machine as one life of the control plane reaches it.
pub struct MachineHandle {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Where sources are.
    pub objects: Arc<ObjectMap>,
    /// What every call passes.
    pub gate: Arc<Gate>,
    /// The clock.
    pub clock: Arc<VirtualClock>,
    /// Which life.
    pub life: u64,
}

#[async_trait]
impl Engine for MachineHandle {
    fn features(&self) -> Vec<Feature> {
        let (name, purpose) = ("faked".to_owned(), "runs nothing".to_owned());
        vec![Feature { name, purpose, availability: Availability::Works }]
    }

    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        self.gate.call(self.life, "engine.ensure", || self.machine.ensure(spec, generation)).await
    }

    async fn stop(&self, id: InstanceId, generation: Generation, grace: Duration) -> Result<()> {
        self.gate.call(self.life, "engine.stop", || self.machine.stop(id, generation, grace)).await
    }

    async fn remove(&self, id: InstanceId, generation: Generation) -> Result<()> {
        self.gate.call(self.life, "engine.remove", || self.machine.remove(id, generation)).await
    }

    async fn list(&self) -> Result<Vec<InstanceSeen>> {
        self.gate.ask(self.life, "engine.list", || Ok(self.machine.list())).await
    }

    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>> {
        let find = || Ok(self.machine.list().into_iter().find(|seen| seen.id == id));
        self.gate.ask(self.life, "engine.get", find).await
    }

    async fn changed(&self, at_most: Duration) {
        self.clock.sleep(at_most.min(Duration::from_millis(500))).await;
    }

    async fn news(&self, mark: u64) -> Result<(u64, Option<BTreeSet<InstanceId>>)> {
        self.gate.ask(self.life, "engine.news", || Ok((mark, Some(self.machine.news())))).await
    }

    async fn logs(&self, id: InstanceId, from: Option<LogCursor>, max: usize) -> Result<Vec<LogLine>> {
        let read = || {
            let lines = self.machine.lines(id)?.into_iter();
            Ok(lines.filter(|line| from.is_none_or(|from| line.cursor > from)).take(max).collect())
        };
        self.gate.ask(self.life, "engine.logs", read).await
    }

    async fn log_tail(&self, id: InstanceId, max: usize) -> Result<Vec<LogLine>> {
        let read = || {
            let mut lines = self.machine.lines(id)?;
            lines.drain(..lines.len().saturating_sub(max));
            Ok(lines)
        };
        self.gate.ask(self.life, "engine.logs", read).await
    }

    async fn log_back(&self, id: InstanceId, until: LogEnd, max: usize) -> Result<Vec<LogLine>> {
        let reaches = |line: &LogLine| match until {
            LogEnd::Newest => true,
            LogEnd::Through(cursor) => line.cursor <= cursor,
            LogEnd::Before(cursor) => line.cursor < cursor,
            LogEnd::At(at) => line.at <= at,
        };
        let read = || {
            let mut lines = self.machine.lines(id)?;
            lines.retain(reaches);
            lines.drain(..lines.len().saturating_sub(max));
            Ok(lines)
        };
        self.gate.ask(self.life, "engine.logs", read).await
    }

    async fn export(&self, id: InstanceId, path: &str) -> Result<ByteStream> {
        let tar = self.gate.ask(self.life, "engine.export", || self.exported(id, path)).await?;
        Ok(Box::pin(stream::iter([Ok(tar)])))
    }
}

impl MachineHandle {
    /// What a build leaves: its source as it came, and at `/workspace/out` a small tree.
    fn exported(&self, id: InstanceId, path: &str) -> Result<Bytes> {
        let Base::Workspace { source } = self.machine.spec_of(id)?.base else {
            return Err(Problem::unprocessable("export-path", "only builds have a workspace"));
        };
        match path {
            "/workspace" => self
                .objects
                .get(&source)
                .ok_or_else(|| Problem::not_found("object-not-found", format!("there is no object {source}"))),
            "/workspace/out" => Ok(plain_tar(&[
                ("a.txt", "ay"),
                ("b.txt", "bee"),
                ("sub/", ""),
                ("sub/link -> ../a.txt", ""),
                ("sub/run", "run"),
            ])
            .into()),
            "/workspace/bad" => {
                Err(Problem::unprocessable("export-refused", "a link leads outside of the exported directory"))
            }
            _ => Err(Problem::unprocessable("export-path", format!("there is no {path} in the workspace"))),
        }
    }
}
