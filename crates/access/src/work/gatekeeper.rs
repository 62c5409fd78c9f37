use std::time::Duration;

use api::Access;
use api::access::TokenKind;
use async_trait::async_trait;
use base::{Problem, Result, ServiceName, TeamName};
use kernel::{Authority, Credential, Identity, Platform, Target};

use crate::model::{SESSION_PREFIX, TOKEN_PREFIX, TokenRow, fingerprint};
use crate::{decide, state};

/// The time of last use is kept to this exactness, so that not every call writes.
const USED_EVERY: Duration = Duration::from_secs(60);

/// Knows credentials and decides. Nothing is remembered between calls: what is revoked is revoked
/// for the next call.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gatekeeper;

#[async_trait]
impl Authority for Gatekeeper {
    async fn identify(&self, platform: &Platform, credential: &Credential) -> Result<Identity> {
        let (secret, kind, attended) = match credential {
            Credential::None => return Ok(Identity::anonymous()),
            Credential::Token(secret) => (secret, TokenKind::Token, true),
            Credential::Session { secret, attended } => (secret, TokenKind::Session, *attended),
        };
        let prefix = match kind {
            TokenKind::Token => TOKEN_PREFIX,
            TokenKind::Session => SESSION_PREFIX,
        };
        if !secret.expose().starts_with(prefix) {
            return Err(bad_token());
        }
        let now = platform.ports().clock.now();
        let mut read = platform.store().read().await?;
        let token = state::token_by_hash(&mut read, &fingerprint(secret.expose())).await?.ok_or_else(bad_token)?;
        if !token.is_good(now) || token.kind != kind {
            return Err(bad_token());
        }
        let person = state::person(&mut read, &token.person).await?.ok_or_else(bad_token)?;
        let teams = state::teams_of(&mut read, &token.person).await?;
        drop(read);
        if attended {
            note_use(platform, &token).await;
        }
        Ok(Identity {
            actor: base::Actor::Person(token.person.clone()),
            until: token.until(),
            person: Some(token.person),
            admin: person.admin,
            teams,
            scopes: token.scopes,
            services: token.services,
            token: Some(token.id),
        })
    }

    fn decide(&self, identity: &Identity, access: Access, target: &Target) -> Result<()> {
        decide::decide(identity, access, target)
    }

    fn may_see(&self, identity: &Identity, team: &TeamName, service: Option<&ServiceName>) -> bool {
        decide::may_see(identity, team, service)
    }

    fn sees_all(&self, identity: &Identity) -> bool {
        decide::sees_all(identity)
    }
}

/// One answer for unknown, expired and revoked: who guesses learns nothing.
fn bad_token() -> Problem {
    Problem::unauthenticated("bad-token", "this token is unknown, expired or revoked")
        .hint("`orlop login` with a new one; on the platform's own machine `orlop up` prints a one-time code")
}

/// Notes the use, now and then. A database that cannot be written must not keep readers out.
async fn note_use(platform: &Platform, token: &TokenRow) {
    let now = platform.ports().clock.now();
    if token.used.is_some_and(|used| now.since(used) < USED_EVERY) {
        return;
    }
    let noted = async {
        let mut tx = platform.store().begin().await?;
        state::note_use(&mut tx, token.id, now).await?;
        tx.commit().await
    };
    let _ = noted.await;
}
