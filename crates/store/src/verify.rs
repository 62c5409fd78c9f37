use aws_lc_rs::hmac;
use base::{Digest, FactSeq, Result};
use serde::{Deserialize, Serialize};

use crate::args;
use crate::chain::{Anchor, Head, Link, stored_head};
use crate::read::Read;
use crate::row::Row;
use crate::store::Store;

/// Facts that are read at once while checking.
const PAGE: u32 = 1000;

/// What checking the fact log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Facts that were found sound.
    pub facts: u64,
    /// The first place where something is wrong, and what.
    pub first_bad: Option<(FactSeq, String)>,
}

impl Store {
    /// Checks the whole fact log: every hash, the order without gaps, the seal of its end, and that
    /// the table of newest facts agrees with it.
    /// Where an anchor is kept beside the database ([`Store::keep_anchor_in`]), the log must still
    /// contain what it contained then: that is how an older copy of the whole database is found.
    pub async fn verify_facts(&self) -> Result<Verification> {
        let kept = match self.inner.anchors.get() {
            Some(kept) => Some((kept, kept.known().await?)),
            None => None,
        };
        let mut reader = self.read().await?;
        let found = verify(&self.inner.audit_key, &mut reader, Head::start()).await?;
        match (found.ok, kept) {
            (true, Some((kept, known))) => Ok(match kept.lack(&known, &self.inner.audit_key, &mut reader).await? {
                Some((seq, what)) => bad(found.facts, seq, &what),
                None => found,
            }),
            _ => Ok(found),
        }
    }

    /// Checks that the log still contains what it contained at the anchor, and everything after it.
    pub async fn verify_facts_since(&self, anchor: &Anchor) -> Result<Verification> {
        let mut reader = self.read().await?;
        if let Some(what) = missing_since(&self.inner.audit_key, &mut reader, anchor).await? {
            return Ok(bad(0, anchor.seq.0, what));
        }
        verify(&self.inner.audit_key, &mut reader, Head { seq: anchor.seq.0, hash: anchor.hash }).await
    }
}

/// Whether the log does not contain any more what it contained at the anchor.
pub(crate) async fn missing_since(
    key: &hmac::Key,
    reader: &mut (impl Read + ?Sized),
    anchor: &Anchor,
) -> Result<Option<&'static str>> {
    let head = Head { seq: anchor.seq.0, hash: anchor.hash };
    if !head.is_sealed(key, &anchor.mac) {
        return Ok(Some("the anchor was not made with this installation's audit key"));
    }
    if head.seq == 0 {
        return Ok(None);
    }
    let row = reader.row("SELECT hash FROM fact WHERE seq = $1", args![head.seq]).await?;
    Ok(match row {
        None => Some("the fact at the anchor is missing"),
        Some(row) if row.text("hash")? != head.hash.to_string() => Some("the fact at the anchor is another one"),
        Some(_) => None,
    })
}

/// Checks the log from a place on.
pub(crate) async fn verify(key: &hmac::Key, reader: &mut (impl Read + ?Sized), start: Head) -> Result<Verification> {
    let (mut at, mut facts) = (start, 0u64);
    loop {
        let rows = reader.rows("SELECT * FROM fact WHERE seq > $1 ORDER BY seq LIMIT $2", args![at.seq, PAGE]).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            match follow(&at, row) {
                Ok(next) => at = next,
                Err((seq, what)) => return Ok(bad(facts, seq, what)),
            }
            facts = facts.saturating_add(1);
        }
    }
    if let Some(what) = check_end(key, reader, &at).await? {
        return Ok(bad(facts, at.seq, what));
    }
    if let Some((seq, what)) = check_newest(reader).await? {
        return Ok(bad(facts, seq, what));
    }
    Ok(Verification { ok: true, facts, first_bad: None })
}

async fn check_end(key: &hmac::Key, reader: &mut (impl Read + ?Sized), at: &Head) -> Result<Option<&'static str>> {
    Ok(match stored_head(reader).await? {
        None if at.seq == 0 => None,
        None => Some("the end of the log has no seal"),
        Some((head, mac)) if !head.is_sealed(key, &mac) => {
            Some("the seal of the end of the log was not made with this installation's audit key")
        }
        Some((head, _)) if head.seq > at.seq => Some("facts are missing at the end"),
        Some((head, _)) if head != *at => Some("the end of the log is not the one that was sealed"),
        Some(_) => None,
    })
}

/// The end of the chain after this fact, or what is wrong with it.
fn follow(before: &Head, row: &Row) -> Result<Head, (i64, &'static str)> {
    let expected = before.seq.saturating_add(1);
    let unreadable = |_| (expected, "the fact cannot be read");
    let seq = row.int("seq").map_err(unreadable)?;
    if seq != expected {
        return Err((expected, "the fact is missing"));
    }
    let (kind, subject) = (row.text("kind").map_err(unreadable)?, row.text("subject").map_err(unreadable)?);
    let (actor, body) = (row.text("actor").map_err(unreadable)?, row.text("body").map_err(unreadable)?);
    let cause = row.opt_text("cause").map_err(unreadable)?;
    let hash = before.follow(&Link {
        seq,
        kind: &kind,
        subject: &subject,
        generation: row.int("generation").map_err(unreadable)?,
        actor: &actor,
        cause: cause.as_deref(),
        at: row.int("at").map_err(unreadable)?,
        body: &body,
    });
    match row.parse::<Digest>("hash").map_err(unreadable)? == hash {
        true => Ok(Head { seq, hash }),
        false => Err((seq, "the fact, or one before it, was changed")),
    }
}

/// The table of newest facts is outside of the chain, so it is compared with it.
async fn check_newest(reader: &mut (impl Read + ?Sized)) -> Result<Option<(i64, &'static str)>> {
    const BEHIND: &str = "SELECT f.seq FROM fact f WHERE NOT EXISTS (SELECT 1 FROM fact_head h \
         WHERE h.kind = f.kind AND h.subject = f.subject AND h.seq >= f.seq) ORDER BY f.seq LIMIT 1";
    const ASTRAY: &str = "SELECT h.seq FROM fact_head h WHERE NOT EXISTS (SELECT 1 FROM fact f \
         WHERE f.seq = h.seq AND f.kind = h.kind AND f.subject = h.subject) ORDER BY h.seq LIMIT 1";
    for (sql, what) in [
        (BEHIND, "the table of newest facts leaves this fact out"),
        (ASTRAY, "the table of newest facts names a fact that is not there"),
    ] {
        if let Some(row) = reader.row(sql, args![]).await? {
            return Ok(Some((row.int("seq")?, what)));
        }
    }
    Ok(None)
}

fn bad(facts: u64, seq: i64, what: &str) -> Verification {
    Verification { ok: false, facts, first_bad: Some((FactSeq(seq), what.to_owned())) }
}
