use api::access::ServicePath;
use api::deliver::{PlanQuery, PlanRollout, RolloutPlan};
use base::{EnvironmentName, Result};

use crate::Exit;
use crate::args::Which;
use crate::commands::env::setting_difference;
use crate::context::Ctx;
use crate::output::Paint;
use crate::text::clean;

/// Show what a rollout would do, and do nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop rollout plan --env prod --from staging
  orlop rollout plan --env prod --rollback
  orlop rollout plan --env dev --release 41")]
#[group(id = "what", required = true, multiple = false, args = ["from", "rollback", "restart", "release"])]
pub struct Args {
    /// The environment
    #[arg(short, long = "env", value_name = "ENV")]
    environment: EnvironmentName,
    /// What this environment runs: a promotion
    #[arg(long, value_name = "ENV")]
    from: Option<EnvironmentName>,
    /// What ran before
    #[arg(long)]
    rollback: bool,
    /// What runs now, started anew
    #[arg(long)]
    restart: bool,
    /// This release
    #[arg(long, value_name = "N")]
    release: Option<i64>,
    #[command(flatten)]
    which: Which,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let path = ServicePath { service: ctx.service(self.which.service)? };
        let Self { environment, from, rollback, restart, release, .. } = self;
        let query = PlanQuery { environment, release, from, rollback, restart };
        let plan = ctx.client().await?.list::<PlanRollout>(&path, &query).await?;
        ctx.out.reply(&plan, |paint| show(&plan, *paint))?;
        Ok(Exit::Done)
    }
}

fn show(plan: &RolloutPlan, _: Paint) -> String {
    let mut lines = vec![format!(
        "{} of release {} of {} in {}: {}",
        plan.cause,
        plan.to.release,
        plan.service,
        plan.environment,
        clean(&plan.to.message)
    )];
    lines.push(match &plan.now {
        Some(now) => format!("  now   release {}: {}", now.release, clean(&now.message)),
        None => "  now   nothing runs here".to_owned(),
    });
    lines.extend(plan.settings.iter().map(|setting| format!("  differs  {}", setting_difference(setting))));
    lines.extend(plan.needs.iter().map(|need| {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "not needed".to_owned());
        format!("  differs  need {}: {} | {}", need.name, side(&need.from), side(&need.to))
    }));
    lines.extend(plan.supersedes.map(|open| format!("  takes the place of {open}, which is under way")));
    lines.extend(plan.steps.iter().zip(1..).map(|(step, n)| format!("  {n}. {}", clean(step))));
    lines.join("\n")
}
