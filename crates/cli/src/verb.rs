use base::Result;
use clap::Subcommand;

use crate::Exit;
use crate::commands::*;
use crate::context::Ctx;

/// A verb that is a client of the API.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "each verb says in its own arguments what it does; a second text would win over that one"
)]
pub enum Verb {
    Login(login::Args),
    Logout(logout::Args),
    Whoami(whoami::Args),
    Status(status::Args),
    New(new::Args),
    Deploy(deploy::Args),
    Open(open::Args),
    Logs(logs::Args),
    Releases(releases::Args),
    Builds(builds::Args),
    #[command(subcommand)]
    Build(build::Verb),
    Runs(runs::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Restart(restart::Args),
    Scale(scale::Args),
    Cancel(cancel::Args),
    Why(why::Args),
    Doctor(doctor::Args),
    Explain(explain::Args),
    #[command(subcommand)]
    Service(service::Verb),
    #[command(subcommand)]
    Team(team::Verb),
    #[command(subcommand)]
    Person(person::Verb),
    #[command(subcommand)]
    Token(token::Verb),
    #[command(subcommand)]
    View(view::Verb),
    #[command(subcommand)]
    Setting(setting::Verb),
    #[command(subcommand)]
    Env(env::Verb),
    #[command(subcommand)]
    Release(release::Verb),
    #[command(subcommand)]
    Rollout(rollout::Verb),
    #[command(subcommand)]
    Route(route::Verb),
    Traffic(traffic::Args),
    Metrics(metrics::Args),
    Topology(topology::Args),
    #[command(subcommand)]
    Audit(audit::Verb),
    Events(events::Args),
    Platform(platform::Args),
    GitRemote(git_remote::Args),
    #[command(hide = true)]
    GitCredential(git_credential::Args),
    Completion(completion::Args),
}

impl Verb {
    pub(crate) async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        match self {
            Self::Login(args) => args.run(ctx).await,
            Self::Logout(args) => args.run(ctx).await,
            Self::Whoami(args) => args.run(ctx).await,
            Self::Status(args) => args.run(ctx).await,
            Self::New(args) => args.run(ctx).await,
            Self::Deploy(args) => args.run(ctx).await,
            Self::Open(args) => args.run(ctx).await,
            Self::Logs(args) => args.run(ctx).await,
            Self::Releases(args) => args.run(ctx).await,
            Self::Builds(args) => args.run(ctx).await,
            Self::Build(verb) => verb.run(ctx).await,
            Self::Runs(args) => args.run(ctx).await,
            Self::Promote(args) => args.run(ctx).await,
            Self::Rollback(args) => args.run(ctx).await,
            Self::Restart(args) => args.run(ctx).await,
            Self::Scale(args) => args.run(ctx).await,
            Self::Cancel(args) => args.run(ctx).await,
            Self::Why(args) => args.run(ctx).await,
            Self::Doctor(args) => args.run(ctx).await,
            Self::Explain(args) => args.run(ctx).await,
            Self::Service(verb) => verb.run(ctx).await,
            Self::Team(verb) => verb.run(ctx).await,
            Self::Person(verb) => verb.run(ctx).await,
            Self::Token(verb) => verb.run(ctx).await,
            Self::View(verb) => verb.run(ctx).await,
            Self::Setting(verb) => verb.run(ctx).await,
            Self::Env(verb) => verb.run(ctx).await,
            Self::Release(verb) => verb.run(ctx).await,
            Self::Rollout(verb) => verb.run(ctx).await,
            Self::Route(verb) => verb.run(ctx).await,
            Self::Traffic(args) => args.run(ctx).await,
            Self::Metrics(args) => args.run(ctx).await,
            Self::Topology(args) => args.run(ctx).await,
            Self::Audit(verb) => verb.run(ctx).await,
            Self::Events(args) => args.run(ctx).await,
            Self::Platform(args) => args.run(ctx).await,
            Self::GitRemote(args) => args.run(ctx).await,
            Self::GitCredential(args) => args.run(ctx).await,
            Self::Completion(args) => args.run(ctx).await,
        }
    }
}
