use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::Nothing;
use api::access::{Me, Role, ServicePath, TeamPath, Whoami};
use api::catalog::{CreateService, GetService, NewService};
use api::deliver::{Deploy, UploadQuery, UploadSource};
use base::{EnvironmentName, Kind, Problem, Result, ServiceName, TeamName};

use crate::args::{Waiting, Which};
use crate::context::Ctx;
use crate::exit::usage;
use crate::pack::{self, Limits, Packing, Tree};
use crate::project::{MANIFEST, Project};
use crate::text::{bytes, clean, count};
use crate::{Exit, follow, project};

/// Send the working tree, build it, roll it out, and show its URL
///
/// Sends what git would see of the folder (.gitignore, .ignore and .orlopignore are honoured),
/// makes the service if there is none, and follows until the new release serves or it is known
/// why it does not. With --json, one line for each event.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop deploy
  orlop deploy services/shop --to staging
  orlop deploy --message 'Raise the limit' --detach")]
pub struct Args {
    /// The folder; default: the root of the project that you are in
    #[arg(value_name = "PATH")]
    path: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// The environment to deploy to; default: the first one
    #[arg(long, value_name = "ENV")]
    to: Option<EnvironmentName>,
    /// A line about the change
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let project = self.project(ctx)?;
        let service = match self.which.service {
            Some(service) => service,
            None => project.service()?,
        };
        let limits = Limits::PUBLISHED;
        let tree = Arc::new(pack::survey(&project.root, &limits)?);
        if tree.entries.is_empty() {
            return Err(Problem::invalid("nothing-to-deploy", "the folder holds no file that is not ignored")
                .at(project.root.display()));
        }
        left_out(ctx, &tree);
        ensure(ctx, &service, &project).await?;
        let query = UploadQuery {
            environment: self.to,
            commit: project.commit(),
            message: self.message.or_else(|| subject(ctx, &project)),
        };
        let begun = upload(ctx, &service, &query, &tree, limits).await?;
        if !self.waiting.detach {
            return follow::deploy(ctx, &begun, self.waiting.wait.0).await;
        }
        ctx.out.reply(&begun, |_| begun.source.to_string())?;
        ctx.out.say(&format!("The deploy goes on. See how it ends: orlop status {service}"));
        Ok(Exit::Done)
    }

    fn project(&self, ctx: &Ctx<'_>) -> Result<Project> {
        let folder = ctx.folder()?;
        let Some(path) = &self.path else { return project::find(&folder) };
        let root = folder
            .join(path)
            .canonicalize()
            .map_err(|e| usage(format!("the folder cannot be read: {e}")).at(folder.join(path).display()))?;
        if !root.is_dir() {
            return Err(usage("this is not a folder").at(root.display()));
        }
        project::at(&root)
    }
}

/// The first line of the commit's message, where there is a commit and git to ask.
fn subject(ctx: &Ctx<'_>, project: &Project) -> Option<String> {
    project.commit()?;
    let subject = ctx.host.git(&project.root, &["log", "-1", "--format=%s"]).ok()?;
    Some(subject.chars().take(200).collect()).filter(|s: &String| !s.is_empty())
}

fn left_out(ctx: &Ctx<'_>, tree: &Tree) {
    if tree.left_out.is_empty() {
        return;
    }
    let names: Vec<_> = tree.left_out.iter().take(5).map(|path| clean(&path.display().to_string())).collect();
    let rest = tree.left_out.len().saturating_sub(names.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    ctx.out.say(&format!("Left out, as it leads outside the folder or is no file: {}{more}", names.join(", ")));
}

/// Makes the service if there is none.
async fn ensure(ctx: &Ctx<'_>, service: &ServiceName, project: &Project) -> Result<()> {
    let client = ctx.client().await?;
    match client.get::<GetService>(&ServicePath { service: service.clone() }).await {
        Ok(found) if found.removed.is_some() => {
            return Err(Problem::conflict("service-removed", format!("`{service}` was taken out of use"))
                .hint(format!("orlop service restore {service}")));
        }
        Ok(_) => return Ok(()),
        Err(problem) if problem.kind == Kind::NotFound && problem.code != "foreign-answer" => {}
        Err(problem) => return Err(problem),
    }
    let team = match project.team() {
        Some(team) => team.clone(),
        None => only_team(service, &client.get::<Whoami>(&Nothing {}).await?)?,
    };
    let made = NewService { service: service.clone(), description: String::new() };
    client.send::<CreateService>(&TeamPath { team: team.clone() }, &made).await?;
    ctx.out.say(&format!("Made the service {service} of team {team}."));
    Ok(())
}

/// The only team for which the caller may make a service.
fn only_team(service: &ServiceName, me: &Me) -> Result<TeamName> {
    let teams: Vec<_> = me.teams.iter().filter(|(_, role)| **role >= Role::Developer).map(|(team, _)| team).collect();
    match teams.as_slice() {
        [only] => Ok(only.parse()?),
        [] => Err(Problem::forbidden(
            "no-team",
            format!("there is no service `{service}`, and you are in no team that could own it"),
        )
        .hint(format!("ask an admin: orlop team member set TEAM {} developer", me.person))),
        several => {
            let lines: Vec<_> = several.iter().map(|team| format!("team: {team}")).collect();
            Err(usage(format!("there is no service `{service}` yet, and you are in several teams that could own it"))
                .at(MANIFEST)
                .hint(format!("add one of these lines:\n{}", lines.join("\n"))))
        }
    }
}

async fn upload(
    ctx: &Ctx<'_>,
    service: &ServiceName,
    query: &UploadQuery,
    tree: &Arc<Tree>,
    limits: Limits,
) -> Result<Deploy> {
    let client = ctx.client().await?;
    let path = ServicePath { service: service.clone() };
    let state = Arc::new(Packing::default());
    let make = || pack::chunks(tree, limits.packed_bytes, &state);
    let sent = client.upload::<UploadSource>(&path, query, &make);
    let line = || {
        let (read, packed) = (state.read.load(Ordering::Relaxed), state.packed.load(Ordering::Relaxed));
        format!("sending {} of {} ({} packed)", bytes(read), bytes(tree.bytes), bytes(packed))
    };
    let begun = match ctx.out.live().during(sent, line).await {
        Err(_) if state.too_large.load(Ordering::Relaxed) => return Err(limits.refuse_packed(tree)),
        outcome => outcome?,
    };
    let files = count(tree.entries.len() as u64, "file");
    let packed = bytes(state.packed.load(Ordering::Relaxed));
    ctx.out.say(&format!(
        "Sent {files} ({}, {packed} packed) to {service} in {}.",
        bytes(tree.bytes),
        begun.environment
    ));
    Ok(begun)
}
