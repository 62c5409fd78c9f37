//! Which backups were read back, and when: a small file in the data folder. It is a list of what was
//! seen, never of what was meant; whether a backup is still there is looked up each time.

use std::io::Write as _;
use std::path::Path;

use base::Result;
use serde::Serialize;

use crate::Proof;
use crate::disk;

/// Proofs that are kept.
const KEPT: usize = 100;

/// A backup that was proved once, and what is there now.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// What was found when it was read back.
    #[serde(flatten)]
    pub proof: Proof,
    /// Whether a file of this length is there now.
    pub is_there: bool,
}

/// The backups that were proved, newest proof first.
///
/// # Errors
/// `backup-io` where the list cannot be read.
pub fn list(record: &Path) -> Result<Vec<Known>> {
    let known = read(record)?.into_iter().map(|proof| {
        let is_there = std::fs::metadata(&proof.file).is_ok_and(|meta| meta.is_file() && meta.len() == proof.bytes);
        Known { proof, is_there }
    });
    Ok(known.collect())
}

/// Adds a proof; an older one of the same file goes.
///
/// # Errors
/// `backup-io` where the list cannot be written.
pub fn add(record: &Path, proof: &Proof) -> Result<()> {
    let mut proofs = read(record)?;
    proofs.retain(|old| old.file != proof.file);
    proofs.insert(0, proof.clone());
    proofs.truncate(KEPT);
    let folder = record.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(&proofs)?)?;
        file.as_file().sync_all()?;
        file.persist(record)?;
        Ok(())
    };
    write().map_err(|e| disk("writing", record, &e))
}

fn read(record: &Path) -> Result<Vec<Proof>> {
    match std::fs::read(record) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| disk("reading", record, &e.into())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(disk("reading", record, &e)),
    }
}
