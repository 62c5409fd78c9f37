use api::access::{
    CompareSettings, ListPlatformSettings, ListSettingVersions, ListSettings, RemoveSetting, RestoreSetting,
    SetPlatformSetting, SetSetting, Setting, SettingComparison, SettingValue,
};
use api::{Nothing, Page};
use base::limits::SETTINGS_MAX;
use base::{Problem, Result, SettingName};
use facts::SettingChanged;
use kernel::{Answer, Call, Ctx, Endpoints};
use store::Tx;

use super::with_vault;
use crate::model::{Scope, SettingRow};
use crate::{SettingVault, decide, state};

pub(super) fn endpoints(endpoints: Endpoints, vault: &SettingVault) -> Endpoints {
    endpoints
        .on::<ListSettings, _, _>(with_vault!(vault, list))
        .on::<SetSetting, _, _>(with_vault!(vault, set))
        .on::<RestoreSetting, _, _>(with_vault!(vault, restore))
        .on::<RemoveSetting, _, _>(with_vault!(vault, remove))
        .on::<ListSettingVersions, _, _>(with_vault!(vault, versions))
        .on::<CompareSettings, _, _>(with_vault!(vault, compare))
        .on::<ListPlatformSettings, _, _>(with_vault!(vault, list_platform))
        .on::<SetPlatformSetting, _, _>(with_vault!(vault, set_platform))
}

async fn list(ctx: Ctx, call: Call<ListSettings>, vault: &SettingVault) -> Result<Answer<Page<Setting>>> {
    let mut read = ctx.read().await?;
    let mut rows = state::newest_of(&mut read, Some(&call.path.service)).await?;
    if let Some(wanted) = &call.query.environment {
        rows.retain(|row| row.scope.environment.as_ref().is_none_or(|e| e == wanted));
    }
    page(rows.into_iter().filter(|row| !row.removed), vault)
}

async fn list_platform(
    ctx: Ctx,
    call: Call<ListPlatformSettings>,
    vault: &SettingVault,
) -> Result<Answer<Page<Setting>>> {
    let rows = state::newest_of(&mut ctx.read().await?, None).await?;
    let rows = rows.into_iter().filter(|row| !row.removed).collect();
    let Page { items, next } =
        super::page::cut(rows, &call.query, |row: &SettingRow| row.name.to_string(), String::gt)?;
    let items = items.into_iter().map(|row| wire(row, vault)).collect::<Result<_>>()?;
    Ok(Page { items, next }.into())
}

async fn versions(ctx: Ctx, call: Call<ListSettingVersions>, vault: &SettingVault) -> Result<Answer<Page<Setting>>> {
    let scope = Scope { service: Some(call.path.service), environment: call.query.environment };
    page(state::versions(&mut ctx.read().await?, &scope, &call.path.name).await?.into_iter(), vault)
}

async fn compare(
    ctx: Ctx,
    call: Call<CompareSettings>,
    vault: &SettingVault,
) -> Result<Answer<Page<SettingComparison>>> {
    let (service, query) = (call.path.service, call.query);
    let mut read = ctx.read().await?;
    let from = decide::current(state::newest_for(&mut read, &service, &query.from).await?);
    let to = decide::current(state::newest_for(&mut read, &service, &query.to).await?);
    drop(read);
    let mut items = Vec::new();
    for (name, from, to) in decide::paired(from, to) {
        let (from, to) = (from.map(|row| side(row, vault)).transpose()?, to.map(|row| side(row, vault)).transpose()?);
        items.push(SettingComparison { name, verdict: decide::verdict(from.as_ref(), to.as_ref()), from, to });
    }
    Ok(Page::whole(items).into())
}

/// One side of a comparison. Values of the whole installation are its admins' to read, not a service's.
fn side(row: SettingRow, vault: &SettingVault) -> Result<Setting> {
    let shared = row.scope.service.is_none();
    let setting = wire(row, vault)?;
    Ok(if shared { Setting { value: None, ..setting } } else { setting })
}

async fn set(ctx: Ctx, call: Call<SetSetting>, vault: &SettingVault) -> Result<Answer<Setting>> {
    let scope = Scope { service: Some(call.path.service), environment: call.query.environment };
    put(ctx, scope, call.path.name, call.body, call.if_match, vault).await
}

async fn set_platform(ctx: Ctx, call: Call<SetPlatformSetting>, vault: &SettingVault) -> Result<Answer<Setting>> {
    let scope = Scope { service: None, environment: None };
    put(ctx, scope, call.path.name, call.body, call.if_match, vault).await
}

