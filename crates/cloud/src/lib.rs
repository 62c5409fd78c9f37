//! Drivers for services outside the machine: objects through `object_store`, by default in a folder.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Digest, Problem, Result};
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use ports::ByteStream;
use sha2::{Digest as _, Sha256};

/// Parts of an upload that may be on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 512;

/// Objects in a folder or, later, in a bucket.
pub struct Objects {
    store: Arc<dyn ObjectStore>,
}

impl Objects {
    /// Objects in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// `objects-unavailable` when the folder cannot be made or used.
    pub fn in_folder(folder: &FilePath) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| unavailable(&format!("make {}", folder.display()), &e))?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|e| unavailable(&format!("open {}", folder.display()), &e))?
            .with_fsync(true);
        let folder = folder.to_owned();
        std::thread::spawn(move || sweep(&folder, STAGED_KEPT));
        Ok(Self { store: Arc::new(store) })
    }
}

/// A staged upload that has not grown for so long belongs to a process that has ended.
const STAGED_KEPT: Duration = Duration::from_secs(3600);

/// Removes what uploads have left that were broken off with their process: `object_store` writes to
/// `<name>#<number>` and shows such files to nobody. What cannot be looked at is left.
fn sweep(folder: &FilePath, kept: Duration) {
    let staged =
        |name: &str| name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let old = || meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= kept));
        if meta.is_dir() {
            sweep(&entry.path(), kept);
        } else if staged(&entry.file_name().to_string_lossy()) && old() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[async_trait]
impl ports::Objects for Objects {
    async fn put(&self, key: &str, mut content: ByteStream) -> Result<(Digest, u64)> {
        let path = path(key)?;
        let upload = self.store.put_multipart(&path).await.map_err(|e| fault(key, e))?;
        let mut writer = WriteMultipart::new(upload);
        let mut hash = Sha256::new();
        let mut length = 0u64;
        while let Some(chunk) = content.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(problem) => {
                    // What was sent so far is of no use; failing to say so changes nothing.
                    let _ = writer.abort().await;
                    return Err(problem);
                }
            };
            hash.update(&chunk);
            length = length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            writer.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|e| fault(key, e))?;
            writer.put(chunk);
        }
        writer.finish().await.map_err(|e| fault(key, e))?;
        Ok((Digest::from_sha256(hash.finalize().into()), length))
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let found = self.store.get(&path(key)?).await.map_err(|e| fault(key, e))?;
        let key = key.to_owned();
        Ok(Box::pin(found.into_stream().map_err(move |e| fault(&key, e))))
    }

    async fn size(&self, key: &str) -> Result<Option<u64>> {
        match self.store.head(&path(key)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(fault(key, e)),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(fault(key, e)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let folder = path(prefix.trim_end_matches('/'))?;
        let listed: Vec<_> = self.store.list(Some(&folder)).try_collect().await.map_err(|e| fault(prefix, e))?;
        Ok(listed.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect())
    }
}

/// A key as a path: segments of `[a-z0-9._-]`, joined by `/`, none of them `.` or `..`.
fn path(key: &str) -> Result<Path> {
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    if key.len() > KEY_BYTES_MAX || !key.split('/').all(plain) {
        return Err(Problem::internal("bad-object-key", "an object's key is not a plain relative path"));
    }
    Path::parse(key).map_err(|e| Problem::internal("bad-object-key", e))
}

fn fault(key: &str, error: object_store::Error) -> Problem {
    match error {
        object_store::Error::NotFound { .. } => {
            Problem::not_found("object-not-found", format!("there is no object {key}"))
        }
        error => unavailable(&format!("use object {key}"), &error),
    }
}

fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        let full = |e: &std::io::Error| e.kind() == std::io::ErrorKind::StorageFull;
        if one.downcast_ref::<std::io::Error>().is_some_and(full) {
            return Problem::unavailable("storage-full", format!("cannot {what}: the disk is full"))
                .hint("make room on the disk of the data directory; it goes on by itself");
        }
        cause = one.source();
    }
    Problem::unavailable("objects-unavailable", format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use ports::Objects as _;

    use super::*;

    fn content(parts: &[&'static str]) -> ByteStream {
        let parts: Vec<Result<Bytes>> = parts.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect();
        Box::pin(stream::iter(parts))
    }

    async fn read(objects: &Objects, key: &str) -> Result<Vec<u8>> {
        let chunks: Vec<Bytes> = objects.get(key).await?.try_collect().await?;
        Ok(chunks.concat())
    }

    #[tokio::test]
    async fn what_is_put_is_got_listed_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(dir.path()).unwrap();
        let (digest, length) = objects.put("a/b/c.tar", content(&["he", "llo"])).await.unwrap();
        assert_eq!((digest, length), (Digest::of(b"hello"), 5));
        assert_eq!(read(&objects, "a/b/c.tar").await.unwrap(), b"hello");
        assert_eq!(objects.size("a/b/c.tar").await.unwrap(), Some(5));
        assert_eq!(objects.list("a/").await.unwrap(), [("a/b/c.tar".to_owned(), 5)]);
        objects.put("a/empty", content(&[])).await.unwrap();
        assert_eq!(read(&objects, "a/empty").await.unwrap(), b"");
        objects.delete("a/b/c.tar").await.unwrap();
        objects.delete("a/b/c.tar").await.unwrap();
        assert_eq!(objects.size("a/b/c.tar").await.unwrap(), None);
        assert_eq!(read(&objects, "a/b/c.tar").await.unwrap_err().code, "object-not-found");
    }

    #[tokio::test]
    async fn a_broken_stream_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(dir.path()).unwrap();
        let broken: Vec<Result<Bytes>> =
            vec![Ok(Bytes::from_static(b"half")), Err(Problem::invalid("body-broken-off", "gone"))];
        let problem = objects.put("x/y", Box::pin(stream::iter(broken))).await.unwrap_err();
        assert_eq!(problem.code, "body-broken-off");
        assert_eq!(objects.size("x/y").await.unwrap(), None);
        assert!(objects.list("x/").await.unwrap().is_empty());
    }

    #[test]
    fn broken_off_uploads_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sources");
        std::fs::create_dir(&folder).unwrap();
        let there = || {
            let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for name in ["a.tar", "a.tar#1", "b#x", "c#"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        sweep(dir.path(), STAGED_KEPT);
        assert_eq!(there().len(), 4, "they may be written to at this moment");
        sweep(dir.path(), Duration::ZERO);
        assert_eq!(there(), ["a.tar", "b#x", "c#"]);
    }

    #[tokio::test]
    async fn keys_that_are_no_plain_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(dir.path()).unwrap();
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", "A", "a b", "a\0", &"a".repeat(600)] {
            assert_eq!(objects.put(key, content(&["x"])).await.unwrap_err().code, "bad-object-key", "{key}");
        }
    }
}
