//! Orlop: push code, get a running URL, see the truth about it, take it back.
//!
//! The binary plays every role: the control plane (`orlop up`), the gateway, the keeper of an
//! instance, the runner of build steps, the file server of sites, and the command line.

mod anchor;
mod args;
mod backups;
mod clock;
mod compose;
mod control;
mod demo;
mod down;
mod gatekeeping;
mod guard;
mod installation;
mod log;
mod pages;
mod roles;
mod spawn;
mod toolchain;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};

/// Memory that is free goes back to the machine soon, and small pieces cost less than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Roles that the platform starts by itself come first: keepers must be small and quick.
    if let Some(exit) = roles::hidden() {
        return exit;
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return cli::not_understood(&error, &cli::System::new()).into(),
    };
    match args {
        Args { globals, command: Command::Client(verb) } => {
            cli::execute(verb, &globals, Args::command(), &cli::System::new()).into()
        }
        Args { globals, command: Command::Up(args) } => up::main(args, &globals),
        Args { globals, command: Command::Down(args) } => down::main(&args, &globals),
        Args { globals, command: Command::Demo(args) } => demo::main(&args, &globals),
        Args { globals, command: Command::Backup(args) } => backups::main(&args, &globals),
        Args { globals, command: Command::Restore(args) } => backups::restore(&args, &globals),
        Args { globals, command: Command::Config(args) } => up::config(args, &globals),
    }
}
