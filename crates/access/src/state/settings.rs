use base::{EnvironmentName, Result, ServiceName, SettingName};
use store::{Read, Row, Tx, args};

use crate::model::{Scope, SettingRow};

/// In the table an empty text stands for "every".
fn column(name: Option<&str>) -> String {
    name.unwrap_or_default().to_owned()
}

fn service_column(scope: &Scope) -> String {
    column(scope.service.as_ref().map(AsRef::as_ref))
}

fn environment_column(scope: &Scope) -> String {
    column(scope.environment.as_ref().map(AsRef::as_ref))
}

/// The newest version of every setting of every scope that applies to a service in an environment.
pub(crate) async fn newest_for(
    read: &mut impl Read,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<Vec<SettingRow>> {
    const SQL: &str = "SELECT service, environment, name, version, secret, removed, sealed, created, actor \
         FROM access_setting AS s WHERE service IN ('', $1) AND environment IN ('', $2) AND version = \
         (SELECT MAX(version) FROM access_setting AS n \
          WHERE n.service = s.service AND n.environment = s.environment AND n.name = s.name) ORDER BY name";
    read.rows(SQL, args![service, environment]).await?.iter().map(setting_row).collect()
}

/// The newest version of every setting that belongs to a service (or to the installation), in every environment.
pub(crate) async fn newest_of(read: &mut impl Read, service: Option<&ServiceName>) -> Result<Vec<SettingRow>> {
    const SQL: &str = "SELECT service, environment, name, version, secret, removed, sealed, created, actor \
         FROM access_setting AS s WHERE service = $1 AND version = \
         (SELECT MAX(version) FROM access_setting AS n \
          WHERE n.service = s.service AND n.environment = s.environment AND n.name = s.name) ORDER BY name, environment";
    let service = column(service.map(AsRef::as_ref));
    read.rows(SQL, args![service]).await?.iter().map(setting_row).collect()
}

/// All versions of one setting, newest first.
pub(crate) async fn versions(read: &mut impl Read, scope: &Scope, name: &SettingName) -> Result<Vec<SettingRow>> {
    const SQL: &str = "SELECT service, environment, name, version, secret, removed, sealed, created, actor \
         FROM access_setting WHERE service = $1 AND environment = $2 AND name = $3 ORDER BY version DESC LIMIT 500";
    let rows = read.rows(SQL, args![service_column(scope), environment_column(scope), name]).await?;
    rows.iter().map(setting_row).collect()
}

/// One version of one setting.
pub(crate) async fn version(
    read: &mut impl Read,
    scope: &Scope,
    name: &SettingName,
    version: i64,
) -> Result<Option<SettingRow>> {
    const SQL: &str = "SELECT service, environment, name, version, secret, removed, sealed, created, actor \
         FROM access_setting WHERE service = $1 AND environment = $2 AND name = $3 AND version = $4";
    let args = args![service_column(scope), environment_column(scope), name, version];
    read.row(SQL, args).await?.as_ref().map(setting_row).transpose()
}

pub(crate) async fn insert_setting(tx: &mut Tx, row: &SettingRow) -> Result<()> {
    const SQL: &str = "INSERT INTO access_setting \
         (service, environment, name, version, secret, removed, sealed, created, actor) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    tx.execute(
        SQL,
        args![
            service_column(&row.scope),
            environment_column(&row.scope),
            &row.name,
            row.version,
            row.secret,
            row.removed,
            &row.sealed,
            row.created,
            &row.actor
        ],
    )
    .await?;
    Ok(())
}

fn setting_row(row: &Row) -> Result<SettingRow> {
    let optional = |text: String| (!text.is_empty()).then_some(text);
    Ok(SettingRow {
        scope: Scope {
            service: optional(row.text("service")?).map(|s| s.parse()).transpose()?,
            environment: optional(row.text("environment")?).map(|e| e.parse()).transpose()?,
        },
        name: row.parse("name")?,
        version: row.int("version")?,
        secret: row.flag("secret")?,
        removed: row.flag("removed")?,
        sealed: row.text("sealed")?,
        created: row.time("created")?,
        actor: row.parse("actor")?,
    })
}
