//! Brings the pack of a push from the network into quarantine, within all limits, and makes
//! objects of it that are checked.

use std::fs::File;
use std::io::Write as _;

use base::{Problem, Result};
use bytes::Bytes;
use ports::ReceiveLimits;

use crate::Shared;
use crate::body::Body;
use crate::check::{Check, Checked};
use crate::internal;
use crate::layout::Repository;
use crate::modules;
use crate::quarantine::Quarantine;
use crate::resolve;
use crate::scan::{Scan, Scanned};
use crate::store::Store;

/// Bytes that are gathered before they go to the disk.
const BATCH_BYTES: usize = 1 << 20;

/// A pack in quarantine, read to its end but not yet built.
pub(crate) struct Spooled {
    pub quarantine: Quarantine,
    file: File,
    scanned: Scanned,
}

/// Takes the pack off the body. Nothing waits for the network on a blocking thread.
pub(crate) async fn spool(
    shared: &Shared,
    repository: &Repository,
    body: &mut Body,
    limits: ReceiveLimits,
) -> Result<Spooled> {
    let place = repository.clone();
    let (quarantine, mut sink, room) = shared
        .gates
        .blocking(move || {
            let quarantine = Quarantine::create(&place)?;
            let file = quarantine.file()?;
            Ok((quarantine, Sink { scan: Scan::new(limits), file }, room(&place, &limits)?))
        })
        .await?;
    let mut seen = 0u64;
    loop {
        let (batch, last) = batch(body).await?;
        seen = seen.saturating_add(batch.iter().map(|b| b.len() as u64).sum());
        if seen > room {
            return Err(quota(&limits));
        }
        sink = shared.gates.blocking(move || sink.take(&batch)).await?;
        if last {
            break;
        }
    }
    let Sink { scan, file } = sink;
    Ok(Spooled { quarantine, file, scanned: scan.end()? })
}

/// Builds, checks and indexes the objects; returns them with notes for the person.
pub(crate) fn build(
    repository: &Repository,
    spooled: Spooled,
    limits: &ReceiveLimits,
    shallow: bool,
) -> Result<(Quarantine, Vec<String>)> {
    let Spooled { mut quarantine, mut file, scanned } = spooled;
    if scanned.entries.is_empty() {
        return Ok((quarantine, Vec::new()));
    }
    let store = Store::open(repository.objects())?;
    let mut check = Check::new(&store, scanned.entries.len(), shallow);
    let resolved =
        resolve::resolve(&mut file, scanned, &store, limits, &mut |id, kind, data| check.object(id, kind, data))?;
    let Checked { notes, modules } = check.finish(&resolved)?;
    quarantine.index(&file, &resolved)?;
    if !modules.is_empty() {
        modules::check(&quarantine.store()?, modules)?;
    }
    Ok((quarantine, notes))
}

struct Sink {
    scan: Scan,
    file: File,
}

impl Sink {
    fn take(mut self, batch: &[Bytes]) -> Result<Self> {
        for bytes in batch {
            self.scan.feed(bytes)?;
            self.file.write_all(bytes).map_err(|e| internal("writing a pack", e))?;
        }
        Ok(self)
    }
}

/// The next bytes, and whether they are the last.
async fn batch(body: &mut Body) -> Result<(Vec<Bytes>, bool)> {
    let (mut batch, mut bytes) = (Vec::new(), 0usize);
    while bytes < BATCH_BYTES {
        match body.chunk().await? {
            Some(chunk) => {
                bytes = bytes.saturating_add(chunk.len());
                batch.push(chunk);
            }
            None => return Ok((batch, true)),
        }
    }
    Ok((batch, false))
}

/// How many bytes the repository may still take.
fn room(repository: &Repository, limits: &ReceiveLimits) -> Result<u64> {
    Ok(limits.repository_bytes_max.saturating_sub(repository.bytes_on_disk()?))
}

/// The repository would be too large.
pub(crate) fn quota(limits: &ReceiveLimits) -> Problem {
    let most = base::Bytes(limits.repository_bytes_max);
    Problem::too_large("repository-full", format!("with this push the repository would be larger than {most}"))
        .hint("delete branches with large files, or have the limit raised")
}
