use std::collections::BTreeSet;

use api::access::TokenKind;
use base::{Digest, PersonName, Result, Time, TokenId};
use store::{Read, Row, Tx, args};

use crate::model::TokenRow;

pub(crate) async fn token_by_hash(read: &mut impl Read, hash: &Digest) -> Result<Option<TokenRow>> {
    const SQL: &str = "SELECT id, person, kind, parent, name, scopes, services, created, expires, revoked, used \
         FROM access_token WHERE hash = $1";
    read.row(SQL, args![hash]).await?.as_ref().map(token_row).transpose()
}

pub(crate) async fn token(read: &mut impl Read, id: TokenId) -> Result<Option<TokenRow>> {
    const SQL: &str = "SELECT id, person, kind, parent, name, scopes, services, created, expires, revoked, used \
         FROM access_token WHERE id = $1";
    read.row(SQL, args![id]).await?.as_ref().map(token_row).transpose()
}

/// The tokens, or sessions, of a person that were not revoked, newest first.
pub(crate) async fn tokens_of(
    read: &mut impl Read,
    person: &PersonName,
    kind: TokenKind,
    limit: u32,
) -> Result<Vec<TokenRow>> {
    const SQL: &str = "SELECT id, person, kind, parent, name, scopes, services, created, expires, revoked, used \
         FROM access_token WHERE person = $1 AND kind = $2 AND revoked IS NULL ORDER BY id DESC LIMIT $3";
    read.rows(SQL, args![person, kind_word(kind), limit]).await?.iter().map(token_row).collect()
}

/// Sessions that were made with a token and were not revoked.
pub(crate) async fn sessions_from(read: &mut impl Read, parent: TokenId, limit: u32) -> Result<Vec<TokenRow>> {
    const SQL: &str = "SELECT id, person, kind, parent, name, scopes, services, created, expires, revoked, used \
         FROM access_token WHERE parent = $1 AND revoked IS NULL ORDER BY id LIMIT $2";
    read.rows(SQL, args![parent, limit]).await?.iter().map(token_row).collect()
}

/// Forgets sessions of a person that ended before an instant; the log of facts keeps that they were.
pub(crate) async fn purge_sessions(tx: &mut Tx, person: &PersonName, before: Time) -> Result<()> {
    const SQL: &str = "DELETE FROM access_token WHERE person = $1 AND kind = 'session' AND expires < $2";
    tx.execute(SQL, args![person, before]).await?;
    Ok(())
}

fn token_row(row: &Row) -> Result<TokenRow> {
    Ok(TokenRow {
        id: row.parse("id")?,
        person: row.parse("person")?,
        kind: if row.text("kind")? == kind_word(TokenKind::Session) { TokenKind::Session } else { TokenKind::Token },
        parent: row.opt_parse("parent")?,
        name: row.text("name")?,
        scopes: row.json::<BTreeSet<_>>("scopes")?,
        services: row.json::<BTreeSet<_>>("services")?,
        created: row.time("created")?,
        expires: row.opt_time("expires")?,
        revoked: row.opt_time("revoked")?,
        used: row.opt_time("used")?,
    })
}

pub(crate) async fn insert_token(tx: &mut Tx, token: &TokenRow, hash: &Digest) -> Result<()> {
    const SQL: &str = "INSERT INTO access_token \
         (id, hash, person, kind, parent, name, scopes, services, created, expires, revoked, used) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL)";
    let json = |e| base::Problem::internal("token-not-json", e);
    let scopes = serde_json::to_string(&token.scopes).map_err(json)?;
    let services = serde_json::to_string(&token.services).map_err(json)?;
    let TokenRow { id, person, kind, parent, name, created, expires, .. } = token;
    let parent = parent.map(|id| id.to_string());
    let kind = kind_word(*kind);
    tx.execute(SQL, args![*id, hash, person, kind, parent, name, scopes, services, *created, *expires]).await?;
    Ok(())
}

const fn kind_word(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Token => "token",
        TokenKind::Session => "session",
    }
}

pub(crate) async fn revoke_token(tx: &mut Tx, id: TokenId, now: Time) -> Result<()> {
    tx.execute("UPDATE access_token SET revoked = $2 WHERE id = $1 AND revoked IS NULL", args![id, now]).await?;
    Ok(())
}

pub(crate) async fn note_use(tx: &mut Tx, id: TokenId, now: Time) -> Result<()> {
    tx.execute("UPDATE access_token SET used = $2 WHERE id = $1", args![id, now]).await?;
    Ok(())
}

pub(crate) async fn insert_code(tx: &mut Tx, hash: &Digest, person: &PersonName, expires: Time) -> Result<()> {
    const SQL: &str = "INSERT INTO access_code (hash, person, expires, used) VALUES ($1, $2, $3, NULL)";
    tx.execute(SQL, args![hash, person, expires]).await?;
    Ok(())
}

/// Uses a one-time code up. Gives the person once, to exactly one caller, while the code works.
pub(crate) async fn use_code(tx: &mut Tx, hash: &Digest, now: Time) -> Result<Option<PersonName>> {
    const SQL: &str =
        "UPDATE access_code SET used = $2 WHERE hash = $1 AND used IS NULL AND expires > $2 RETURNING person";
    tx.row(SQL, args![hash, now]).await?.map(|row| row.parse("person")).transpose()
}

/// Forgets codes that no longer work.
pub(crate) async fn purge_codes(tx: &mut Tx, now: Time) -> Result<()> {
    tx.execute("DELETE FROM access_code WHERE expires <= $1 OR used IS NOT NULL", args![now]).await?;
    Ok(())
}
