//! An anchor of the fact log that is kept in a file beside the database. The seal of the log finds
//! what somebody without the key has changed; it cannot find that the whole database was replaced by
//! an older copy of itself, whose seal is genuine. The file can.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base::{Problem, Result};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{Mutex, broadcast};
use tokio::task::AbortHandle;

use crate::chain::Anchor;
use crate::read::Read;
use crate::store::{Inner, Store};
use crate::verify::missing_since;
use crate::wakes::Wake;

/// The file is at most this much older than the last fact, while the process lives.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The anchor, where it is kept.
pub(crate) struct Kept {
    path: PathBuf,
    /// The newest that this process has written or found; also what a lost file is compared with.
    newest: Mutex<Option<Anchor>>,
    renewing: std::sync::OnceLock<AbortHandle>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(task) = self.renewing.get() {
            task.abort();
        }
    }
}

/// What was kept before the log was read.
pub(crate) enum Known {
    Anchors(Vec<Anchor>),
    Nonsense,
}

/// What stands in the file.
enum Found {
    Nothing,
    Anchor(Anchor),
    Nonsense,
}

impl Kept {
    async fn read(&self) -> Result<Found> {
        match tokio::fs::read(&self.path).await {
            Ok(text) => Ok(serde_json::from_slice(&text).map_or(Found::Nonsense, Found::Anchor)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(e) => Err(Problem::unavailable("storage-io", format!("read {}: {e}", self.path.display()))),
        }
    }

    /// What the log has to contain, from now on. Whoever compares asks this first and begins to read the
    /// log after it: the file goes on while somebody reads, and a fact younger than what is read is not
    /// missing there.
    pub(crate) async fn known(&self) -> Result<Known> {
        let newest = self.newest.lock().await.clone();
        Ok(match self.read().await? {
            Found::Nothing => Known::Anchors(newest.into_iter().collect()),
            Found::Anchor(anchor) => Known::Anchors([Some(anchor), newest].into_iter().flatten().collect()),
            Found::Nonsense => Known::Nonsense,
        })
    }

    /// Where and how the log lacks what was known before it was read; `None` when it has it all.
    pub(crate) async fn lack(
        &self,
        known: &Known,
        key: &hmac::Key,
        reader: &mut (impl Read + ?Sized),
    ) -> Result<Option<(i64, String)>> {
        let anchors = match known {
            Known::Anchors(anchors) => anchors,
            Known::Nonsense => {
                return Ok(Some((0, format!("{} cannot be read. {}", self.path.display(), self.way_out()))));
            }
        };
        for anchor in anchors {
            if let Some(what) = missing_since(key, reader, anchor).await? {
                let seq = anchor.seq.0;
                let told = format!("{what}, though {} knows of fact {seq}. {}", self.path.display(), self.way_out());
                return Ok(Some((seq, told)));
            }
        }
        Ok(None)
    }

    fn way_out(&self) -> String {
        format!(
            "The database is an older copy, or another one. Where it was brought back on purpose: move {} away and start again",
            self.path.display()
        )
    }

    /// Writes the file, whole or not at all, and to the disk.
    fn write(path: &Path, anchor: &Anchor) -> std::io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh = path.with_file_name(name);
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(serde_json::to_string(anchor)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
    }
}

impl Store {
    /// From now on the newest anchor is kept in this file, at most a second behind the last fact, and
    /// [`Store::verify_facts`] compares the log with it. A log that lacks what the file knows of is
    /// told, loudly, and not refused: a database may have been brought back on purpose. The file stays
    /// as it is then, so that it goes on being told until somebody moves it away.
    pub async fn keep_anchor_in(&self, path: &Path) -> Result<()> {
        let kept = Kept { path: path.to_owned(), newest: Mutex::new(None), renewing: std::sync::OnceLock::new() };
        if self.inner.anchors.set(kept).is_err() {
            return Err(Problem::internal("anchor-kept", "the anchor is kept in a file already"));
        }
        let wakes = self.wakes();
        if let Some(lack) = self.renew_anchor().await? {
            tracing::error!(lack, "the audit trail is not what it was");
        }
        let task = tokio::spawn(renew(Arc::downgrade(&self.inner), wakes));
        if let Some(kept) = self.inner.anchors.get() {
            let _ = kept.renewing.set(task.abort_handle());
        }
        Ok(())
    }

    /// Brings the file up to date. Says what the log lacks, if it lacks something; nothing is written then.
    pub async fn renew_anchor(&self) -> Result<Option<String>> {
        let Some(kept) = self.inner.anchors.get() else { return Ok(None) };
        let known = kept.known().await?;
        let now = self.anchor().await?;
        let lack = kept.lack(&known, &self.inner.audit_key, &mut self.read().await?).await?;
        if let Some((_, what)) = lack {
            return Ok(Some(what));
        }
        let mut newest = kept.newest.lock().await;
        let is_newer = newest.as_ref().is_none_or(|newest| newest.seq < now.seq);
        if is_newer || matches!(kept.read().await?, Found::Nothing) {
            let (path, anchor) = (kept.path.clone(), now.clone());
            let written = tokio::task::spawn_blocking(move || Kept::write(&path, &anchor)).await;
            match written {
                Ok(Ok(())) => *newest = Some(now),
                Ok(Err(e)) => {
                    return Err(Problem::unavailable("storage-io", format!("write {}: {e}", kept.path.display())));
                }
                Err(e) => return Err(Problem::internal("task-failed", e)),
            }
        }
        Ok(None)
    }
}

/// Renews the file whenever facts were appended, until the store is gone.
async fn renew(inner: std::sync::Weak<Inner>, mut wakes: broadcast::Receiver<Wake>) {
    let mut told = false;
    while !matches!(wakes.recv().await, Err(RecvError::Closed)) {
        // All that came by now is one reason; what comes from here on is the next.
        while !matches!(wakes.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
        let Some(inner) = inner.upgrade() else { return };
        let clock = Arc::clone(&inner.clock);
        match (Store { inner }).renew_anchor().await {
            Ok(None) => told = false,
            Ok(Some(lack)) if !told => {
                tracing::error!(lack, "the audit trail is not what it was");
                told = true;
            }
            Ok(Some(_)) => {}
            Err(problem) => tracing::warn!(%problem, "the anchor of the audit trail could not be renewed"),
        }
        clock.sleep(RENEW_EVERY).await;
    }
}
