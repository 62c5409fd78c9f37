use api::access::View;
use base::{PersonName, Result, ViewName};
use store::{Read, Tx, args};

/// The views of a person, by name.
pub(crate) async fn views_of(read: &mut impl Read, person: &PersonName) -> Result<Vec<View>> {
    const SQL: &str = "SELECT name, query, saved FROM access_view WHERE person = $1 ORDER BY name";
    let rows = read.rows(SQL, args![person]).await?;
    let view =
        |row: &store::Row| Ok(View { view: row.parse("name")?, query: row.json("query")?, saved: row.time("saved")? });
    rows.iter().map(view).collect()
}

pub(crate) async fn put_view(tx: &mut Tx, person: &PersonName, view: &View, query: &str) -> Result<()> {
    const SQL: &str = "INSERT INTO access_view (person, name, query, saved) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (person, name) DO UPDATE SET query = excluded.query, saved = excluded.saved";
    tx.execute(SQL, args![person, &view.view, query, view.saved]).await?;
    Ok(())
}

pub(crate) async fn remove_view(tx: &mut Tx, person: &PersonName, view: &ViewName) -> Result<()> {
    tx.execute("DELETE FROM access_view WHERE person = $1 AND name = $2", args![person, view]).await?;
    Ok(())
}
