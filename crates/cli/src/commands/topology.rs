use api::Nothing;
use api::catalog::{GetTopology, TopologyNeed, TopologyQuery};
use base::{EnvironmentName, Result};

use crate::Exit;
use crate::context::Ctx;
use crate::output::Table;

/// Show services and what they need of each other
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop topology
  orlop topology --env prod --json")]
pub struct Args {
    /// Only this environment; default: all together
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let query = TopologyQuery { environment: self.environment };
        let topology = ctx.client().await?.list::<GetTopology>(&Nothing {}, &query).await?;
        ctx.out.reply(&topology, |paint| {
            let mut table = Table::new(["SERVICE", "TEAM", "NEEDS", "RUNS IN"]);
            for one in &topology.services {
                let needs = topology.needs.iter().filter(|need| need.from == one.service).map(spoken);
                let places: Vec<String> = one.environments.iter().map(|p| p.environment.to_string()).collect();
                let needs: Vec<String> = needs.collect();
                table.plain([one.service.to_string(), one.team.to_string(), needs.join(", "), places.join(", ")]);
            }
            table.show(*paint, "Nothing runs yet: orlop deploy")
        })?;
        Ok(Exit::Done)
    }
}

/// What a need is of.
pub fn spoken(need: &TopologyNeed) -> String {
    match (&need.service, &need.external) {
        (Some(service), _) => service.to_string(),
        (None, Some(external)) => external.clone(),
        (None, None) => need.name.to_string(),
    }
}
