use std::path::PathBuf;

use base::{EnvironmentName, Problem, Result, ServiceName};
use tokio::sync::OnceCell;

use crate::client::Client;
use crate::exit::{OUTPUT_CLOSED, usage};
use crate::output::Out;
use crate::{Exit, Globals, Host, project, sign_in};

/// What a running command has at hand.
pub struct Ctx<'h> {
    pub host: &'h dyn Host,
    pub globals: &'h Globals,
    pub out: Out<'h>,
    /// The whole command line, for completion.
    pub command: clap::Command,
    client: OnceCell<Client>,
}

impl<'h> Ctx<'h> {
    pub fn new(host: &'h dyn Host, globals: &'h Globals, command: clap::Command) -> Self {
        let client = OnceCell::new();
        Self { host, globals, out: Out::new(host, globals.json), command, client }
    }

    /// The client of the chosen server, signed in.
    pub async fn client(&self) -> Result<&Client> {
        self.client.get_or_try_init(|| sign_in::connect(self)).await
    }

    /// The folder that the command was started in.
    pub fn folder(&self) -> Result<PathBuf> {
        self.host
            .folder()
            .map_err(|e| Problem::invalid("no-folder", format!("the current folder cannot be read: {e}")).hint("cd ~"))
    }

    /// The service named, else that of the current folder.
    pub fn service(&self, named: Option<ServiceName>) -> Result<ServiceName> {
        match named {
            Some(service) => Ok(service),
            None => project::find(&self.folder()?)?.service(),
        }
    }

    /// The environment named, else the only one where the service runs.
    pub async fn environment(&self, service: &ServiceName, named: Option<EnvironmentName>) -> Result<EnvironmentName> {
        if let Some(environment) = named {
            return Ok(environment);
        }
        let path = api::access::ServicePath { service: service.clone() };
        let board = self.client().await?.get::<api::deliver::GetBoard>(&path).await?;
        let mut running = board.items.into_iter().filter(|e| e.release.is_some()).map(|e| e.environment);
        match (running.next(), running.next()) {
            (Some(only), None) => Ok(only),
            (Some(first), Some(_)) => Err(usage(format!("`{service}` runs in several environments"))
                .hint(format!("say which one: --env {first}"))),
            (None, _) => Err(Problem::conflict("nothing-runs", format!("`{service}` runs in no environment yet"))
                .hint("orlop deploy")),
        }
    }

    /// Asks before what is hard to take back. Without a person, only `--yes` is an agreement.
    pub fn confirm(&self, what: &str, sure: bool) -> Result<()> {
        if sure {
            return Ok(());
        }
        if !self.host.is_interactive() || !self.host.is_terminal(crate::Stream::Err) {
            return Err(usage(format!("{what}: nobody is here to be asked")).hint("add --yes"));
        }
        self.out.ask(&format!("{what}? [y/N] "))?;
        let answer = self.host.read_line(true).map_err(unreadable)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Problem::conflict("not-confirmed", "not confirmed; nothing was changed"))
        }
    }

    /// Tells the outcome and turns it into the exit status.
    pub fn finish(&self, outcome: Result<Exit>) -> Exit {
        match outcome {
            Ok(exit) => exit,
            Err(problem) if problem.code == OUTPUT_CLOSED => Exit::Done,
            Err(problem) => {
                self.out.problem(&problem);
                Exit::of(&problem)
            }
        }
    }
}

/// Standard input cannot be read.
pub fn unreadable(error: std::io::Error) -> Problem {
    Problem::invalid("input-unreadable", format!("standard input cannot be read: {error}"))
}
