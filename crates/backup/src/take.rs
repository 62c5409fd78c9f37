//! Making a backup while the installation works.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use base::{Problem, Result, Time};
use flate2::Compression;
use flate2::write::GzEncoder;
use ports::Clock;
use store::{Dump, Store};
use tempfile::NamedTempFile;

use crate::manifest::{CONFIG, Entry, FORMAT, KEY, LEDGER, MANIFEST, Manifest, SEAL, seal, trailer};
use crate::pass::Hashed;
use crate::prove::{Proof, prove};
use crate::trees::{self, Replaced};
use crate::{House, disk};

/// So often the whole is begun again when something that is needed vanished meanwhile: what nobody
/// needs any more is cleared away once an hour.
const ATTEMPTS: usize = 3;

/// What a backup is made of.
pub struct Source<'a> {
    /// The data folder.
    pub data: &'a Path,
    /// Its database.
    pub store: &'a Store,
    /// The text of its key file.
    pub key: &'a str,
    /// Whether the key file goes into the backup.
    pub with_key: bool,
    /// The version of the platform.
    pub version: &'a str,
    /// For the moment that it is made.
    pub clock: &'a dyn Clock,
}

/// Makes a backup at `to`, where nothing may be yet, and reads it back. A backup that cannot be
/// proved is removed again.
///
/// # Errors
/// `backup-exists`, `storage-full`, `backup-io`, those of the database, and those of [`prove`].
pub async fn take(source: &Source<'_>, to: &Path, house: &House<'_>) -> Result<Proof> {
    if to.exists() {
        return Err(Problem::conflict("backup-exists", format!("{} exists already", to.display()))
            .hint("name another file with --to; backups are never written over"));
    }
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| disk("making", folder, &e))?;
    let mut file = None;
    for _ in 0..ATTEMPTS {
        if let Some(written) = attempt(source, folder, house).await? {
            file = Some(written);
            break;
        }
        (house.tell)("something that was needed was cleared away meanwhile; beginning again");
    }
    let file = file.ok_or_else(|| {
        Problem::conflict("backup-objects-missing", "objects that the ledger names are not there")
            .hint("`orlop doctor` tells more; a backup without them could not be restored whole")
    })?;
    let path = file.into_temp_path();
    (house.tell)("reading it back");
    let proof = prove(&path, Some(source.key), house, source.clock).await?;
    path.persist_noclobber(to).map_err(|e| disk("naming", to, &e.error))?;
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| disk("syncing", folder, &e))?;
    Ok(Proof { file: std::path::absolute(to).unwrap_or_else(|_| to.to_owned()), ..proof })
}

/// Writes one, unless something that the ledger needs was not there any more.
async fn attempt(source: &Source<'_>, folder: &Path, house: &House<'_>) -> Result<Option<NamedTempFile>> {
    let data = source.data;
    let replaced = trees::replaced(data).map_err(|e| disk("reading", data, &e))?;
    (house.tell)("reading the ledger");
    let mut ledger = tempfile::tempfile_in(folder).map_err(|e| disk("writing to", folder, &e))?;
    let taken = source.clock.now();
    let (dump, needed) = {
        let mut reader = source.store.read().await?;
        let mut out = std::io::BufWriter::new(&mut ledger);
        let dump = reader.dump(&mut out).await?;
        out.flush().map_err(|e| disk("writing to", folder, &e))?;
        drop(out);
        (dump, (house.needed)(&mut reader).await?)
    };
    (house.tell)("reading objects and repositories");
    let growing = trees::growing(data).map_err(|e| disk("reading", data, &e))?;
    let file = NamedTempFile::new_in(folder).map_err(|e| disk("writing to", folder, &e))?;
    let mut archive = Archive::new(file, taken);
    let mut manifest =
        Manifest { format: FORMAT, version: source.version.to_owned(), taken, ledger: dump, entries: Vec::new() };
    archive.ledger(&mut ledger, &manifest.ledger).map_err(|e| disk("writing to", folder, &e))?;
    manifest.entries = archive.all(source, replaced, growing).map_err(|e| disk("writing to", folder, &e))?;
    if manifest.lacks(&needed).is_some() {
        return Ok(None);
    }
    let bytes = serde_json::to_vec(&manifest).map_err(|e| Problem::internal("value-not-json", e))?;
    let seal = seal(&(house.keys)(source.key)?.backup, &bytes);
    archive.end(&bytes, &seal).map(Some).map_err(|e| disk("writing to", folder, &e))
}

/// A `.tar.gz` that is being written.
struct Archive {
    tar: tar::Builder<GzEncoder<Hashed<NamedTempFile>>>,
    taken: Time,
}

impl Archive {
    fn new(file: NamedTempFile, taken: Time) -> Self {
        // The layers of artifacts are most of it, and they are compressed already.
        Self { tar: tar::Builder::new(GzEncoder::new(Hashed::new(file), Compression::fast())), taken }
    }

    fn ledger(&mut self, file: &mut File, dump: &Dump) -> std::io::Result<()> {
        std::io::Seek::rewind(file)?;
        let length = file.metadata()?.len();
        let entry = self.put(LEDGER, length, &mut BufReader::new(file))?;
        match entry.digest == dump.digest {
            true => Ok(()),
            false => Err(std::io::Error::other("the ledger's copy is not what was written")),
        }
    }

    /// Everything but the ledger.
    fn all(
        &mut self,
        source: &Source<'_>,
        replaced: Vec<Replaced>,
        growing: Vec<String>,
    ) -> std::io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if source.with_key {
            entries.push(self.bytes(KEY, source.key.as_bytes())?);
        }
        entries.extend(self.file(CONFIG, source.data)?);
        for Replaced { path, content } in replaced {
            entries.push(self.bytes(&path, &content)?);
        }
        for path in growing {
            entries.extend(self.file(&path, source.data)?);
        }
        Ok(entries)
    }

    /// A file of the data folder, if it is there.
    fn file(&mut self, path: &str, data: &Path) -> std::io::Result<Option<Entry>> {
        let mut file = match File::open(data.join(path)) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        self.put(path, length, &mut file).map(Some)
    }

    fn bytes(&mut self, path: &str, content: &[u8]) -> std::io::Result<Entry> {
        self.put(path, u64::try_from(content.len()).unwrap_or(u64::MAX), &mut &*content)
    }

    fn put(&mut self, path: &str, length: u64, content: &mut dyn Read) -> std::io::Result<Entry> {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.taken.micros() / 1_000_000).unwrap_or(0));
        let mut content = Hashed::new(content.take(length));
        self.tar.append_data(&mut header, path, &mut content)?;
        let entry = content.entry(path.to_owned());
        match entry.bytes == length {
            true => Ok(entry),
            false => Err(std::io::Error::other(format!("{path} became shorter while it was read"))),
        }
    }

    fn end(mut self, manifest: &[u8], seal: &str) -> std::io::Result<NamedTempFile> {
        self.bytes(MANIFEST, manifest)?;
        self.bytes(SEAL, seal.as_bytes())?;
        let (mut file, digest) = self.tar.into_inner()?.finish()?.into_parts();
        file.write_all(&trailer(&digest))?;
        file.as_file().sync_all()?;
        Ok(file)
    }
}
