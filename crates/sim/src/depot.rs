//! Git repositories in memory: refs, and a tar for each commit. They outlive the control plane.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Problem, Result, ServiceName};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use ports::{Advice, ByteStream, Progress, PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy, Sources};

use crate::Gate;
use crate::source::plain_tar;

/// The repositories of a world.
#[derive(Default)]
pub struct Depot {
    kept: Mutex<BTreeMap<ServiceName, Repository>>,
}

/// One repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Where each ref points to.
    pub refs: BTreeMap<String, String>,
    /// The tree of each commit, as a tar.
    pub commits: BTreeMap<String, Bytes>,
}

impl Depot {
    /// The repository of a service, if there is one.
    pub fn repository(&self, service: &ServiceName) -> Option<Repository> {
        self.kept.lock().get(service).cloned()
    }

    pub(crate) fn copy(&self) -> Self {
        Self { kept: Mutex::new(self.kept.lock().clone()) }
    }
}

/// The body of a push in these worlds: which ref shall point to which commit, and its tree. Without
/// files the ref is deleted.
pub fn push(reference: &str, commit: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut body = format!("{reference} {commit}\n").into_bytes();
    if !files.is_empty() {
        body.extend(plain_tar(files));
    }
    body
}

/// The repositories as one life of the control plane sees them.
pub(crate) struct DepotHandle {
    pub depot: Arc<Depot>,
    pub gate: Arc<Gate>,
    pub life: u64,
}

/// A person who goes away after the first line.
struct Impatient(Mutex<bool>);

#[async_trait]
impl Progress for Impatient {
    async fn say(&self, _: Advice) -> Result<()> {
        match std::mem::replace(&mut *self.0.lock(), true) {
            false => Ok(()),
            true => Err(Problem::unavailable("gone", "nobody listens any more")),
        }
    }
}

fn one(text: impl Into<Bytes>) -> ByteStream {
    Box::pin(stream::iter([Ok(text.into())]))
}

#[async_trait]
impl Sources for DepotHandle {
    async fn advertise_receive(&self, service: &ServiceName) -> Result<Vec<u8>> {
        let list = || {
            let refs = self.depot.repository(service).unwrap_or_default().refs;
            Ok(refs.into_iter().flat_map(|(name, commit)| format!("{commit} {name}\n").into_bytes()).collect())
        };
        self.gate.ask(self.life, "sources.advertise", list).await
    }

    async fn receive(
        &self,
        service: &ServiceName,
        mut body: ByteStream,
        _: ReceiveLimits,
        policy: Box<dyn ReceivePolicy>,
    ) -> Result<ByteStream> {
        let mut all = BytesMut::new();
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece?);
        }
        let bad = || Problem::unprocessable("bad-push", "a push begins with `REF COMMIT`");
        let end = all.iter().position(|byte| *byte == b'\n').ok_or_else(bad)?;
        let head = String::from_utf8_lossy(&all.split_to(end)).into_owned();
        let tar = all.freeze().slice(1..);
        let (reference, commit) = head.split_once(' ').ok_or_else(bad)?;
        let old = self.depot.repository(service).unwrap_or_default().refs.get(reference).cloned();
        let update = PushUpdate {
            reference: reference.to_owned(),
            old,
            new: Some(commit.to_owned()).filter(|_| !tar.is_empty()),
            subject: "a change".to_owned(),
            author: "somebody".to_owned(),
        };
        if let PushVerdict::Refuse(why) = policy.judge(&update).await {
            return Err(Problem::conflict("push-refused", why));
        }
        self.gate
            .call(self.life, "sources.receive", || {
                let mut kept = self.depot.kept.lock();
                let repository = kept.entry(service.clone()).or_default();
                match &update.new {
                    Some(commit) => {
                        repository.refs.insert(update.reference.clone(), commit.clone());
                        repository.commits.insert(commit.clone(), tar);
                    }
                    None => drop(repository.refs.remove(&update.reference)),
                }
                Ok(())
            })
            .await?;
        policy.landed(&[update], &Impatient(Mutex::new(false))).await;
        Ok(one("ok"))
    }

    async fn upload_pack(&self, service: &ServiceName, _: Option<ByteStream>, _: Option<&str>) -> Result<ByteStream> {
        let found = self.gate.ask(self.life, "sources.fetch", || Ok(self.depot.repository(service))).await?;
        Ok(one(format!("{:?}", found.map(|repository| repository.refs))))
    }

    async fn head(&self, service: &ServiceName, reference: &str) -> Result<Option<String>> {
        let find = || Ok(self.depot.repository(service).and_then(|one| one.refs.get(reference).cloned()));
        self.gate.ask(self.life, "sources.head", find).await
    }

    async fn export(&self, service: &ServiceName, commit: &str) -> Result<ByteStream> {
        let find = || Ok(self.depot.repository(service).and_then(|one| one.commits.get(commit).cloned()));
        let tar = self.gate.ask(self.life, "sources.export", find).await?;
        tar.map(one).ok_or_else(|| Problem::not_found("commit-not-found", format!("there is no commit {commit}")))
    }

    async fn remove(&self, service: &ServiceName) -> Result<()> {
        self.gate
            .call(self.life, "sources.remove", || {
                self.depot.kept.lock().remove(service);
                Ok(())
            })
            .await
    }
}
