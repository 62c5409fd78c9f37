//! Objects in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Digest, Problem, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use ports::{ByteStream, Objects};

use crate::Gate;

/// The objects of a world; they outlive the control plane.
#[derive(Default)]
pub struct ObjectMap {
    kept: Mutex<BTreeMap<String, Bytes>>,
}

impl ObjectMap {
    /// One object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.kept.lock().get(key).cloned()
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.kept.lock().keys().cloned().collect()
    }

    /// An object comes from somewhere else.
    pub fn plant(&self, key: &str, content: &'static [u8]) {
        self.kept.lock().insert(key.to_owned(), Bytes::from_static(content));
    }

    pub(crate) fn copy(&self) -> Self {
        Self { kept: Mutex::new(self.kept.lock().clone()) }
    }
}

/// The objects as one life of the control plane sees them.
pub(crate) struct ObjectHandle {
    pub map: Arc<ObjectMap>,
    pub gate: Arc<Gate>,
    pub life: u64,
}

#[async_trait]
impl Objects for ObjectHandle {
    async fn put(&self, key: &str, mut content: ByteStream) -> Result<(Digest, u64)> {
        let mut all = BytesMut::new();
        while let Some(piece) = content.next().await {
            all.extend_from_slice(&piece?);
        }
        let all = all.freeze();
        self.gate
            .call(self.life, "objects.put", || {
                let told = (Digest::of(&all), all.len() as u64);
                self.map.kept.lock().insert(key.to_owned(), all);
                Ok(told)
            })
            .await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let found = self.gate.ask(self.life, "objects.get", || Ok(self.map.get(key))).await?;
        let bytes = found.ok_or_else(|| Problem::not_found("object-not-found", format!("there is no object {key}")))?;
        Ok(Box::pin(stream::iter([Ok(bytes)])))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        self.gate.ask(self.life, "objects.size", || Ok(self.map.get(key).map(|bytes| bytes.len() as u64))).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.gate
            .call(self.life, "objects.delete", || {
                self.map.kept.lock().remove(key);
                Ok(())
            })
            .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let all = || {
            let kept = self.map.kept.lock();
            Ok(kept
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(key, b)| (key.clone(), b.len() as u64))
                .collect())
        };
        self.gate.ask(self.life, "objects.list", all).await
    }
}
