//! The verbs that belong to this machine.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Push code, get a running URL, see the truth about it, take it back.
#[derive(Parser)]
#[command(name = "orlop", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "EXAMPLES:
  orlop demo                  see all of it in a minute
  orlop up --detach           start the platform on this machine
  orlop deploy                deploy the folder you are in
  orlop status                what runs, and is it well")]
pub(crate) struct Args {
    #[command(flatten)]
    pub globals: cli::Globals,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the platform on this machine
    #[command(after_help = "EXAMPLES:
  orlop up
  orlop up --detach
  orlop up --listen 127.0.0.1:7401 --gateway-listen 0.0.0.0:80 --domain apps.example.com")]
    Up(Up),
    /// Stop the platform on this machine, with everything that runs on it
    #[command(after_help = "EXAMPLES:
  orlop down
  orlop down --keep-running     stop only the control plane; services serve on")]
    Down(Down),
    /// Show all of it: a platform in a temporary folder, three pushes, a rollback
    #[command(after_help = "EXAMPLES:
  orlop demo
  orlop demo --exit --json")]
    Demo(Demo),
    /// Make a backup of the whole installation while it works, and read it back
    #[command(args_conflicts_with_subcommands = true)]
    #[command(after_help = "EXAMPLES:
  orlop backup                                 into the folder `backups` of the data folder
  orlop backup --to /mnt/nas/orlop.tar.gz
  orlop backup list
  orlop backup verify /mnt/nas/orlop.tar.gz
  orlop restore /mnt/nas/orlop.tar.gz --data /srv/orlop --key master.key")]
    Backup(Backup),
    /// Make an installation of a backup, in a folder that is empty
    #[command(after_help = "EXAMPLES:
  orlop restore orlop.tar.gz --data /srv/orlop --key master.key
  orlop restore orlop.tar.gz --data /srv/orlop --database postgres://orlop@db/orlop

Everything is read and checked before anything is written. `orlop up --data /srv/orlop` starts it then.")]
    Restore(Restore),
    /// The configuration
    #[command(
        subcommand,
        after_help = "EXAMPLES:
  orlop config dump > orlop.toml"
    )]
    Config(Config),
    #[command(flatten)]
    Client(cli::Verb),
}

#[derive(clap::Args)]
pub(crate) struct Where {
    /// Everything that Orlop keeps is beneath this folder; default: $ORLOP_DATA, else ~/.local/share/orlop
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// Where an installation keeps what it knows.
#[derive(clap::Args)]
pub(crate) struct Stored {
    #[command(flatten)]
    pub place: Where,
    /// Configuration file; default: $ORLOP_CONFIG, else orlop.toml in the data folder
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State in this PostgreSQL instead of SQLite in the data folder: postgres://…
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

#[derive(clap::Args)]
pub(crate) struct Backup {
    #[command(flatten)]
    pub stored: Stored,
    /// The file to make; default: one named by the time, in the folder `backups` of the data folder
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Put the master key into it: whoever has the backup can read every secret then
    #[arg(long)]
    pub with_key: bool,
    #[command(subcommand)]
    pub action: Option<BackupAction>,
}

#[derive(Subcommand)]
pub(crate) enum BackupAction {
    /// The backups that were read back, and whether they are still there
    #[command(after_help = "EXAMPLES:
  orlop backup list
  orlop backup list --json")]
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Read a backup back
    #[command(after_help = "EXAMPLES:
  orlop backup verify /mnt/nas/orlop.tar.gz
  orlop backup verify /mnt/nas/orlop.tar.gz --key master.key")]
    Verify {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        place: Where,
        /// The master key of the installation that made it; default: that of the data folder, or the one inside
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub stored: Stored,
    /// A copy of `master.key` of the installation that made it; not needed where it is inside
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Configured {
    #[command(flatten)]
    pub stored: Stored,
    /// Where the API listens; port 0 takes a free one [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Where services answer; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub gateway_listen: Option<SocketAddr>,
    /// Services answer at SERVICE-ENVIRONMENT.DOMAIN [default: localhost]
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Any other key of the configuration
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub configured: Configured,
    /// Return when the platform is ready; it goes on in the background
    #[arg(short, long)]
    pub detach: bool,
}

#[derive(clap::Args)]
pub(crate) struct Down {
    #[command(flatten)]
    pub place: Where,
    /// Stop only the control plane: the gateway and all instances go on
    #[arg(long)]
    pub keep_running: bool,
}

#[derive(clap::Args)]
pub(crate) struct Demo {
    /// End when the demonstration is over instead of leaving the platform running
    #[arg(long)]
    pub exit: bool,
}

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Print the configuration as it is in force
    Dump(Configured),
}
