//! Who can do what, and why: the decision asked for every action and everybody.

use std::collections::{BTreeMap, BTreeSet};

use api::access::{AccessReport, GetAccess, GetTeamAccess, PersonRights, Right};
use api::{ACTIONS, Access, Action};
use base::{PersonName, Result, TeamName};
use kernel::{Answer, Call, Ctx, Identity, Role, Target};
use store::Read;

use super::teams::known;
use crate::decide::decide;
use crate::state;

/// With a service.
pub(crate) async fn of_service(ctx: Ctx, _: Call<GetAccess>) -> Result<Answer<AccessReport>> {
    report(&ctx, &mut ctx.read().await?, Access::Service).await
}

/// With what a team owns, and with the team.
pub(crate) async fn of_team(ctx: Ctx, call: Call<GetTeamAccess>) -> Result<Answer<AccessReport>> {
    // Whoever is an admin is let in to any name.
    let mut read = ctx.read().await?;
    known(&mut read, &call.path.team).await?;
    report(&ctx, &mut read, Access::Team).await
}

async fn report(ctx: &Ctx, read: &mut impl Read, access: fn(Action) -> Access) -> Result<Answer<AccessReport>> {
    let target = ctx.permit().target();
    let (Target::Service(_, team) | Target::Team(team)) = target else {
        return Err(base::Problem::internal("target-mismatch", "nobody owns this"));
    };
    let members = state::members(read, team).await?;
    let admins: BTreeSet<PersonName> = state::admins(read).await?.into_iter().map(|row| row.person).collect();
    let mine = ACTIONS.map(|action| right(ctx.permit().identity(), access(action), action, target));
    let names: BTreeSet<&PersonName> = members.keys().chain(&admins).collect();
    let people = names.into_iter().filter_map(|person| {
        let (role, admin) = (members.get(person).copied(), admins.contains(person));
        let identity = in_full(person, team, role, admin);
        let allowed = |action: &Action| decide(&identity, access(*action), target).is_ok();
        let actions: Vec<Action> = ACTIONS.into_iter().filter(allowed).collect();
        let rights = PersonRights { person: person.clone(), why: why(&identity, team), role, actions };
        (!rights.actions.is_empty()).then_some(rights)
    });
    Ok(AccessReport { team: team.clone(), mine: mine.into(), people: people.collect() }.into())
}

/// A person with a credential that limits nothing.
fn in_full(person: &PersonName, team: &TeamName, role: Option<Role>, admin: bool) -> Identity {
    let teams: BTreeMap<TeamName, Role> = role.map(|role| (team.clone(), role)).into_iter().collect();
    Identity {
        actor: base::Actor::Person(person.clone()),
        person: Some(person.clone()),
        admin,
        teams,
        scopes: ACTIONS.into_iter().collect(),
        services: BTreeSet::new(),
        token: None,
        until: None,
    }
}

fn right(identity: &Identity, access: Access, action: Action, target: &Target) -> Right {
    let team = match target {
        Target::Service(_, team) | Target::Team(team) => Some(team),
        _ => None,
    };
    match decide(identity, access, target) {
        Ok(()) => {
            let why = team.map(|team| why(identity, team)).unwrap_or_default();
            Right { action, allowed: true, why, hint: None }
        }
        Err(problem) => Right { action, allowed: false, why: problem.message, hint: problem.hint },
    }
}

fn why(identity: &Identity, team: &TeamName) -> String {
    let role = identity.teams.get(team).map(|role| format!("{} of team `{team}`", role.word()));
    match (identity.admin, role) {
        (true, Some(role)) => format!("platform admin, and {role}"),
        (true, None) => "platform admin".to_owned(),
        (false, Some(role)) => role,
        (false, None) => "nothing".to_owned(),
    }
}
