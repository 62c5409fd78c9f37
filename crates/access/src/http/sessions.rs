//! Sessions of the portal: tokens that a browser holds, with a shorter life.

use std::collections::BTreeSet;
use std::time::Duration;

use api::Action;
use api::access::{IssuedToken, StartSession, TokenKind};
use base::{PersonName, Result, ServiceName, TokenId};
use facts::TokenChanged;
use kernel::{Answer, Call, Ctx};
use store::Tx;

use super::tokens;
use crate::model::{SESSION_LIFETIME, SESSION_PREFIX, TokenRow};
use crate::state;

/// Most sessions of a person at once; who signs in once more ends the oldest.
const SESSIONS_MAX: usize = 50;
/// Most rows read of a person's sessions.
const ROWS_MAX: u32 = 200;
/// Sessions that ended are forgotten after this long.
const ENDED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Whose session, and the most that it may do.
pub(crate) struct Of<'a> {
    pub person: &'a PersonName,
    pub scopes: BTreeSet<Action>,
    pub services: BTreeSet<ServiceName>,
    /// The token that it is made with.
    pub parent: Option<TokenRow>,
}

/// Starts a session that can do no more than the caller's own credential.
pub(crate) async fn start(ctx: Ctx, call: Call<StartSession>) -> Result<Answer<IssuedToken>> {
    let identity = ctx.permit().identity().clone();
    let person = tokens::me(&ctx)?.clone();
    let mut tx = ctx.begin().await?;
    let parent = match identity.token {
        Some(id) => state::token(&mut tx, id).await?,
        None => None,
    };
    let of = Of { person: &person, scopes: identity.scopes, services: identity.services, parent };
    let issued = make(&ctx, &mut tx, of, tokens::name(&call.body.name)?).await?;
    let token = &issued.token;
    let (name, expires) = (token.name.clone(), token.expires);
    let fact = TokenChanged { token: token.token, person, name, expires, revoked: false };
    ctx.publish(&mut tx, &fact).await?;
    ctx.commit_unkept(tx, issued).await
}

/// Makes a session. It ends no later than the token that it is made with.
pub(super) async fn make(ctx: &Ctx, tx: &mut Tx, of: Of<'_>, name: String) -> Result<IssuedToken> {
    let now = ctx.now();
    state::purge_sessions(tx, of.person, now.minus(ENDED_KEPT)).await?;
    let sessions = state::tokens_of(tx, of.person, TokenKind::Session, ROWS_MAX).await?;
    for row in sessions.into_iter().filter(|row| row.is_good(now)).skip(SESSIONS_MAX.saturating_sub(1)) {
        tokens::end(ctx, tx, row).await?;
    }
    let latest = now.plus(SESSION_LIFETIME);
    let expires = of.parent.as_ref().and_then(|parent| parent.expires).map_or(latest, |at| at.min(latest));
    let row = TokenRow {
        id: ctx.new_id(TokenId::new),
        person: of.person.clone(),
        kind: TokenKind::Session,
        parent: of.parent.map(|parent| parent.id),
        name,
        scopes: of.scopes,
        services: of.services,
        created: now,
        expires: Some(expires),
        revoked: None,
        used: None,
    };
    tokens::insert(ctx, tx, row, SESSION_PREFIX).await
}
