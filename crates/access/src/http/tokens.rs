use std::collections::BTreeSet;
use std::time::Duration;

use api::access::{IssueToken, IssuedToken, ListTokens, RevokeToken, Token, TokenKind};
use api::{Action, Nothing, Page};
use base::{Actor, PersonName, Problem, Result, ServiceName, TokenId};
use facts::{Fact, TokenChanged};
use kernel::{Answer, Call, Ctx};
use store::{NewFact, Tx};

use crate::model::{TOKEN_PREFIX, TokenRow, fingerprint, new_secret};
use crate::state;

/// A token works this long where nobody says otherwise.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);
/// The longest life of a token.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest name of a token, characters.
const NAME_CHARS_MAX: usize = 100;
/// Most tokens of a person.
const TOKENS_MAX: u32 = 200;

/// A token to make.
pub(crate) struct Wanted {
    pub name: String,
    pub scopes: BTreeSet<Action>,
    pub services: BTreeSet<ServiceName>,
    pub lifetime: Duration,
}

/// The caller's own tokens.
pub(crate) async fn list(ctx: Ctx, call: Call<ListTokens>) -> Result<Answer<Page<Token>>> {
    let mut read = ctx.read().await?;
    let mut rows = state::tokens_of(&mut read, me(&ctx)?, TokenKind::Token, TOKENS_MAX).await?;
    let sessions = state::tokens_of(&mut read, me(&ctx)?, TokenKind::Session, TOKENS_MAX).await?;
    rows.extend(sessions.into_iter().filter(|row| row.is_good(ctx.now())));
    let tokens = rows.into_iter().map(TokenRow::wire).collect();
    Ok(super::page::cut(tokens, &call.query, |token: &Token| token.token, TokenId::lt)?.into())
}

/// Issues a token that can do no more than the caller's own credential.
pub(crate) async fn issue(ctx: Ctx, call: Call<IssueToken>) -> Result<Answer<IssuedToken>> {
    let person = me(&ctx)?.clone();
    let wanted = within(&ctx, call.body)?;
    let mut tx = ctx.begin().await?;
    let others = state::tokens_of(&mut tx, &person, TokenKind::Token, TOKENS_MAX).await?;
    if others.len() >= usize::try_from(TOKENS_MAX).unwrap_or(usize::MAX) {
        return Err(Problem::too_many("too-many-tokens", format!("you have {TOKENS_MAX} tokens"))
            .hint("revoke those that are not used: `orlop token list`, `orlop token revoke ID`"));
    }
    let issued = make(&ctx, &mut tx, &person, wanted).await?;
    let fact = TokenChanged {
        token: issued.token.token,
        person,
        name: issued.token.name.clone(),
        expires: issued.token.expires,
        revoked: false,
    };
    ctx.publish(&mut tx, &fact).await?;
    ctx.commit_unkept(tx, issued).await
}

/// What is asked for, if the caller's own credential allows as much.
fn within(ctx: &Ctx, asked: api::access::NewToken) -> Result<Wanted> {
    let identity = ctx.permit().identity();
    let mut scopes: BTreeSet<Action> = asked.scopes.into_iter().collect();
    if scopes.is_empty() {
        scopes = [Action::Read, Action::Deploy].into_iter().filter(|s| identity.scopes.contains(s)).collect();
    }
    if !scopes.is_subset(&identity.scopes) {
        return Err(Problem::forbidden("scope", "a token cannot allow more than the one it is made with")
            .at("body.scopes")
            .hint("leave the scopes out that your own token does not have: `orlop whoami` shows them"));
    }
    let mut services: BTreeSet<ServiceName> = asked.services.into_iter().collect();
    if services.is_empty() {
        services.clone_from(&identity.services);
    }
    if !identity.services.is_empty() && !services.is_subset(&identity.services) {
        return Err(
            Problem::forbidden("token-services", "your own token is for some services only").at("body.services")
        );
    }
    let lifetime = asked.lifetime.map_or(LIFETIME_DEFAULT, |span| span.0);
    if lifetime.is_zero() || lifetime > LIFETIME_MAX {
        return Err(Problem::unprocessable("bad-lifetime", "a token lives at least a moment and at most 366 days")
            .at("body.lifetime")
            .hint("for example `90d`"));
    }
    Ok(Wanted { name: name(&asked.name)?, scopes, services, lifetime })
}

