use std::pin::Pin;

use async_trait::async_trait;
use base::{Digest, Result};
use bytes::Bytes;
use futures_util::Stream;

/// A stream of bytes that may fail on the way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Named immutable objects: sources, artifacts, backups. Keys are relative paths of
/// `[a-z0-9._-]` segments joined by `/`; a key's content never changes once written.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Writes an object whole or not at all; returns its SHA-256 and its length in bytes. Writing
    /// an existing key again replaces it.
    async fn put(&self, key: &str, content: ByteStream) -> Result<(Digest, u64)>;
    /// Reads an object; `object-not-found` if there is none.
    async fn get(&self, key: &str) -> Result<ByteStream>;
    /// The length in bytes, if the object exists.
    async fn size(&self, key: &str) -> Result<Option<u64>>;
    /// Removes an object; one that does not exist is not an error.
    async fn delete(&self, key: &str) -> Result<()>;
    /// All keys beneath a prefix that ends with `/`, with their lengths.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>>;
}
