use api::access::{CreatePerson, ListPeople, Person, RemovePerson};
use api::{Nothing, Page};
use base::{PersonName, Problem, Result};
use facts::PersonChanged;
use kernel::{Answer, Call, Ctx};
use store::Read;

use crate::state::{self, PersonRow};

/// All accounts.
pub(crate) async fn list(ctx: Ctx, call: Call<ListPeople>) -> Result<Answer<Page<Person>>> {
    let mut read = ctx.read().await?;
    let size = call.query.size();
    let rows = state::people(&mut read, call.query.after.as_deref().unwrap_or_default(), size).await?;
    let next = api::next_page(&rows, size, |row| row.person.to_string());
    let mut items = Vec::new();
    for row in rows {
        items.push(wire(&mut read, row).await?);
    }
    Ok(Page { items, next }.into())
}

/// Makes an account. It can do nothing until its person signs in with a one-time code.
pub(crate) async fn create(ctx: Ctx, call: Call<CreatePerson>) -> Result<Answer<Person>> {
    let row = PersonRow { person: call.body.person, admin: call.body.admin, created: ctx.now() };
    let mut tx = ctx.begin().await?;
    state::insert_person(&mut tx, &row).await?;
    let fact = PersonChanged { person: row.person.clone(), admin: row.admin, removed: false };
    ctx.publish(&mut tx, &fact).await?;
    let person = wire(&mut tx, row).await?;
    ctx.commit(tx, person).await
}

/// Removes an account; its tokens stop working with the commit.
pub(crate) async fn remove(ctx: Ctx, call: Call<RemovePerson>) -> Result<Answer<Nothing>> {
    let mut tx = ctx.begin().await?;
    let row = known(&mut tx, &call.path.person).await?;
    let admins = state::admins(&mut tx).await?;
    if row.admin && admins.iter().all(|admin| admin.person == row.person) {
        return Err(Problem::conflict("last-admin", format!("`{}` is the only platform admin", row.person))
            .hint("make another one first: `orlop person create NAME --admin`"));
    }
    state::remove_person(&mut tx, &row.person, ctx.now()).await?;
    ctx.publish(&mut tx, &PersonChanged { person: row.person, admin: row.admin, removed: true }).await?;
    ctx.commit(tx, Nothing {}).await
}

/// The account, or a problem that says that there is none.
pub(crate) async fn known(read: &mut impl Read, person: &PersonName) -> Result<PersonRow> {
    state::person(read, person).await?.ok_or_else(|| {
        Problem::not_found("person-not-found", format!("there is no person `{person}`"))
            .hint(format!("a platform admin can make the account: `orlop person create {person}`"))
    })
}

async fn wire(read: &mut impl Read, row: PersonRow) -> Result<Person> {
    let teams = state::teams_of(read, &row.person).await?;
    let teams = teams.into_iter().map(|(team, role)| (team.to_string(), role)).collect();
    Ok(Person { person: row.person, admin: row.admin, created: row.created, teams })
}
