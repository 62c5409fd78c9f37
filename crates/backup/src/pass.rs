//! One pass over a backup from its first byte to its last, with everything checked on the way:
//! names, lengths, digests, the seal, and that nothing is missing or comes after the end.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use base::{Digest, Result};
use flate2::bufread::GzDecoder;
use sha2::{Digest as _, Sha256};

use crate::manifest::{CONFIG, Entry, KEY, LEDGER, MANIFEST, Manifest, SEAL, is_sealed, trailer};
use crate::trees::FOLDERS;
use crate::{House, Keys, damaged, disk};

/// Largest manifest, key or configuration file that is read into memory.
const SMALL_BYTES_MAX: u64 = 1 << 30;
/// Bytes read at once.
const CHUNK: usize = 128 * 1024;

/// What a pass found.
pub(crate) struct Passed {
    pub manifest: Manifest,
    /// The text of the key file that fits: the one given, else the one inside.
    pub key: String,
    /// The digest and length of the backup's own file.
    pub file: Entry,
}

/// What is done with the content of a file: the ledger, then each entry in order.
pub(crate) type Take<'a> = dyn FnMut(&str, &mut dyn Read) -> Result<()> + 'a;

/// Reads the whole backup. What `take` was given is to be believed only once this has returned well.
pub(crate) fn pass(file: &Path, given: Option<&str>, house: &House<'_>, take: &mut Take<'_>) -> Result<Passed> {
    let failed = |e: io::Error| disk("reading", file, &e);
    let opened = File::open(file).map_err(failed)?;
    let length = opened.metadata().map_err(failed)?.len();
    let trailer_length = u64::try_from(trailer(&Digest::of(b"")).len()).unwrap_or(u64::MAX);
    let Some(body) = length.checked_sub(trailer_length) else { return Err(damaged("it is cut off")) };
    let mut whole = Hashed::new(opened);
    let entries = read_body((&mut whole).take(body), take)?;
    let expected = trailer(&whole.digest());
    let mut found = Vec::new();
    whole.read_to_end(&mut found).map_err(failed)?;
    if found != expected {
        return Err(damaged("it is cut off or changed: the checksum at its end is another one"));
    }
    let file = whole.entry(file.display().to_string());
    let Entries { seen, manifest: Some(bytes), seal: Some(seal), key } = entries else {
        return Err(damaged("it has no end: the manifest is missing"));
    };
    let key = given.map(str::to_owned).or(key).ok_or_else(no_key)?;
    let Keys { backup, .. } = (house.keys)(&key)?;
    if !is_sealed(&backup, &bytes, &seal) {
        return Err(damaged("its seal was not made with this installation's master key, or it was changed since")
            .hint("name the key file of the installation that made it: --key FILE"));
    }
    let manifest = Manifest::read(&bytes)?;
    compare(&manifest, &seen)?;
    Ok(Passed { manifest, key, file })
}

/// The compressed archive, to its last byte.
fn read_body(body: impl Read, take: &mut Take<'_>) -> Result<Entries> {
    let cut = |e: io::Error| damaged(format_args!("it is cut off or changed: {e}"));
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::with_capacity(CHUNK, body)));
    let entries = read_entries(&mut archive, take)?;
    let mut rest = archive.into_inner();
    // The checksum of the compressed stream comes after its last byte.
    io::copy(&mut rest, &mut io::sink()).map_err(cut)?;
    match io::copy(&mut rest.into_inner(), &mut io::sink()).map_err(cut)? {
        0 => Ok(entries),
        more => Err(damaged(format_args!("{more} bytes follow its end"))),
    }
}

fn no_key() -> base::Problem {
    base::Problem::invalid("backup-key-needed", "the backup does not hold the master key, and none was named")
        .hint("add --key FILE with a copy of `master.key` of the installation that made it")
}

#[derive(Default)]
struct Entries {
    /// The ledger first, then everything that the manifest lists.
    seen: Vec<Entry>,
    manifest: Option<Vec<u8>>,
    seal: Option<String>,
    key: Option<String>,
}