async fn put(
    ctx: Ctx,
    scope: Scope,
    name: SettingName,
    body: SettingValue,
    if_match: Option<i64>,
    vault: &SettingVault,
) -> Result<Answer<Setting>> {
    decide::value_allowed(&name, &body.value)?;
    let mut tx = ctx.begin().await?;
    let before = state::versions(&mut tx, &scope, &name).await?.into_iter().next();
    unchanged(before.as_ref(), if_match, &name)?;
    if before.is_none() && state::newest_of(&mut tx, scope.service.as_ref()).await?.len() >= SETTINGS_MAX {
        return Err(Problem::too_many("too-many-settings", format!("there are {SETTINGS_MAX} settings already")));
    }
    // Once a secret, always a secret: an old value must not become readable by accident.
    let secret = body.secret || before.as_ref().is_some_and(|row| row.secret && !row.removed);
    let row = write(&ctx, &mut tx, scope, name, before.as_ref(), secret, Some(&body.value), vault).await?;
    let setting = wire(row, vault)?;
    let version = setting.version;
    Ok(ctx.commit(tx, setting).await?.at_version(version))
}

/// Brings an earlier version back. The value goes from seal to seal: nobody sees it on the way.
async fn restore(ctx: Ctx, call: Call<RestoreSetting>, vault: &SettingVault) -> Result<Answer<Setting>> {
    let scope = Scope { service: Some(call.path.service), environment: call.query.environment };
    let (name, wanted) = (call.path.name, call.body.version);
    let mut tx = ctx.begin().await?;
    let versions = state::versions(&mut tx, &scope, &name).await?;
    let earlier = versions.iter().find(|row| row.version == wanted && !row.removed).ok_or_else(|| {
        Problem::not_found("version-not-found", format!("setting `{name}` has no version {wanted} with a value"))
            .hint(format!("GET /v1/services/SERVICE/settings/{name}/versions lists them"))
    })?;
    let before = versions.first();
    unchanged(before, call.if_match, &name)?;
    let value = vault.open_row(earlier)?;
    // What was secret once stays so, now and when it comes back.
    let secret = earlier.secret || before.is_some_and(|row| row.secret && !row.removed);
    let row = write(&ctx, &mut tx, scope, name, before, secret, Some(value.expose()), vault).await?;
    let setting = wire(row, vault)?;
    let version = setting.version;
    Ok(ctx.commit(tx, setting).await?.at_version(version))
}

async fn remove(ctx: Ctx, call: Call<RemoveSetting>, vault: &SettingVault) -> Result<Answer<Nothing>> {
    let scope = Scope { service: Some(call.path.service), environment: call.query.environment };
    let name = call.path.name;
    let mut tx = ctx.begin().await?;
    let before = state::versions(&mut tx, &scope, &name).await?.into_iter().next().filter(|row| !row.removed);
    let Some(before) = before else {
        return Err(Problem::not_found("setting-not-found", format!("there is no setting `{name}` here"))
            .hint("`orlop setting list` shows names and environments; `--env` chooses the environment"));
    };
    unchanged(Some(&before), call.if_match, &name)?;
    write(&ctx, &mut tx, scope, name, Some(&before), before.secret, None, vault).await?;
    ctx.commit(tx, Nothing {}).await
}

fn unchanged(before: Option<&SettingRow>, if_match: Option<i64>, name: &SettingName) -> Result<()> {
    match if_match {
        Some(version) if before.map_or(0, |row| row.version) != version => {
            Err(Problem::stale("stale-version", format!("setting `{name}` was changed in the meantime"))
                .hint("read it again and decide anew"))
        }
        _ => Ok(()),
    }
}

/// Writes the next version and says so; `value` is `None` to remove.
#[expect(clippy::too_many_arguments, reason = "one row, written in one place")]
async fn write(
    ctx: &Ctx,
    tx: &mut Tx,
    scope: Scope,
    name: SettingName,
    before: Option<&SettingRow>,
    secret: bool,
    value: Option<&str>,
    vault: &SettingVault,
) -> Result<SettingRow> {
    let version = before.map_or(1, |row| row.version.saturating_add(1));
    let row = SettingRow {
        sealed: vault.seal(value.unwrap_or_default(), &scope.label(&name, version))?,
        version,
        secret,
        removed: value.is_none(),
        created: ctx.now(),
        actor: ctx.actor().clone(),
        scope,
        name,
    };
    state::insert_setting(tx, &row).await?;
    let fact = SettingChanged {
        service: row.scope.service.clone(),
        environment: row.scope.environment.clone(),
        name: row.name.clone(),
        version,
        secret,
        removed: row.removed,
    };
    ctx.publish(tx, &fact).await?;
    Ok(row)
}

fn page(rows: impl Iterator<Item = SettingRow>, vault: &SettingVault) -> Result<Answer<Page<Setting>>> {
    Ok(Page::whole(rows.map(|row| wire(row, vault)).collect::<Result<_>>()?).into())
}

/// A setting as it is shown: a secret's value never is.
fn wire(row: SettingRow, vault: &SettingVault) -> Result<Setting> {
    let value = match row.secret || row.removed {
        true => None,
        false => Some(vault.open_row(&row)?.expose().clone()),
    };
    Ok(Setting {
        name: row.name,
        service: row.scope.service,
        environment: row.scope.environment,
        version: row.version,
        secret: row.secret,
        removed: row.removed,
        value,
        created: row.created,
        actor: row.actor,
    })
}