/// A name for a token: one line that people can read. Blanks around it count in its length, as the
/// document of the API has to say it, and are not kept.
pub(crate) fn name(text: &str) -> Result<String> {
    let kept = text.trim();
    if kept.is_empty() || text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Problem::unprocessable(
            "bad-token-name",
            format!("a token's name is one line of 1 to {NAME_CHARS_MAX} characters"),
        )
        .at("body.name")
        .hint("say what it is for: `orlop token create ci`"));
    }
    Ok(kept.to_owned())
}

/// Makes a token. Only its digest is kept.
pub(crate) async fn make(ctx: &Ctx, tx: &mut Tx, person: &PersonName, wanted: Wanted) -> Result<IssuedToken> {
    let now = ctx.now();
    let row = TokenRow {
        id: ctx.new_id(TokenId::new),
        person: person.clone(),
        kind: TokenKind::Token,
        parent: None,
        name: wanted.name,
        scopes: wanted.scopes,
        services: wanted.services,
        created: now,
        expires: Some(now.plus(wanted.lifetime)),
        revoked: None,
        used: None,
    };
    insert(ctx, tx, row, TOKEN_PREFIX).await
}

/// Keeps a new token or session under a new secret.
pub(super) async fn insert(ctx: &Ctx, tx: &mut Tx, row: TokenRow, prefix: &str) -> Result<IssuedToken> {
    let secret = new_secret(prefix, &*ctx.platform().ports().random);
    state::insert_token(tx, &row, &fingerprint(&secret)).await?;
    Ok(IssuedToken { secret, token: row.wire() })
}

/// Publishes a fact in the name of somebody who is only known in the course of the call.
pub(crate) async fn publish(ctx: &Ctx, tx: &mut Tx, fact: &TokenChanged, actor: Actor) -> Result<()> {
    let body = serde_json::to_value(fact).map_err(|e| Problem::internal("fact-not-json", e))?;
    tx.append(NewFact {
        kind: TokenChanged::KIND.to_owned(),
        subject: fact.subject(),
        generation: base::Generation(1),
        actor,
        cause: ctx.request().map(|r| r.id.clone()),
        body,
    })
    .await?;
    Ok(())
}

/// Revokes a token at once, and the sessions that were made with it.
pub(crate) async fn revoke(ctx: Ctx, call: Call<RevokeToken>) -> Result<Answer<Nothing>> {
    let identity = ctx.permit().identity().clone();
    let mut tx = ctx.begin().await?;
    let mine = |row: &TokenRow| identity.person.as_ref() == Some(&row.person);
    let admin = identity.admin && identity.scopes.contains(&Action::Admin) && identity.services.is_empty();
    let row = state::token(&mut tx, call.path.token)
        .await?
        .filter(|row| admin || mine(row))
        .ok_or_else(|| Problem::not_found("token-not-found", "you have no such token").hint("`orlop token list`"))?;
    for session in state::sessions_from(&mut tx, row.id, TOKENS_MAX).await? {
        end(&ctx, &mut tx, session).await?;
    }
    end(&ctx, &mut tx, row).await?;
    ctx.commit(tx, Nothing {}).await
}

/// Revokes one token or session.
pub(super) async fn end(ctx: &Ctx, tx: &mut Tx, row: TokenRow) -> Result<()> {
    state::revoke_token(tx, row.id, ctx.now()).await?;
    let fact = TokenChanged { token: row.id, person: row.person, name: row.name, expires: row.expires, revoked: true };
    ctx.publish(tx, &fact).await?;
    Ok(())
}

pub(super) fn me(ctx: &Ctx) -> Result<&PersonName> {
    let person = ctx.permit().identity().person.as_ref();
    person.ok_or_else(|| Problem::unauthenticated("no-credential", "this needs a token").hint("`orlop login`"))
}

#[cfg(test)]
mod tests {
    use super::{NAME_CHARS_MAX, name};

    #[test]
    fn a_name_is_one_line_with_something_on_it() {
        for (text, kept) in [("ci", "ci"), ("\u{a0}Büro 東京 \u{a0}", "Büro 東京"), ("-", "-")] {
            assert_eq!(name(text).unwrap(), kept, "{text:?}");
        }
        let (longest, longer) = ("é".repeat(NAME_CHARS_MAX), format!("{} ", "é".repeat(NAME_CHARS_MAX)));
        assert_eq!(name(&longest).unwrap(), longest);
        for text in ["", " ", "\u{3000}\u{2028}", "a\nb", "a\n", "\u{9b}31m", &longer] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
