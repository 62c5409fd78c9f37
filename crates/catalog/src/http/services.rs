use api::catalog::{ChangeService, CreateService, GetService, ListServices, RemoveService, RestoreService, Service};
use api::{Action, Page};
use base::{Problem, Result, ServiceName, TeamName};
use kernel::{Answer, Call, Ctx, Role};
use store::{Read, Tx};

use crate::model::ServiceRow;
use crate::{state, work};

/// Rows read at once while looking for those that are searched for.
const BATCH: u32 = 500;
/// Who is in more teams than this is asked about row by row instead of team by team.
const TEAMS_ASKED_MAX: usize = 20;
/// Longest description, characters.
const DESCRIPTION_CHARS_MAX: usize = 200;

/// Services that the caller may see.
pub(crate) async fn list(ctx: Ctx, call: Call<ListServices>) -> Result<Answer<Page<Service>>> {
    let query = call.query;
    let size = api::PageQuery { limit: query.limit, after: None }.size();
    let search = query.search.unwrap_or_default().to_lowercase();
    let mut after = query.after.unwrap_or_default();
    let mut read = ctx.read().await?;
    let mut items: Vec<ServiceRow> = Vec::new();
    let fits = usize::try_from(size).unwrap_or(usize::MAX);
    // Where nothing is left out, the first batch is the page and one more.
    let mut batch = size.saturating_add(1);
    loop {
        let rows = page(&mut read, &ctx, query.team.as_ref(), &after, batch).await?;
        let more = api::next_page(&rows, batch, |row| row.service.to_string());
        items.extend(rows.into_iter().filter(|row| shown(&ctx, row, &search, query.team.as_ref(), query.removed)));
        match more {
            Some(last) if items.len() <= fits => after = last,
            _ => break,
        }
        batch = BATCH;
    }
    let is_more = items.len() > fits;
    items.truncate(fits);
    let next = items.last().filter(|_| is_more).map(|row| row.service.to_string());
    Ok(Page { items: items.into_iter().map(ServiceRow::wire).collect(), next }.into())
}

/// Rows behind a name, in order: those of one team, those of the caller's teams, or all. What else
/// decides about seeing is the caller's.
async fn page(
    read: &mut impl Read,
    ctx: &Ctx,
    team: Option<&TeamName>,
    after: &str,
    limit: u32,
) -> Result<Vec<ServiceRow>> {
    let identity = ctx.permit().identity();
    let teams: Vec<&TeamName> = match team {
        Some(team) => vec![team],
        None if identity.admin || identity.teams.len() > TEAMS_ASKED_MAX => {
            return state::services(read, after, limit).await;
        }
        None => identity.teams.keys().collect(),
    };
    let mut rows = Vec::new();
    for team in teams {
        rows.extend(state::services_of(read, team, after, limit).await?);
    }
    rows.sort_by(|a, b| a.service.cmp(&b.service));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(rows)
}

fn shown(ctx: &Ctx, row: &ServiceRow, search: &str, team: Option<&TeamName>, removed: bool) -> bool {
    (removed || row.removed.is_none())
        && team.is_none_or(|team| *team == row.team)
        && (search.is_empty()
            || row.service.as_str().contains(search)
            || row.description.to_lowercase().contains(search))
        && ctx.may_see(&row.team, Some(&row.service))
}

/// One service.
pub(crate) async fn get(ctx: Ctx, call: Call<GetService>) -> Result<Answer<Service>> {
    let row = known(&mut ctx.read().await?, &call.path.service).await?;
    let version = row.version;
    Ok(Answer::from(row.wire()).at_version(version))
}

/// Makes a service.
pub(crate) async fn create(ctx: Ctx, call: Call<CreateService>) -> Result<Answer<Service>> {
    let row = ServiceRow {
        service: call.body.service,
        team: call.path.team,
        description: description(&call.body.description)?,
        version: 1,
        created: ctx.now(),
        removed: None,
    };
    let mut tx = ctx.begin().await?;
    if !work::team_exists(&mut tx, &row.team).await? {
        return Err(
            Problem::not_found("team-not-found", format!("there is no team `{}`", row.team)).hint("`orlop team list`")
        );
    }
    state::insert(&mut tx, &row).await?;
    finish(&ctx, tx, row).await
}

/// Changes the description, or hands the service over to another team of the caller.
pub(crate) async fn change(ctx: Ctx, call: Call<ChangeService>) -> Result<Answer<Service>> {
    let mut tx = ctx.begin().await?;
    let mut row = at_version(known(&mut tx, &call.path.service).await?, call.if_match)?;
    if let Some(text) = &call.body.description {
        row.description = description(text)?;
    }
    if let Some(team) = call.body.team {
        let identity = ctx.permit().identity();
        let owner = identity.admin || identity.teams.get(&team) == Some(&Role::Owner);
        if !owner || !identity.scopes.contains(&Action::Manage) || !work::team_exists(&mut tx, &team).await? {
            return Err(Problem::forbidden("not-your-team", format!("you are no owner of a team `{team}`"))
                .at("body.team")
                .hint("ask a platform admin to hand it over, or the other team to make you an owner"));
        }
        row.team = team;
    }
    save(&ctx, tx, row).await
}

/// Takes a service out of use. `deliver` ends what runs; everything else stays.
pub(crate) async fn remove(ctx: Ctx, call: Call<RemoveService>) -> Result<Answer<Service>> {
    let mut tx = ctx.begin().await?;
    let mut row = at_version(known(&mut tx, &call.path.service).await?, call.if_match)?;
    row.removed = row.removed.or(Some(ctx.now()));
    save(&ctx, tx, row).await
}

/// Brings a removed service back.
pub(crate) async fn restore(ctx: Ctx, call: Call<RestoreService>) -> Result<Answer<Service>> {
    let mut tx = ctx.begin().await?;
    let mut row = at_version(known(&mut tx, &call.path.service).await?, call.if_match)?;
    row.removed = None;
    save(&ctx, tx, row).await
}

fn at_version(row: ServiceRow, if_match: Option<i64>) -> Result<ServiceRow> {
    match if_match {
        Some(version) if version != row.version => {
            Err(Problem::stale("stale-version", format!("service `{}` was changed in the meantime", row.service))
                .hint("read it again and decide anew"))
        }
        _ => Ok(row),
    }
}

fn description(text: &str) -> Result<String> {
    if text.chars().count() > DESCRIPTION_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Problem::unprocessable(
            "bad-description",
            format!("a description is one line of at most {DESCRIPTION_CHARS_MAX} characters"),
        )
        .at("body.description"));
    }
    Ok(text.trim().to_owned())
}

async fn save(ctx: &Ctx, mut tx: Tx, mut row: ServiceRow) -> Result<Answer<Service>> {
    state::update(&mut tx, &row).await?;
    row.version = row.version.saturating_add(1);
    finish(ctx, tx, row).await
}

async fn finish(ctx: &Ctx, mut tx: Tx, row: ServiceRow) -> Result<Answer<Service>> {
    ctx.publish(&mut tx, &row.fact()).await?;
    let version = row.version;
    Ok(ctx.commit(tx, row.wire()).await?.at_version(version))
}

pub(crate) async fn known(read: &mut impl Read, service: &ServiceName) -> Result<ServiceRow> {
    state::service(read, service)
        .await?
        .ok_or_else(|| Problem::not_found("service-not-found", format!("there is no service `{service}`")))
}
