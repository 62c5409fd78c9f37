mod access;
mod create;
mod list;
mod member;
mod remove;
mod show;

use api::access::Team;
use base::Result;
use clap::Subcommand;

use crate::Exit;
use crate::context::Ctx;
use crate::output::{Paint, Table};
use crate::text::{instant, word};

/// List, show, make and remove teams; set their members
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub enum Verb {
    List(list::Args),
    Show(show::Args),
    Access(access::Args),
    Create(create::Args),
    Remove(remove::Args),
    #[command(subcommand)]
    Member(member::Verb),
}

impl Verb {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        match self {
            Self::List(args) => args.run(ctx).await,
            Self::Show(args) => args.run(ctx).await,
            Self::Access(args) => args.run(ctx).await,
            Self::Create(args) => args.run(ctx).await,
            Self::Remove(args) => args.run(ctx).await,
            Self::Member(verb) => verb.run(ctx).await,
        }
    }
}

/// A team with its members.
fn describe(team: &Team, paint: Paint) -> String {
    let head = Table::pairs([("team", team.team.to_string()), ("made", instant(team.created))]).text(paint);
    let mut members = Table::new(["MEMBER", "ROLE"]);
    for (person, role) in &team.members {
        members.plain([person.clone(), word(role)]);
    }
    let empty = format!("No members: orlop team member set {} PERSON developer", team.team);
    format!("{head}\n\n{}", members.show(paint, &empty))
}
