use base::{Actor, FactSeq, Generation, Problem, Result, Time};
use serde::{Deserialize, Serialize};

use crate::chain::{Head, Link};
use crate::read::Read;
use crate::row::Row;
use crate::tx::Tx;
use crate::wakes::Wake;
use crate::{about, args};

/// Most kinds that one question about facts may name.
pub const KINDS_MAX: usize = 64;
/// Longest kind, subject and cause, bytes: a wake-up between processes must stay below 8000.
const KIND_BYTES_MAX: usize = 128;
const SUBJECT_BYTES_MAX: usize = 1024;
const CAUSE_BYTES_MAX: usize = 1024;
/// Largest body, bytes of JSON.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Something that happened, before it has its place in the log.
#[derive(Debug, Clone)]
pub struct NewFact {
    /// `<capability>.<noun>`, or `<owner>.<noun>.wanted` for a wish.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The version of the intent it belongs to.
    pub generation: Generation,
    /// Who did it.
    pub actor: Actor,
    /// Why: another fact, a request, a schedule.
    pub cause: Option<String>,
    /// What else there is to know.
    pub body: serde_json::Value,
}

/// A fact in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredFact {
    /// Its place in the order of all facts.
    pub seq: FactSeq,
    /// What sort.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// The version of the intent it belongs to.
    pub generation: Generation,
    /// Who did it.
    pub actor: Actor,
    /// Why.
    pub cause: Option<String>,
    /// When it was appended.
    pub at: Time,
    /// What else there is to know.
    pub body: serde_json::Value,
    /// The hash that covers it and, through the fact before it, everything before it.
    pub hash: String,
}

impl Tx {
    /// Appends a fact to the log. Its place is final once the transaction commits.
    pub async fn append(&mut self, fact: NewFact) -> Result<FactSeq> {
        let (actor, body) = (fact.actor.to_string(), fact.body.to_string());
        check_sizes(&fact, &body)?;
        let head = self.chain_head().await?;
        let (seq, at) = (head.seq.saturating_add(1), self.inner.clock.now());
        let link = Link {
            seq,
            kind: &fact.kind,
            subject: &fact.subject,
            generation: fact.generation.0,
            actor: &actor,
            cause: fact.cause.as_deref(),
            at: at.micros(),
            body: &body,
        };
        let hash = head.follow(&link);
        self.execute(
            "INSERT INTO fact (seq, kind, subject, generation, actor, cause, at, body, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            args![seq, &fact.kind, &fact.subject, fact.generation, &actor, fact.cause.as_deref(), at, &body, hash],
        )
        .await?;
        self.execute(
            "INSERT INTO fact_head (kind, subject, seq) VALUES ($1, $2, $3) \
             ON CONFLICT (kind, subject) DO UPDATE SET seq = excluded.seq",
            args![&fact.kind, &fact.subject, seq],
        )
        .await?;
        about::index(self, FactSeq(seq), &fact.body).await?;
        self.head = Some(Head { seq, hash });
        self.wakes.push(Wake::new(&fact.kind, &fact.subject, FactSeq(seq)));
        Ok(FactSeq(seq))
    }
}

fn check_sizes(fact: &NewFact, body: &str) -> Result<()> {
    let cause = fact.cause.as_deref().unwrap_or_default();
    for (what, length, most) in [
        ("kind", fact.kind.len(), KIND_BYTES_MAX),
        ("subject", fact.subject.len(), SUBJECT_BYTES_MAX),
        ("cause", cause.len(), CAUSE_BYTES_MAX),
        ("body", body.len(), BODY_BYTES_MAX),
    ] {
        if length > most {
            let found = format!("the {what} of a fact has {length} bytes; {most} are allowed");
            return Err(Problem::too_large("fact-too-large", found));
        }
    }
    if fact.kind.is_empty() || fact.kind.contains('*') {
        return Err(Problem::internal("bad-fact-kind", "a fact's kind is a word like `deliver.rollout`"));
    }
    Ok(())
}

const LATEST: &str = "SELECT f.* FROM fact_head h JOIN fact f ON f.seq = h.seq WHERE h.kind = $1 AND h.subject = $2";

/// The newest fact of this kind about this subject. Costs the same however long the log is.
pub async fn fact_latest(r: &mut (impl Read + ?Sized), kind: &str, subject: &str) -> Result<Option<StoredFact>> {
    r.row(LATEST, args![kind, subject]).await?.as_ref().map(stored).transpose()
}

