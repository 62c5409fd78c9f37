use api::Nothing;
use api::deliver::ListEnvironments;
use base::Result;

use crate::Exit;
use crate::context::Ctx;
use crate::output::Table;

/// List the environments in the order of promotion
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop env list")]
pub struct Args {}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let page = ctx.client().await?.get::<ListEnvironments>(&Nothing {}).await?;
        ctx.out.reply(&page, |paint| {
            let mut table = Table::new(["ORDER", "ENV"]);
            for e in &page.items {
                table.plain([e.order.to_string(), e.environment.to_string()]);
            }
            table.show(*paint, "No environments: orlop env put dev")
        })?;
        Ok(Exit::Done)
    }
}
