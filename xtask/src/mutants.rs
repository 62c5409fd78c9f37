//! `cargo xtask mutants`: cargo-mutants over the code that decides, as `.cargo/mutants.toml` says.
//! It takes long (each change is a build), so it is no stage of `cargo xtask test`; the same checks,
//! switched off one by one, are in the tests of `server`.

use crate::command::{self, Stream};

/// Runs cargo-mutants; further arguments go to it (`--list`, `--shard 1/4`, `--file PATH`).
///
/// # Errors
/// Says how to get it where it is missing.
pub fn main(args: &[String]) -> Result<bool, String> {
    let root = command::root();
    if command::output(&root, "cargo", &["mutants", "--version"]).is_none() {
        return Err("cargo-mutants is not here: `cargo install cargo-mutants --locked`".to_owned());
    }
    let fixed = ["cargo", "mutants", "--workspace", "--output", "target/evidence"].map(str::to_owned);
    let argv: Vec<String> = fixed.into_iter().chain(args.iter().cloned()).collect();
    command::stream(&root, &argv, &[], |stream, line| match stream {
        Stream::Out => println!("{line}"),
        Stream::Err => eprintln!("{line}"),
    })
}