/// The newest fact of this kind about each subject, by subject.
pub async fn facts_latest(r: &mut (impl Read + ?Sized), kind: &str) -> Result<Vec<StoredFact>> {
    const SQL: &str = "SELECT f.* FROM fact_head h JOIN fact f ON f.seq = h.seq WHERE h.kind = $1 ORDER BY h.subject";
    r.rows(SQL, args![kind]).await?.iter().map(stored).collect()
}

const BENEATH: &str = "SELECT f.* FROM fact_head h JOIN fact f ON f.seq = h.seq \
     WHERE h.kind = $1 AND h.subject >= $2 AND h.subject < $3 ORDER BY h.subject";

/// The newest fact of this kind about each subject that begins with `name/`, by subject. Costs what
/// it finds, however many others there are.
pub async fn facts_latest_beneath(r: &mut (impl Read + ?Sized), kind: &str, name: &str) -> Result<Vec<StoredFact>> {
    // `0` is the character that follows upon `/`.
    let (from, to) = (format!("{name}/"), format!("{name}0"));
    r.rows(BENEATH, args![kind, from, to]).await?.iter().map(stored).collect()
}

const SUBJECTS: &str = "SELECT subject FROM fact_head WHERE kind = $1 AND subject > $2 ORDER BY subject LIMIT $3";

/// Subjects of facts of this kind behind a subject, in order.
pub async fn subjects_after(r: &mut (impl Read + ?Sized), kind: &str, after: &str, limit: u32) -> Result<Vec<String>> {
    r.rows(SUBJECTS, args![kind, after, limit]).await?.iter().map(|row| row.text("subject")).collect()
}

