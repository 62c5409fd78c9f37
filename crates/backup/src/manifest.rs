//! What a backup says that it holds, and the seal on it.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base::{Digest, Result, Secret, Time};
use serde::{Deserialize, Serialize};
use store::Dump;

use crate::damaged;

/// The version of the format that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The ledger, the first entry.
pub(crate) const LEDGER: &str = "ledger.jsonl";
/// The key file, where it was asked for.
pub(crate) const KEY: &str = "master.key";
/// The configuration file, where there is one.
pub(crate) const CONFIG: &str = "orlop.toml";
/// This manifest, the last entry but one.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The seal on the bytes of the manifest, hexadecimal, the last entry.
pub(crate) const SEAL: &str = "manifest.hmac";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Version of the platform that made it.
    pub version: String,
    /// The moment that it shows.
    pub taken: Time,
    /// The ledger at that moment.
    pub ledger: Dump,
    /// Every other file, in the order of the archive.
    pub entries: Vec<Entry>,
}

/// One file in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Where it belongs beneath the data folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub digest: Digest,
}

impl Manifest {
    /// Reads one whose seal was checked.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| damaged(format_args!("its manifest: {e}")))?;
        if head.format > FORMAT {
            let found = format!("the backup has the format {}, this version reads up to {FORMAT}", head.format);
            return Err(base::Problem::conflict("data-from-newer-version", found)
                .hint("use the version of orlop that made it, or a newer one"));
        }
        serde_json::from_slice(bytes).map_err(|e| damaged(format_args!("its manifest: {e}")))
    }

    /// The first of these objects that is not in it.
    pub(crate) fn lacks<'a>(&self, needed: &'a [String]) -> Option<&'a String> {
        let there: BTreeSet<&str> =
            self.beneath("objects").filter_map(|entry| entry.path.strip_prefix("objects/")).collect();
        needed.iter().find(|key| !there.contains(key.as_str()))
    }

    /// Files below this folder.
    pub(crate) fn beneath<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |e| e.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// HMAC-SHA256 (RFC 2104) over the bytes of a manifest, hexadecimal.
pub(crate) fn seal(key: &Secret<Vec<u8>>, manifest: &[u8]) -> String {
    let tag = hmac::sign(&of(key), manifest);
    <[u8; 32]>::try_from(tag.as_ref()).map(|raw| Digest::from_sha256(raw).hex()).unwrap_or_default()
}

/// Compares in constant time.
pub(crate) fn is_sealed(key: &Secret<Vec<u8>>, manifest: &[u8], seal: &str) -> bool {
    let tag = format!("sha256:{}", seal.trim()).parse::<Digest>();
    tag.is_ok_and(|tag| hmac::verify(&of(key), manifest, tag.as_bytes()).is_ok())
}

/// What stands after the compressed archive: an empty member (RFC 1952, section 2.3) whose comment is
/// the digest of everything before it. Compressed data has bits that no decoder looks at; with this,
/// every bit of the file counts. Programs that unpack the archive pass it by.
pub(crate) fn trailer(digest: &Digest) -> Vec<u8> {
    const HEADER_WITH_COMMENT: [u8; 10] = [0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 255];
    const NOTHING_AND_ITS_CHECKSUM: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&HEADER_WITH_COMMENT[..], digest.to_string().as_bytes(), &[0], &NOTHING_AND_ITS_CHECKSUM].concat()
}

fn of(key: &Secret<Vec<u8>>) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.expose())
}
