use std::collections::BTreeSet;

use api::ACTIONS;
use api::access::{IssueSignIn, IssuedToken, Me, SignIn, SignInLink, Whoami};
use base::{Actor, Problem, Result};
use facts::TokenChanged;
use kernel::{Answer, Call, Ctx};

use super::sessions::{self, Of};
use super::tokens::{self, Wanted};
use crate::model::{CODE_PREFIX, fingerprint};
use crate::{state, work};

/// Tokens made by signing in work this long, seconds: 30 days.
const SIGNED_IN_FOR_S: u64 = 30 * 24 * 3600;
/// What such a token is called when the caller does not say.
const NAME_DEFAULT: &str = "signed in";

/// The caller.
pub(crate) async fn whoami(ctx: Ctx, _: Call<Whoami>) -> Result<Answer<Me>> {
    let identity = ctx.permit().identity();
    let (Some(person), Some(id)) = (identity.person.clone(), identity.token) else {
        return Err(Problem::unauthenticated("no-credential", "this needs a token").hint("`orlop login`"));
    };
    let mut read = ctx.read().await?;
    let token =
        state::token(&mut read, id).await?.ok_or_else(|| Problem::internal("token-gone", "the token is gone"))?;
    let teams = identity.teams.iter().map(|(team, role)| (team.to_string(), *role)).collect();
    Ok(Me { person, admin: identity.admin, teams, token: token.wire() }.into())
}

/// Trades a one-time code for a token or a session. The code is used up in the transaction that makes it.
pub(crate) async fn sign_in(ctx: Ctx, call: Call<SignIn>) -> Result<Answer<IssuedToken>> {
    let bad = || {
        Problem::unauthenticated("bad-code", "this code is unknown, used up or expired")
            .hint("codes work once and for 15 minutes; `orlop up` or a platform admin makes a new one")
    };
    if !call.body.code.starts_with(CODE_PREFIX) {
        return Err(bad());
    }
    let mut tx = ctx.begin().await?;
    let person = state::use_code(&mut tx, &fingerprint(&call.body.code), ctx.now()).await?.ok_or_else(bad)?;
    let name = tokens::name(call.body.name.as_deref().unwrap_or(NAME_DEFAULT))?;
    let scopes = ACTIONS.into_iter().collect();
    let issued = if call.body.session {
        let of = Of { person: &person, scopes, services: BTreeSet::new(), parent: None };
        sessions::make(&ctx, &mut tx, of, name).await?
    } else {
        let lifetime = std::time::Duration::from_secs(SIGNED_IN_FOR_S);
        let wanted = Wanted { name, scopes, services: BTreeSet::new(), lifetime };
        tokens::make(&ctx, &mut tx, &person, wanted).await?
    };
    let fact = TokenChanged {
        token: issued.token.token,
        person: person.clone(),
        name: issued.token.name.clone(),
        expires: issued.token.expires,
        revoked: false,
    };
    tokens::publish(&ctx, &mut tx, &fact, Actor::Person(person)).await?;
    tx.commit().await?;
    Ok(issued.into())
}

/// Makes a one-time code for a person.
pub(crate) async fn issue(ctx: Ctx, call: Call<IssueSignIn>) -> Result<Answer<SignInLink>> {
    let mut tx = ctx.begin().await?;
    super::people::known(&mut tx, &call.path.person).await?;
    let (code, expires) = work::new_code(&ctx, &mut tx, &call.path.person).await?;
    ctx.commit_unkept(tx, SignInLink { code, expires }).await
}
