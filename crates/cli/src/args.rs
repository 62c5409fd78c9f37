use api::catalog::{Health, StatusOrder, StatusQuery};
use base::{EnvironmentName, ServiceName, Span, TeamName};
use clap::{Args, Parser};

use crate::Verb;

/// Push code, get a running URL, see the truth about it, take it back.
#[derive(Debug, Parser)]
#[command(name = "orlop", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "EXAMPLES:
  orlop login https://orlop.example.com
  orlop deploy
  orlop status
  orlop rollback")]
pub struct Cli {
    /// For every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// The server; default: $ORLOP_URL, else the one signed in to last
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Write JSON in the shape of the API to standard output; problems too
    #[arg(long, global = true)]
    pub json: bool,
}

/// Which service a command is about.
#[derive(Debug, Args)]
pub struct Which {
    /// The service; default: the one of this folder
    #[arg(short, long, value_name = "SERVICE")]
    pub service: Option<ServiceName>,
}

/// As [`Which`], by its place.
#[derive(Debug, Args)]
pub struct WhichFirst {
    /// The service; default: the one of this folder
    #[arg(value_name = "SERVICE")]
    pub service: Option<ServiceName>,
}

/// Which environment a command is about.
#[derive(Debug, Args)]
pub struct Where {
    /// The environment; default: the only one where the service runs
    #[arg(short, long = "env", value_name = "ENV")]
    pub environment: Option<EnvironmentName>,
}

/// Which services a list shows, and in which order.
#[derive(Debug, Default, Args)]
pub struct Filter {
    /// Only this team's
    #[arg(long, value_name = "TEAM")]
    pub team: Option<TeamName>,
    /// Only those that are so somewhere: down, degraded, changing, unknown, healthy, empty
    #[arg(long, value_name = "STATE", value_parser = of_word::<Health>)]
    pub health: Option<Health>,
    /// Only this kind: web, worker, site
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those of which something crashes again and again
    #[arg(long)]
    pub crash_loop: bool,
    /// Only those whose name or description holds this
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// By name, health (what needs somebody first), change (the newest first) or team
    #[arg(long, value_name = "ORDER", value_parser = of_word::<StatusOrder>)]
    pub sort: Option<StatusOrder>,
}

impl Filter {
    /// As the API takes it.
    pub fn query(self) -> StatusQuery {
        let Self { team, health, kind, crash_loop, search, sort } = self;
        let crash_loop = crash_loop.then_some(true);
        StatusQuery { limit: None, after: None, team, health, kind, crash_loop, search, sort }
    }
}

/// Reads a word as the API writes it.
fn of_word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

/// Which page of a list.
#[derive(Debug, Args)]
pub struct Paging {
    /// Show at most so many, 1–500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: Option<u32>,
    /// Go on after the page before, as it said
    #[arg(long, value_name = "MARK")]
    pub after: Option<String>,
}

impl From<Paging> for api::PageQuery {
    fn from(paging: Paging) -> Self {
        Self { limit: paging.limit, after: paging.after }
    }
}

/// How to follow long work.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Start it and do not wait for its end
    #[arg(short, long)]
    pub detach: bool,
    /// Wait at most so long; the work goes on
    #[arg(long, value_name = "SPAN", default_value = "30m")]
    pub wait: Span,
}

/// Agreement in advance.
#[derive(Debug, Args)]
pub struct Sure {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}
