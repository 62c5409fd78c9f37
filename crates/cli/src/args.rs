use base::{EnvironmentName, ServiceName, Span};
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
