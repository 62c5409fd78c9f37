//! The audit chain: each fact's hash covers the hash before it, and the end of the chain is sealed
//! with a key that is not in the database. Who can write to the database but has no key cannot
//! change, reorder, insert or cut off a fact without [`Store::verify_facts`] noticing. Going back to
//! an older copy of the whole database is noticed with an [`Anchor`] that was kept elsewhere.

use aws_lc_rs::hmac;
use base::{Digest, FactSeq, Problem, Result};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::read::Read;
use crate::store::Store;
use crate::tx::Tx;

/// A moment of the fact log, to be kept outside of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// The last fact; 0 where there was none.
    pub seq: FactSeq,
    /// The hash of that fact.
    pub hash: Digest,
    /// HMAC-SHA256 over both with the audit key, hexadecimal.
    pub mac: String,
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) seq: i64,
    pub(crate) hash: Digest,
}

/// What a fact's hash covers, as it is stored.
pub(crate) struct Link<'a> {
    pub(crate) seq: i64,
    pub(crate) kind: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) generation: i64,
    pub(crate) actor: &'a str,
    pub(crate) cause: Option<&'a str>,
    pub(crate) at: i64,
    pub(crate) body: &'a str,
}

impl Head {
    /// The end of a chain without facts.
    pub(crate) fn start() -> Self {
        Self { seq: 0, hash: Digest::of(b"orlop fact chain 1") }
    }

    /// The hash of the fact that follows. Every field has its length before it, so that no two
    /// different facts are the same bytes.
    pub(crate) fn follow(&self, link: &Link<'_>) -> Digest {
        let mut bytes = Vec::with_capacity(link.body.len().saturating_add(256));
        bytes.extend_from_slice(b"orlop fact 1");
        bytes.extend_from_slice(self.hash.as_bytes());
        for number in [link.seq, link.generation, link.at] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.push(u8::from(link.cause.is_some()));
        for text in [link.kind, link.subject, link.actor, link.cause.unwrap_or_default(), link.body] {
            bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        Digest::of(&bytes)
    }

    fn sealed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"orlop fact head 1".to_vec();
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(self.hash.as_bytes());
        bytes
    }

    pub(crate) fn seal(&self, key: &hmac::Key) -> String {
        let tag = hmac::sign(key, &self.sealed_bytes());
        <[u8; 32]>::try_from(tag.as_ref()).map(|raw| Digest::from_sha256(raw).hex()).unwrap_or_default()
    }

    /// Compares in constant time.
    pub(crate) fn is_sealed(&self, key: &hmac::Key, mac: &str) -> bool {
        let tag = format!("sha256:{mac}").parse::<Digest>();
        tag.is_ok_and(|tag| hmac::verify(key, &self.sealed_bytes(), tag.as_bytes()).is_ok())
    }
}

/// The stored end of the chain with its seal; `None` before the first fact.
pub(crate) async fn stored_head(r: &mut (impl Read + ?Sized)) -> Result<Option<(Head, String)>> {
    let row = r.row("SELECT seq, hash, mac FROM fact_chain WHERE id = 1", args![]).await?;
    row.map(|row| Ok((Head { seq: row.int("seq")?, hash: row.parse("hash")? }, row.text("mac")?))).transpose()
}

/// Finds out at start, not at the first write, that the audit key is not the one of this database.
pub(crate) async fn check_key(store: &Store) -> Result<()> {
    match stored_head(&mut store.read().await?).await? {
        Some((head, mac)) if !head.is_sealed(&store.inner.audit_key, &mac) => Err(broken_seal()),
        _ => Ok(()),
    }
}

fn broken_seal() -> Problem {
    Problem::internal("audit-broken", "the end of the fact log is not sealed with this installation's audit key")
        .hint("bring the audit key of this database back, or restore a backup: the log was changed from outside")
}

impl Tx {
    /// The end of the chain, checked: a fact after a forged end would make the forgery genuine.
    pub(crate) async fn chain_head(&mut self) -> Result<Head> {
        if let Some(head) = self.head {
            return Ok(head);
        }
        let head = match stored_head(self).await? {
            None => Head::start(),
            Some((head, mac)) if head.is_sealed(&self.inner.audit_key, &mac) => head,
            Some(_) => return Err(broken_seal()),
        };
        Ok(head)
    }

    /// Writes the end of the chain once, however many facts there were.
    pub(crate) async fn write_head(&mut self) -> Result<()> {
        let Some(head) = self.head else { return Ok(()) };
        let mac = head.seal(&self.inner.audit_key);
        self.execute(
            "INSERT INTO fact_chain (id, seq, hash, mac) VALUES (1, $1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac",
            args![head.seq, head.hash, mac],
        )
        .await?;
        Ok(())
    }
}

impl Store {
    /// This moment of the fact log, to be kept elsewhere.
    pub async fn anchor(&self) -> Result<Anchor> {
        let (head, mac) = match stored_head(&mut self.read().await?).await? {
            Some((head, mac)) if head.is_sealed(&self.inner.audit_key, &mac) => (head, mac),
            Some(_) => return Err(broken_seal()),
            None => (Head::start(), Head::start().seal(&self.inner.audit_key)),
        };
        Ok(Anchor { seq: FactSeq(head.seq), hash: head.hash, mac })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>() -> Link<'a> {
        Link { seq: 1, kind: "a.b", subject: "s", generation: 2, actor: "anonymous", cause: None, at: 5, body: "{}" }
    }

    #[test]
    fn every_field_is_covered() {
        let start = Head::start();
        let hashes = [
            start.follow(&link()),
            start.follow(&Link { seq: 2, ..link() }),
            start.follow(&Link { kind: "a.bs", subject: "", ..link() }),
            start.follow(&Link { subject: "t", ..link() }),
            start.follow(&Link { generation: 3, ..link() }),
            start.follow(&Link { actor: "person:ada", ..link() }),
            start.follow(&Link { cause: Some(""), ..link() }),
            start.follow(&Link { cause: Some("x"), ..link() }),
            start.follow(&Link { at: 6, ..link() }),
            start.follow(&Link { body: "[]", ..link() }),
            Head { seq: 0, hash: Digest::of(b"other") }.follow(&link()),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
        assert_eq!(start.follow(&link()), start.follow(&link()));
    }

    #[test]
    fn the_seal_needs_the_key_and_covers_both() {
        let (key, other) = (hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]), hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]));
        let head = Head { seq: 7, hash: Digest::of(b"x") };
        let mac = head.seal(&key);
        assert!(head.is_sealed(&key, &mac));
        assert!(!head.is_sealed(&other, &mac));
        assert!(!Head { seq: 8, ..head }.is_sealed(&key, &mac));
        assert!(!Head { hash: Digest::of(b"y"), ..head }.is_sealed(&key, &mac));
        assert!(!head.is_sealed(&key, "") && !head.is_sealed(&key, "zz"));
    }
}
