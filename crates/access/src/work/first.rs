use std::collections::BTreeMap;
use std::time::Duration;

use base::{PersonName, Problem, Result, TeamName, Time};
use facts::{PersonChanged, TeamState};
use kernel::{Ctx, Role};
use store::Tx;

use crate::model::{CODE_PREFIX, fingerprint, new_secret};
use crate::state::{self, PersonRow, TeamRow};

/// A one-time code works this long.
const CODE_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The account of the first platform admin.
const FIRST_PERSON: &str = "admin";
/// The team that the first person owns, so that a first deploy needs no preparation.
const FIRST_TEAM: &str = "main";

/// A one-time code for whoever started the platform.
pub struct FirstSignIn {
    /// Whom it signs in.
    pub person: PersonName,
    /// The code; shown to the person who started the platform and nobody else.
    pub code: String,
    /// Until when it works.
    pub expires: Time,
}

/// Makes a one-time code for a platform admin; at the very first start also the first account and
/// its team. Who may start the platform may be its admin: both need the same files.
pub async fn first_sign_in(ctx: &Ctx) -> Result<FirstSignIn> {
    let mut tx = ctx.begin().await?;
    state::purge_codes(&mut tx, ctx.now()).await?;
    let admins = state::admins(&mut tx).await?;
    let person = match admins.into_iter().next() {
        Some(admin) => admin.person,
        None => first_person(ctx, &mut tx).await?,
    };
    let (code, expires) = new_code(ctx, &mut tx, &person).await?;
    tx.commit().await?;
    Ok(FirstSignIn { person, code, expires })
}

/// Makes a one-time code for a person.
pub(crate) async fn new_code(ctx: &Ctx, tx: &mut Tx, person: &PersonName) -> Result<(String, Time)> {
    let code = new_secret(CODE_PREFIX, &*ctx.platform().ports().random);
    let expires = ctx.now().plus(CODE_LIFETIME);
    state::insert_code(tx, &fingerprint(&code), person, expires).await?;
    Ok((code, expires))
}

async fn first_person(ctx: &Ctx, tx: &mut Tx) -> Result<PersonName> {
    let bad = |e: base::BadName| Problem::internal("first-names", e);
    let person: PersonName = FIRST_PERSON.parse().map_err(bad)?;
    let team: TeamName = FIRST_TEAM.parse().map_err(bad)?;
    let now = ctx.now();
    state::insert_person(tx, &PersonRow { person: person.clone(), admin: true, created: now }).await?;
    ctx.publish(tx, &PersonChanged { person: person.clone(), admin: true, removed: false }).await?;
    if state::team(tx, &team).await?.is_none() {
        state::insert_team(tx, &TeamRow { team: team.clone(), version: 1, created: now }).await?;
    }
    state::put_member(tx, &team, &person, Role::Owner).await?;
    let members = BTreeMap::from([(person.clone(), Role::Owner.word().to_owned())]);
    ctx.publish(tx, &TeamState { team, members, removed: false }).await?;
    Ok(person)
}
