//! Reading a backup back: the only thing that makes one count.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read};
use std::path::{Path, PathBuf};

use base::{Digest, Result, Time};
use ports::Clock;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::manifest::{KEY, LEDGER, Manifest};
use crate::pass::{Passed, pass};
use crate::{House, damaged, disk};

/// What was found when a backup was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The backup.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Digest,
    /// The moment that it shows.
    pub taken: Time,
    /// When it was read back.
    pub proved: Time,
    /// The version of the platform that made it.
    pub version: String,
    /// The SHA-256 of its ledger.
    pub ledger: Digest,
    /// Facts in its ledger.
    pub facts: u64,
    /// Objects: sources, artifacts, logs of builds.
    pub objects: u64,
    /// Repositories.
    pub repositories: u64,
    /// Whether the master key is in it.
    pub has_key: bool,
}

/// Reads the whole backup, makes a database of its ledger beside it, and checks that this database is
/// equal to the one that was taken, that its fact log is sound, and that every object is there that it
/// names. `given` is the text of a key file; without it the key must be inside.
///
/// # Errors
/// `bad-backup`, `bad-dump`, `backup-key-needed`, `data-from-newer-version`.
pub async fn prove(file: &Path, given: Option<&str>, house: &House<'_>, clock: &dyn Clock) -> Result<Proof> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new().prefix(".orlop-proof-").tempdir_in(folder);
    let scratch = scratch.map_err(|e| disk("making a folder in", folder, &e))?;
    let ledger = scratch.path().join(LEDGER);
    let Passed { manifest, key, file } = pass(file, given, house, &mut |path, content| match path {
        LEDGER => keep(content, &ledger),
        _ => Ok(()),
    })?;
    let database = std::path::absolute(scratch.path().join("orlop.db")).map_err(|e| disk("finding", folder, &e))?;
    let url = format!("sqlite:{}", database.display());
    let store = ledger_of(&manifest, &ledger, &url, &key, house).await?;
    let mut reader = store.read().await?;
    let needed = (house.needed)(&mut reader).await?;
    drop(reader);
    store.close().await;
    let missing = manifest.lacks(&needed);
    if let Some(key) = missing {
        return Err(damaged(format_args!("the object `{key}`, which the ledger names, is missing")));
    }
    Ok(Proof {
        file: file.path.into(),
        bytes: file.bytes,
        digest: file.digest,
        taken: manifest.taken,
        proved: clock.now(),
        version: manifest.version.clone(),
        ledger: manifest.ledger.digest,
        facts: manifest.ledger.facts,
        objects: count(manifest.beneath("objects").count()),
        repositories: count(manifest.beneath("git").filter(|entry| entry.path.ends_with(".git/HEAD")).count()),
        has_key: manifest.entries.iter().any(|entry| entry.path == KEY),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Makes a database of a ledger's lines and checks it. It has the newest schema afterwards.
pub(crate) async fn ledger_of(
    manifest: &Manifest,
    lines: &Path,
    url: &str,
    key: &str,
    house: &House<'_>,
) -> Result<Store> {
    let options = || -> Result<store::Options> { Ok((house.options)(url.to_owned(), (house.keys)(key)?)) };
    let mut lines = BufReader::new(File::open(lines).map_err(|e| disk("reading", lines, &e))?);
    Store::restore(options()?, &mut lines).await?;
    let unchanged = Store::open_unchanged(options()?).await?;
    let again = unchanged.read().await?.dump(&mut std::io::sink()).await?;
    unchanged.close().await;
    if again != manifest.ledger {
        return Err(damaged("a database made of its ledger is not equal to the one that was taken"));
    }
    let store = Store::open(options()?).await?;
    let verified = store.verify_facts().await?;
    match verified.first_bad {
        None => Ok(store),
        Some((seq, what)) => Err(damaged(format_args!("fact {} of its ledger: {what}", seq.0))),
    }
}

/// Writes content to a new file that only its owner may read.
pub(crate) fn keep(content: &mut dyn Read, to: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let write = |content: &mut dyn Read| -> std::io::Result<()> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        let mut out = BufWriter::new(file);
        std::io::copy(content, &mut out)?;
        out.into_inner().map_err(|e| e.into_error())?.sync_all()
    };
    write(content).map_err(|e| match e.kind() {
        // The content is unpacked while it is read: these are faults of the backup, not of the disk.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => damaged(&e),
        _ => disk("writing", to, &e),
    })
}
