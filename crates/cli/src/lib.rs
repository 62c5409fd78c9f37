//! The command line: every verb that is a client of the API. It knows the contract (`api`) and
//! nothing else of the platform.
//!
//! The `orlop` binary adds the verbs that belong to the machine itself:
//! ```ignore
//! #[derive(clap::Subcommand)]
//! enum Command { Up(Up), Down(Down), #[command(flatten)] Client(cli::Verb) }
//! cli::execute(verb, &globals, Args::command(), &cli::System::new())
//! ```

mod args;
pub mod client;
mod commands;
mod context;
mod credentials;
mod exit;
mod follow;
mod host;
mod output;
mod pack;
mod project;
mod sign_in;
mod spawn;
mod text;
mod verb;

use std::ffi::OsString;

use base::Problem;
use clap::{CommandFactory, Parser};

pub use crate::args::{Cli, Globals};
use crate::context::Ctx;
pub use crate::exit::Exit;
pub use crate::host::{Host, Stream, System};
pub use crate::text::clean;
pub use crate::verb::Verb;

/// Parses `args` (the first one is the program's name) and carries the verb out. Only the verbs of
/// this crate are known; the binary, which has more, parses for itself and calls [`execute`].
pub fn run(args: impl Iterator<Item = OsString>, host: &dyn Host) -> Exit {
    match Cli::try_parse_from(args) {
        Ok(cli) => execute(cli.verb, &cli.globals, Cli::command(), host),
        Err(error) => not_understood(&error, host),
    }
}

/// Shows help, or what is wrong with the words that were typed. They may have been pasted together by
/// a script from other people's words: nothing in them steers the terminal.
pub fn not_understood(error: &clap::Error, host: &dyn Host) -> Exit {
    let stream = if error.use_stderr() { Stream::Err } else { Stream::Out };
    let lines: Vec<String> = error.render().to_string().split('\n').map(text::clean).collect();
    // Nothing is left to tell it to when the terminal is gone.
    let _ = host.write(stream, lines.join("\n").as_bytes());
    if error.exit_code() == 0 { Exit::Done } else { Exit::Usage }
}

/// Carries a verb out on a runtime of its own. `command` is the whole command line of the binary,
/// from which `completion` writes its scripts.
pub fn execute(verb: Verb, globals: &Globals, command: clap::Command, host: &dyn Host) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(execute_async(verb, globals, command, host));
            // A reader of a terminal that still waits for a key must not hold up the end.
            runtime.shutdown_background();
            exit
        }
        Err(e) => {
            let problem = Problem::internal("no-runtime", format!("the machine refused an event queue: {e}"));
            Ctx::new(host, globals, command).finish(Err(problem))
        }
    }
}

/// As [`execute`], for callers that are asynchronous already.
pub async fn execute_async(verb: Verb, globals: &Globals, command: clap::Command, host: &dyn Host) -> Exit {
    let ctx = Ctx::new(host, globals, command);
    let outcome = verb.run(&ctx).await;
    ctx.finish(outcome)
}