fn read_entries<R: Read>(archive: &mut tar::Archive<R>, take: &mut Take<'_>) -> Result<Entries> {
    let cut = |e: io::Error| damaged(format_args!("it is cut off or changed: {e}"));
    let mut found = Entries::default();
    for entry in archive.entries().map_err(cut)? {
        let entry = entry.map_err(cut)?;
        let path = entry.path().map_err(cut)?.to_str().map(str::to_owned).unwrap_or_default();
        if !entry.header().entry_type().is_file() || !is_ours(&path) || found.seal.is_some() {
            return Err(damaged(format_args!("`{path}` has no place in it")));
        }
        let mut content = Hashed::new(entry);
        match path.as_str() {
            MANIFEST => found.manifest = Some(small(&mut content).map_err(cut)?),
            SEAL if found.manifest.is_some() => found.seal = Some(text(&mut content).map_err(cut)?),
            SEAL => return Err(damaged("its seal comes before its manifest")),
            _ if found.manifest.is_some() => return Err(damaged(format_args!("`{path}` comes after its manifest"))),
            KEY => {
                let key = text(&mut content).map_err(cut)?;
                take(&path, &mut key.as_bytes())?;
                found.key = Some(key);
                found.seen.push(content.entry(path));
            }
            _ => {
                take(&path, &mut content)?;
                io::copy(&mut content, &mut io::sink()).map_err(cut)?;
                found.seen.push(content.entry(path));
            }
        }
    }
    Ok(found)
}

/// Whether a name is one that a backup can have: no other is ever written to the disk.
fn is_ours(path: &str) -> bool {
    if [LEDGER, KEY, CONFIG, MANIFEST, SEAL].contains(&path) {
        return true;
    }
    let parts: Vec<&str> = path.split('/').collect();
    parts.len() > 1 && FOLDERS.contains(&parts[0]) && parts.iter().all(|part| !["", ".", ".."].contains(part))
}

fn compare(manifest: &Manifest, seen: &[Entry]) -> Result<()> {
    let Some((ledger, rest)) = seen.split_first().filter(|(first, _)| first.path == LEDGER) else {
        return Err(damaged("the ledger is missing"));
    };
    if ledger.digest != manifest.ledger.digest {
        return Err(damaged("the ledger is not the one that was taken"));
    }
    for (listed, found) in manifest.entries.iter().zip(rest) {
        if listed != found {
            return Err(damaged(format_args!("`{}` is not what was taken", listed.path)));
        }
    }
    if manifest.entries.len() != rest.len() {
        return Err(damaged(format_args!("it lists {} files and holds {}", manifest.entries.len(), rest.len())));
    }
    // The objects that are named by their own digest must also be what their name says.
    let mismatch = manifest.beneath("objects").find(|entry| {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        format!("sha256:{name}").parse::<Digest>().is_ok_and(|named| named != entry.digest)
    });
    match mismatch {
        Some(entry) => Err(damaged(format_args!("`{}` is not what its name says", entry.path))),
        None => Ok(()),
    }
}

fn small(content: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = content.take(SMALL_BYTES_MAX).read_to_end(&mut bytes)?;
    if u64::try_from(read).unwrap_or(u64::MAX) == SMALL_BYTES_MAX {
        return Err(io::Error::other("a file is larger than it may be"));
    }
    Ok(bytes)
}

fn text(content: &mut impl Read) -> io::Result<String> {
    String::from_utf8(small(content)?).map_err(io::Error::other)
}

/// Hashes and counts what is read or written through it.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> Hashed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    /// What it wraps, and the digest of what went through.
    pub(crate) fn into_parts(self) -> (R, Digest) {
        let digest = self.digest();
        (self.inner, digest)
    }

    /// The digest of what went through so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest::from_sha256(self.hash.clone().finalize().into())
    }

    /// What was read so far, under a name.
    pub(crate) fn entry(self, path: String) -> Entry {
        Entry { path, bytes: self.bytes, digest: Digest::from_sha256(self.hash.finalize().into()) }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.note(buffer.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_our_own_are_taken() {
        for good in ["ledger.jsonl", "objects/oci/a", "git/shop.git/refs/heads/ä#1", "master.key", "manifest.json"] {
            assert!(is_ours(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "objects",
            "objects/",
            "/objects/a",
            "objects/../a",
            "objects//a",
            "./objects/a",
            "run/lock",
            "git/./a",
        ] {
            assert!(!is_ours(bad), "{bad}");
        }
    }
}
