use api::Nothing;
use api::access::ListViews;
use api::catalog::StatusQuery;
use base::Result;

use crate::Exit;
use crate::args::Paging;
use crate::context::Ctx;
use crate::output::Table;
use crate::text::{ago, clean, word};

/// List your views of the services
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop view list")]
pub struct Args {
    #[command(flatten)]
    paging: Paging,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.list::<ListViews>(&Nothing {}, &self.paging.into()).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["VIEW", "LOOKS FOR", "KEPT"]);
            for one in &page.items {
                table.plain([one.view.to_string(), asks(&one.query), ago(one.saved, ctx.host.now())]);
            }
            table.show(*paint, "No views. Keep one: orlop view save NAME --health down")
        })?;
        ctx.out.more(page.next.as_deref());
        Ok(Exit::Done)
    }
}

/// `team payments, health down`
fn asks(query: &StatusQuery) -> String {
    let all = serde_json::to_value(query).unwrap_or_default();
    let words = all.as_object().into_iter().flatten().map(|(key, value)| format!("{key} {}", word(value)));
    let words = words.collect::<Vec<_>>().join(", ");
    if words.is_empty() { "everything".to_owned() } else { clean(&words) }
}
