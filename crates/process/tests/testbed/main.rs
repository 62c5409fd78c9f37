//! What the platform's binary does for the engine, and nothing else: the tests' keeper.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(word) if word == "shim" => process::shim_main(args),
        _ => {
            eprintln!("the first word is `shim`");
            ExitCode::FAILURE
        }
    }
}
