//! What somebody looks for often, under a name. Only they see it: the log of facts says that a view was kept or
//! forgotten, as it does of every change, and not what it looks for.

use api::access::{ListViews, RemoveView, SaveView, View};
use api::catalog::StatusQuery;
use api::{Nothing, Page};
use base::{Problem, Result};
use facts::ViewChanged;
use kernel::{Answer, Call, Ctx};

use super::tokens::me;
use crate::state;

/// Most views of a person.
const VIEWS_MAX: usize = 50;

pub(crate) async fn list(ctx: Ctx, call: Call<ListViews>) -> Result<Answer<Page<View>>> {
    let views = state::views_of(&mut ctx.read().await?, me(&ctx)?).await?;
    Ok(super::page::cut(views, &call.query, |view: &View| view.view.to_string(), String::gt)?.into())
}

pub(crate) async fn save(ctx: Ctx, call: Call<SaveView>) -> Result<Answer<View>> {
    let person = me(&ctx)?.clone();
    let query = StatusQuery { limit: None, after: None, ..call.body };
    if let Some(field) = query.too_long() {
        let message = format!("a view looks for {} characters at most", StatusQuery::TEXT_CHARS_MAX);
        return Err(Problem::unprocessable("bad-view", message).at(format!("body.{field}")));
    }
    let view = View { view: call.path.view, query, saved: ctx.now() };
    let mut tx = ctx.begin().await?;
    let others = state::views_of(&mut tx, &person).await?;
    if others.len() >= VIEWS_MAX && !others.iter().any(|other| other.view == view.view) {
        return Err(Problem::too_many("too-many-views", format!("you have {VIEWS_MAX} views"))
            .hint("forget one that you do not use: `orlop view list`, `orlop view remove NAME`"));
    }
    let text = serde_json::to_string(&view.query).map_err(|e| Problem::internal("view-unwritable", e))?;
    state::put_view(&mut tx, &person, &view, &text).await?;
    ctx.publish(&mut tx, &ViewChanged { person, view: view.view.clone(), removed: false }).await?;
    ctx.commit(tx, view).await
}

pub(crate) async fn remove(ctx: Ctx, call: Call<RemoveView>) -> Result<Answer<Nothing>> {
    let person = me(&ctx)?.clone();
    let mut tx = ctx.begin().await?;
    let views = state::views_of(&mut tx, &person).await?;
    if !views.iter().any(|one| one.view == call.path.view) {
        return Err(Problem::not_found("view-not-found", format!("you have no view `{}`", call.path.view))
            .hint("`orlop view list` shows yours"));
    }
    state::remove_view(&mut tx, &person, &call.path.view).await?;
    ctx.publish(&mut tx, &ViewChanged { person, view: call.path.view, removed: true }).await?;
    ctx.commit(tx, Nothing {}).await
}
