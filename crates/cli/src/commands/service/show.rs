use api::access::{AuditRecord, ListActivity, ServicePath};
use api::catalog::{GetService, Service};
use api::{Page, PageQuery};
use api::run::{Instance, ListInstances, PlaceQuery};
use base::Result;
use serde::Serialize;

use super::describe;
use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::output::{Paint, Table};
use crate::text::{actor, ago, or_dash};

/// Show a service, its instances and what happened to it last
///
/// With --json: {"service": …, "instances": [Instance…], "activity": [AuditRecord…]}.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service show
  orlop service show shop --json")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    service: Service,
    instances: Vec<Instance>,
    activity: Vec<AuditRecord>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let client = ctx.client().await?;
        let service = client.get::<GetService>(&path).await?;
        let instances: Page<_> = client.list::<ListInstances>(&path, &PlaceQuery::default()).await?;
        let query = PageQuery { limit: Some(10), after: None };
        let activity: Page<_> = client.list::<ListActivity>(&path, &query).await?;
        let shown = Shown { service, instances: instances.items, activity: activity.items };
        ctx.out.reply(&shown, |paint| text(&shown, ctx, *paint))?;
        Ok(Exit::Done)
    }
}

fn text(shown: &Shown, ctx: &Ctx<'_>, paint: Paint) -> String {
    let now = ctx.host.now();
    let mut instances = Table::new(["INSTANCE", "ENV", "PROCESS", "RELEASE", "STATE", "SINCE", "MEMORY", "SEEN"]);
    for i in &shown.instances {
        instances.plain([
            i.instance.to_string(),
            i.environment.to_string(),
            i.process.to_string(),
            or_dash(i.number),
            i.state.clone(),
            ago(i.since, now),
            or_dash(i.memory.map(|m| crate::text::bytes(m.0))),
            i.evidence.clone(),
        ]);
    }
    let mut activity = Table::new(["WHEN", "WHO", "WHAT", "ABOUT"]);
    for a in &shown.activity {
        activity.plain([ago(a.at, now), actor(&a.actor), a.kind.clone(), a.subject.clone()]);
    }
    let parts = [
        describe(&shown.service, now, paint),
        instances.show(paint, "No instances."),
        activity.show(paint, "Nothing happened yet."),
    ];
    parts.join("\n\n")
}
