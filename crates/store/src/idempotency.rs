use base::{Problem, Result, Time};

use crate::args;
use crate::read::Read;
use crate::store::Store;
use crate::tx::Tx;

/// An answer to remember, in the transaction that made it true.
#[derive(Clone)]
pub struct Answer {
    /// Who asked.
    pub actor: String,
    /// Which endpoint.
    pub endpoint: String,
    /// The caller's key.
    pub key: String,
    /// Digest of the request, to tell a repetition from another request under the same key.
    pub request_digest: String,
    /// HTTP status.
    pub status: u16,
    /// Response body. No secrets: it is kept as it is.
    pub body: String,
}

/// A remembered answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Digest of the request that was answered.
    pub request_digest: String,
    /// HTTP status.
    pub status: u16,
    /// Response body.
    pub body: String,
    /// When it was answered.
    pub at: Time,
}

/// The answer that was given to this actor at this endpoint under this key.
pub async fn idempotency_find(
    r: &mut (impl Read + ?Sized),
    actor: &str,
    endpoint: &str,
    key: &str,
) -> Result<Option<Stored>> {
    const SQL: &str = "SELECT request_digest, status, body, at FROM idempotency \
         WHERE actor = $1 AND endpoint = $2 AND request_key = $3";
    let row = r.row(SQL, args![actor, endpoint, key]).await?;
    row.map(|row| {
        Ok(Stored {
            request_digest: row.text("request_digest")?,
            status: row.number("status")?,
            body: row.text("body")?,
            at: row.time("at")?,
        })
    })
    .transpose()
}

impl Tx {
    /// Remembers an answer. `idempotency-in-flight` when another request under the same key was
    /// quicker: nothing of this transaction may be committed then.
    pub async fn idempotency_put(&mut self, answer: Answer) -> Result<()> {
        const SQL: &str = "INSERT INTO idempotency (actor, endpoint, request_key, request_digest, status, body, at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (actor, endpoint, request_key) DO NOTHING";
        let Answer { actor, endpoint, key, request_digest, status, body } = answer;
        let at = self.inner.clock.now();
        let done = self.execute(SQL, args![actor, endpoint, key, request_digest, status, body, at]).await?;
        if done == 1 {
            return Ok(());
        }
        self.give_up();
        Err(Problem::conflict("idempotency-in-flight", "a request with the same idempotency key was just carried out")
            .hint("repeat the request with the same key to get its answer")
            .retry_after(1))
    }
}

impl Store {
    /// Forgets answers older than this, at most `limit`; says how many.
    pub async fn purge_idempotency(&self, before: Time, limit: u32) -> Result<u64> {
        const SQL: &str = "DELETE FROM idempotency WHERE (actor, endpoint, request_key) IN \
             (SELECT actor, endpoint, request_key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2)";
        let mut tx = self.begin_beside().await?;
        let done = tx.execute(SQL, args![before, limit]).await?;
        tx.commit().await?;
        Ok(done)
    }
}
