use std::collections::BTreeMap;

use api::access::{CreateTeam, GetTeam, ListTeams, RemoveMember, RemoveTeam, SetMember, Team};
use api::{Nothing, Page};
use base::{PersonName, Problem, Result, TeamName};
use facts::{ServiceState, TeamState};
use kernel::{Answer, Call, Ctx, Role};
use store::{Read, Tx};

use crate::state::{self, TeamRow};

/// Teams looked through at once.
const BATCH: u32 = 500;

/// Teams that the caller may see. Pages are cut among these: a mark would name a hidden one else.
pub(crate) async fn list(ctx: Ctx, call: Call<ListTeams>) -> Result<Answer<Page<Team>>> {
    let mut read = ctx.read().await?;
    let size = usize::try_from(call.query.size()).unwrap_or(usize::MAX);
    let mut after = call.query.after.unwrap_or_default();
    let mut seen = Vec::new();
    while seen.len() <= size {
        let rows = state::teams(&mut read, &after, BATCH).await?;
        let Some(last) = rows.last() else { break };
        after = last.team.to_string();
        seen.extend(rows.into_iter().filter(|row| ctx.may_see(&row.team, None)));
    }
    let more = seen.len() > size;
    seen.truncate(size);
    let next = seen.last().filter(|_| more).map(|row| row.team.to_string());
    let mut items = Vec::new();
    for row in seen {
        items.push(wire(&mut read, row).await?);
    }
    Ok(Page { items, next }.into())
}

/// One team.
pub(crate) async fn get(ctx: Ctx, call: Call<GetTeam>) -> Result<Answer<Team>> {
    let mut read = ctx.read().await?;
    let team = known(&mut read, &call.path.team).await?;
    versioned(wire(&mut read, team).await?)
}

/// Makes a team that the caller owns.
pub(crate) async fn create(ctx: Ctx, call: Call<CreateTeam>) -> Result<Answer<Team>> {
    let row = TeamRow { team: call.body.team, version: 1, created: ctx.now() };
    let mut tx = ctx.begin().await?;
    state::insert_team(&mut tx, &row).await?;
    if let Some(person) = &ctx.permit().identity().person {
        state::put_member(&mut tx, &row.team, person, Role::Owner).await?;
    }
    finish(&ctx, tx, &row.team).await
}

/// Removes a team that owns nothing.
pub(crate) async fn remove(ctx: Ctx, call: Call<RemoveTeam>) -> Result<Answer<Nothing>> {
    let mut tx = ctx.begin().await?;
    let team = known(&mut tx, &call.path.team).await?.team;
    let services = kernel::all_latest::<ServiceState>(&mut tx).await?;
    if let Some((service, _)) = services.iter().find(|(s, _)| s.team == team && !s.removed) {
        let name = &service.service;
        return Err(Problem::conflict("team-owns-services", format!("team `{team}` owns service `{name}`"))
            .hint(format!("hand it over first: `orlop service change {name} --team OTHER`")));
    }
    state::remove_team(&mut tx, &team, ctx.now()).await?;
    ctx.publish(&mut tx, &TeamState { team, members: BTreeMap::new(), removed: true }).await?;
    ctx.commit(tx, Nothing {}).await
}

/// Gives a person a role.
pub(crate) async fn set_member(ctx: Ctx, call: Call<SetMember>) -> Result<Answer<Team>> {
    let mut tx = ctx.begin().await?;
    let team = known(&mut tx, &call.path.team).await?.team;
    super::people::known(&mut tx, &call.path.person).await?;
    if call.body.role != Role::Owner {
        keep_an_owner(&mut tx, &team, &call.path.person).await?;
    }
    state::bump_team(&mut tx, &team, call.if_match).await?;
    state::put_member(&mut tx, &team, &call.path.person, call.body.role).await?;
    finish(&ctx, tx, &team).await
}

/// Takes a person out.
pub(crate) async fn remove_member(ctx: Ctx, call: Call<RemoveMember>) -> Result<Answer<Team>> {
    let mut tx = ctx.begin().await?;
    let team = known(&mut tx, &call.path.team).await?.team;
    keep_an_owner(&mut tx, &team, &call.path.person).await?;
    if state::remove_member(&mut tx, &team, &call.path.person).await? == 0 {
        return Err(Problem::not_found("member-not-found", format!("`{}` is not in team `{team}`", call.path.person)));
    }
    state::bump_team(&mut tx, &team, call.if_match).await?;
    finish(&ctx, tx, &team).await
}

/// A team without an owner could not be helped by its own people.
async fn keep_an_owner(tx: &mut Tx, team: &TeamName, leaving: &PersonName) -> Result<()> {
    let members = state::members(tx, team).await?;
    let is_owner = members.get(leaving) == Some(&Role::Owner);
    let others = members.iter().any(|(person, role)| person != leaving && *role == Role::Owner);
    if is_owner && !others {
        return Err(Problem::conflict("last-owner", format!("`{leaving}` is the only owner of team `{team}`"))
            .hint(format!("make somebody else an owner first: `orlop team member set {team} PERSON --role owner`")));
    }
    Ok(())
}

async fn finish(ctx: &Ctx, mut tx: Tx, team: &TeamName) -> Result<Answer<Team>> {
    let row = known(&mut tx, team).await?;
    let members = state::members(&mut tx, team).await?;
    let words = members.iter().map(|(p, r)| (p.clone(), r.word().to_owned())).collect();
    ctx.publish(&mut tx, &TeamState { team: team.clone(), members: words, removed: false }).await?;
    let team = wire(&mut tx, row).await?;
    let version = team.version;
    Ok(ctx.commit(tx, team).await?.at_version(version))
}

async fn wire(read: &mut impl Read, row: TeamRow) -> Result<Team> {
    let members = state::members(read, &row.team).await?;
    let members = members.into_iter().map(|(person, role)| (person.to_string(), role)).collect();
    Ok(Team { team: row.team, members, created: row.created, version: row.version })
}

fn versioned(team: Team) -> Result<Answer<Team>> {
    let version = team.version;
    Ok(Answer::from(team).at_version(version))
}

pub(super) async fn known(read: &mut impl Read, team: &TeamName) -> Result<TeamRow> {
    state::team(read, team).await?.ok_or_else(|| {
        Problem::not_found("team-not-found", format!("there is no team `{team}`")).hint("`orlop team list` shows all")
    })
}
