//! A server that answers as told and a machine that remembers what was said.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod host;
pub mod server;
pub mod world;

use std::ffi::OsString;
use std::path::PathBuf;

pub use host::TestHost;
pub use server::{Answer, Server};

/// What a command did.
pub struct Ran {
    pub exit: u8,
    pub out: String,
    pub err: String,
}

/// Runs a command line on a test machine.
pub fn run(host: &TestHost, args: &[&str]) -> Ran {
    let words = std::iter::once("orlop").chain(args.iter().copied()).map(OsString::from);
    let exit = cli::run(words, host).code();
    let (out, err) = host.take_said();
    Ran { exit, out, err }
}

/// Compares with the checked-in text; `ORLOP_SNAPSHOTS=write` writes it anew.
pub fn snapshot(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"));
    if std::env::var("ORLOP_SNAPSHOTS").is_ok_and(|v| v == "write") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expect = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expect == text,
        "{name} is not as in {}\n(where the new text is right: ORLOP_SNAPSHOTS=write cargo test --workspace --test commands)\n--- is\n{text}\n--- was\n{expect}",
        path.display()
    );
}