/// Facts after a place, oldest first, at most `limit`. No kinds means all kinds.
pub async fn facts_after(
    r: &mut (impl Read + ?Sized),
    after: FactSeq,
    kinds: &[&str],
    subject_prefix: Option<&str>,
    limit: u32,
) -> Result<Vec<StoredFact>> {
    let mut found = select(r, &AFTER, after, kinds, subject_prefix, limit).await?;
    found.sort_unstable_by_key(|fact| fact.seq);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Facts before a place (from the end when `None`), newest first, at most `limit`. No kinds means all kinds.
pub async fn facts_before(
    r: &mut (impl Read + ?Sized),
    before: Option<FactSeq>,
    kinds: &[&str],
    subject_prefix: Option<&str>,
    limit: u32,
) -> Result<Vec<StoredFact>> {
    let before = before.unwrap_or(FactSeq(i64::MAX));
    let mut found = select(r, &BEFORE, before, kinds, subject_prefix, limit).await?;
    found.sort_unstable_by_key(|fact| std::cmp::Reverse(fact.seq));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

const OF: &str = "SELECT * FROM fact WHERE kind = $1 AND subject = $2 AND seq < $3 ORDER BY seq DESC LIMIT $4";

/// Facts of one kind about exactly one subject before a place, newest first, at most `limit`. Costs what it
/// finds.
pub async fn facts_of(
    r: &mut (impl Read + ?Sized),
    before: FactSeq,
    kind: &str,
    subject: &str,
    limit: u32,
) -> Result<Vec<StoredFact>> {
    r.rows(OF, args![kind, subject, before, limit]).await?.iter().map(stored).collect()
}

/// The texts of one direction.
struct Texts {
    all: &'static str,
    kind: &'static str,
    prefix: &'static str,
    kind_prefix: &'static str,
}

// A prefix is looked up in an index that has all that is compared, so that what is ordered are numbers and not
// whole facts. `+seq` keeps SQLite from reading a kind in order of time instead, which looks at every fact of it.
const AFTER: Texts = Texts {
    all: "SELECT * FROM fact WHERE seq > $1 ORDER BY seq LIMIT $2",
    kind: "SELECT * FROM fact WHERE seq > $1 AND kind = $3 ORDER BY seq LIMIT $2",
    prefix: "SELECT * FROM fact WHERE seq IN (SELECT seq FROM fact \
             WHERE subject >= $3 AND subject < $4 AND +seq > $1 ORDER BY +seq LIMIT $2) ORDER BY seq",
    kind_prefix: "SELECT * FROM fact WHERE seq IN (SELECT seq FROM fact \
                  WHERE kind = $3 AND subject >= $4 AND subject < $5 AND +seq > $1 ORDER BY +seq LIMIT $2) ORDER BY seq",
};

const BEFORE: Texts = Texts {
    all: "SELECT * FROM fact WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
    kind: "SELECT * FROM fact WHERE seq < $1 AND kind = $3 ORDER BY seq DESC LIMIT $2",
    prefix: "SELECT * FROM fact WHERE seq IN (SELECT seq FROM fact \
             WHERE subject >= $3 AND subject < $4 AND +seq < $1 ORDER BY +seq DESC LIMIT $2) ORDER BY seq DESC",
    kind_prefix: "SELECT * FROM fact WHERE seq IN (SELECT seq FROM fact \
                  WHERE kind = $3 AND subject >= $4 AND subject < $5 AND +seq < $1 ORDER BY +seq DESC LIMIT $2) ORDER BY seq DESC",
};

/// When the newest fact was appended.
pub async fn last_recorded(r: &mut (impl Read + ?Sized)) -> Result<Option<Time>> {
    let row = r.row("SELECT at FROM fact ORDER BY seq DESC LIMIT 1", args![]).await?;
    row.map(|row| row.time("at")).transpose()
}

/// One question per kind, each answered in order from an index; the caller merges.
async fn select(
    r: &mut (impl Read + ?Sized),
    texts: &Texts,
    place: FactSeq,
    kinds: &[&str],
    prefix: Option<&str>,
    limit: u32,
) -> Result<Vec<StoredFact>> {
    if kinds.len() > KINDS_MAX {
        return Err(Problem::internal("too-many-kinds", format!("at most {KINDS_MAX} kinds can be asked for at once")));
    }
    // Texts are compared by bytes on both databases, and no text has a character above U+10FFFF.
    let range = prefix.filter(|p| !p.is_empty()).map(|p| (p, format!("{p}\u{10FFFF}")));
    let mut rows = Vec::new();
    match (&range, kinds) {
        (None, []) => rows = r.rows(texts.all, args![place, limit]).await?,
        (Some((from, to)), []) => rows = r.rows(texts.prefix, args![place, limit, *from, to]).await?,
        (None, kinds) => {
            for kind in kinds {
                rows.extend(r.rows(texts.kind, args![place, limit, *kind]).await?);
            }
        }
        (Some((from, to)), kinds) => {
            for kind in kinds {
                rows.extend(r.rows(texts.kind_prefix, args![place, limit, *kind, *from, to]).await?);
            }
        }
    }
    let mut facts = rows.iter().map(stored).collect::<Result<Vec<_>>>()?;
    // A kind that was named twice was answered twice.
    facts.sort_unstable_by_key(|fact| fact.seq);
    facts.dedup_by_key(|fact| fact.seq);
    Ok(facts)
}

pub(crate) fn stored(row: &Row) -> Result<StoredFact> {
    Ok(StoredFact {
        seq: FactSeq(row.int("seq")?),
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        generation: Generation(row.int("generation")?),
        actor: row.parse("actor")?,
        cause: row.opt_text("cause")?,
        at: row.time("at")?,
        body: row.json("body")?,
        hash: row.text("hash")?,
    })
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::{TestClock, TestRandom, options};

    /// Every question is answered from an index: none reads the whole log.
    #[tokio::test]
    async fn no_question_scans_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("plan.db").display());
        let store = crate::Store::open(options(&url, TestClock::at(1), TestRandom::seeded(1))).await.unwrap();
        let mut r = store.read().await.unwrap();
        let mut texts = vec![OF, LATEST, BENEATH, SUBJECTS];
        for t in [AFTER, BEFORE] {
            texts.extend([t.all, t.kind, t.prefix, t.kind_prefix]);
        }
        texts.extend(about::QUESTIONS);
        for sql in texts {
            let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into_boxed_str());
            let count = sql.matches('$').count();
            let rows = r.rows(explain, (0..count).map(|_| crate::Value::NullText).collect()).await.unwrap();
            let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
            assert!(
                plan.iter().all(|step| step.contains("USING INDEX")
                    || step.contains("USING COVERING INDEX")
                    || step.starts_with("LIST SUBQUERY")
                    || step.starts_with("USE TEMP")),
                "{sql}: {plan:?}"
            );
            assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{sql}: {plan:?}");
            // By the kind alone every fact of it would be looked at.
            let is_about_one = ["subject = ", "subject >= "].iter().any(|condition| sql.contains(condition));
            assert!(!is_about_one || plan.iter().any(|step| step.contains("subject")), "{sql}: {plan:?}");
        }
    }
}
