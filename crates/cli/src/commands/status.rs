use api::access::{ListViews, ServicePath};
use api::catalog::{EnvironmentStatus, GetStatus, ListStatus, ServiceStatus, StatusQuery};
use api::{Nothing, PageQuery};
use base::{Problem, Result, Time, ViewName};

use crate::Exit;
use crate::args::{Filter, Paging, WhichFirst};
use crate::context::Ctx;
use crate::output::{Paint, Table, Tone};
use crate::text::{ago, clean, until, word};

/// Show how services are, why, and since when
///
/// Without a service: every one that you may see. Nothing is healthy that was not observed to be.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop status
  orlop status --team payments --health down --sort change
  orlop status shop
  orlop status shop --json")]
pub struct Args {
    /// The service; default: all
    #[arg(value_name = "SERVICE")]
    service: Option<base::ServiceName>,
    #[command(flatten)]
    filter: Filter,
    /// What you kept under this name
    #[arg(long, value_name = "VIEW", conflicts_with_all = ["service", "team", "health", "kind", "crash_loop", "search", "sort"])]
    view: Option<ViewName>,
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        match self.service {
            Some(service) => one(ctx, WhichFirst { service: Some(service) }).await,
            None => {
                let query = match self.view {
                    Some(view) => kept(ctx, &view).await?,
                    None => self.filter.query(),
                };
                all(ctx, query, self.paging.into()).await
            }
        }
    }
}

async fn one(ctx: &Ctx<'_>, which: WhichFirst) -> Result<Exit> {
    let path = ServicePath { service: ctx.service(which.service)? };
    let status = ctx.client().await?.get::<GetStatus>(&path).await?;
    ctx.out.reply(&status, |paint| {
        let parts: Vec<_> = status.environments.iter().map(|e| detail(&status, e, ctx.host.now(), *paint)).collect();
        if parts.is_empty() {
            format!("{} was never deployed: orlop deploy", status.service)
        } else {
            parts.join("\n\n")
        }
    })?;
    Ok(Exit::Done)
}

/// One environment with all that is known of it.
fn detail(status: &ServiceStatus, env: &EnvironmentStatus, now: Time, paint: Paint) -> String {
    let health = paint.tone(env.health.into(), &word(&env.health));
    let since = env.since.map_or_else(String::new, |at| format!(" since {}", ago(at, now)));
    let mut text =
        format!("{} in {}  {health}{since}\n", paint.tone(Tone::Strong, status.service.as_str()), env.environment);
    let mut part = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {} {}\n", paint.tone(Tone::Quiet, &format!("{name:<9}")), clean(value)));
        }
    };
    part("why", &env.reason);
    env.evidence.iter().for_each(|line| part("seen", line));
    let by = env.deadline.map_or_else(String::new, |at| format!(", {} at the latest", until(at, now)));
    part("next", &env.next.as_ref().map_or_else(String::new, |next| format!("{next}{by}")));
    part("release", &env.release.map_or_else(String::new, |n| n.to_string()));
    part("instances", &format!("{} of {} ready", env.ready, env.wanted));
    part("rollout", &env.rollout.map_or_else(String::new, |id| id.to_string()));
    part("url", env.url.as_deref().unwrap_or_default());
    text.trim_end().to_owned()
}

/// What somebody kept under a name.
async fn kept(ctx: &Ctx<'_>, view: &ViewName) -> Result<StatusQuery> {
    let views = ctx.client().await?.list::<ListViews>(&Nothing {}, &PageQuery::default()).await?.items;
    let found = views.into_iter().find(|one| one.view == *view);
    found.map(|one| one.query).ok_or_else(|| {
        Problem::not_found("view-not-found", format!("you have no view `{view}`")).hint("`orlop view list` shows yours")
    })
}

async fn all(ctx: &Ctx<'_>, query: StatusQuery, page: PageQuery) -> Result<Exit> {
    let nothing = match query == StatusQuery::default() {
        true => "No services yet: orlop new, or orlop deploy in a folder with code.",
        false => "No service that you may see fits what is asked for.",
    };
    let query = StatusQuery { limit: page.limit, after: page.after, ..query };
    let page = ctx.client().await?.list::<ListStatus>(&Nothing {}, &query).await?;
    ctx.out.reply(&page, |paint| {
        let mut table = Table::new(["SERVICE", "ENV", "HEALTH", "RELEASE", "READY", "SINCE", "WHY", "URL"]);
        for status in &page.items {
            status.environments.iter().for_each(|env| row(&mut table, status, env, ctx.host.now()));
            if status.environments.is_empty() {
                let dash = || ("-".to_owned(), Tone::Quiet);
                let why = ("never deployed".to_owned(), Tone::Plain);
                let name = (status.service.to_string(), Tone::Plain);
                table.row([name, dash(), ("empty".to_owned(), Tone::Quiet), dash(), dash(), dash(), why, dash()]);
            }
        }
        table.show(*paint, nothing)
    })?;
    ctx.out.more(page.next.as_deref());
    Ok(Exit::Done)
}

fn row(table: &mut Table, status: &ServiceStatus, env: &EnvironmentStatus, now: Time) {
    let plain = |text: String| (text, Tone::Plain);
    table.row([
        plain(status.service.to_string()),
        plain(env.environment.to_string()),
        (word(&env.health), env.health.into()),
        plain(crate::text::or_dash(env.release)),
        plain(format!("{}/{}", env.ready, env.wanted)),
        plain(env.since.map_or_else(|| "-".to_owned(), |at| ago(at, now))),
        plain(env.reason.clone()),
        plain(env.url.clone().unwrap_or_else(|| "-".to_owned())),
    ]);
}
