//! What the benchmarks share: programs that are started and ended, processor time, medians, and the
//! report that `cargo xtask bench` turns into evidence and a table.
//!
//! Each benchmark is a program of its own (`src/bin`). Nothing of this ships, and nothing of it is a
//! test: a figure is told, never asserted.

pub mod cpu;
pub mod origin;
pub mod peers;
pub mod program;
pub mod report;
pub mod stats;

pub use program::Program;
pub use report::{Report, Table};

/// The name of a host in front of the proxies.
pub fn host(n: usize) -> String {
    format!("service-{n}-dev.localhost")
}

/// Plays a role that [`Program::role`] asked this program for, if it did.
pub fn play(args: &[&str]) -> Option<Result<(), String>> {
    Some(match args {
        ["origin", ports] => match ports.parse() {
            Ok(ports) => origin::main(ports).map_err(|why| format!("the upstream failed: {why}")),
            Err(_) => Err("a number of ports is wanted".to_owned()),
        },
        ["orlop", folder, address] => peers::orlop_role(folder, address),
        _ => return None,
    })
}

/// Runs a benchmark: plays a role, or measures and says the report.
pub fn run(measure: impl FnOnce(&[&str]) -> Result<Report, String>) -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = play(&words).unwrap_or_else(|| measure(&words).map(|report| report.print()));
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            std::process::ExitCode::FAILURE
        }
    }
}
