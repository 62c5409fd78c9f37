//! The tools of the people who build Orlop: `cargo xtask tidy` checks the rules of the house and
//! `cargo xtask test` passes everything that has to pass before a change lands.

mod bench;
mod command;
mod mutants;
mod rules;
mod source;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

  tidy [--json] [--rule NAME]...   the rules of ARCHITECTURE.md as checks
  tidy --tighten                   lower the numbers of xtask/ratchets.toml to what is there now
  tidy --list                      the rules, each with its reason
  test [--quick] [--only STAGE]... [--json]
                                   everything that must pass: format, lints, tidy, tests, examples
  test --list                      the stages
  bench [NAME]... [--quick] [--json] [--install-peers]
                                   speed and cost beside nginx and HAProxy; writes docs/benchmarks.md
  bench --list                     the benchmarks
  mutants [ARGUMENT]...            changes the deciding code in small ways; the tests must notice each
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((verb, rest)) if verb == "tidy" => tidy::main(rest),
        Some((verb, rest)) if verb == "test" => test::main(rest),
        Some((verb, rest)) if verb == "bench" => bench::main(rest),
        Some((verb, rest)) if verb == "mutants" => mutants::main(rest),
        Some((verb, _)) if matches!(verb.as_str(), "help" | "--help" | "-h") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some((verb, _)) => Err(format!("`{verb}` is not a command of xtask\n\n{HELP}")),
        None => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
