use api::access::ServicePath;
use api::catalog::{GetImpact, TopologyQuery};
use base::{EnvironmentName, Result, ServiceName};

use crate::Exit;
use crate::args::WhichFirst;
use crate::commands::topology::spoken;
use crate::context::Ctx;
use crate::output::Table;

/// Show what breaks if a service is down, and what it needs itself
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop service impact
  orlop service impact inventory --env prod")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
    /// Only this environment; default: all together
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let query = TopologyQuery { environment: self.environment };
        let impact = ctx.client().await?.list::<GetImpact>(&path, &query).await?;
        ctx.out.reply(&impact, |paint| {
            let mut table = Table::new(["SERVICE", "TEAM", "STEPS", "THROUGH"]);
            for one in &impact.dependents {
                let way: Vec<&str> = one.through.iter().map(ServiceName::as_str).collect();
                let (team, steps) = (one.team.to_string(), one.distance.to_string());
                table.plain([one.service.to_string(), team, steps, way.join(" > ")]);
            }
            let needs: Vec<String> = impact.needs.iter().map(spoken).collect();
            let needs = if needs.is_empty() { "nothing".to_owned() } else { needs.join(", ") };
            let dependents = table.show(*paint, "Nothing needs it.");
            format!("{}\n\n{dependents}\n\nIt needs: {needs}", impact.answer)
        })?;
        Ok(Exit::Done)
    }
}
