//! `orlop demo`: the whole movement in about a minute, with the real git, on a platform of its own.

mod report;
mod story;
mod visitor;

use std::process::ExitCode;
use std::sync::Arc;

use base::Problem;

use crate::args::Demo;
use crate::down;
use crate::installation::Installation;
use crate::up::finish;
use report::Report;

pub(crate) fn main(args: &Demo, globals: &cli::Globals) -> ExitCode {
    crate::log::start();
    let report = Arc::new(Report::new(globals.json));
    let outcome = tempfile::Builder::new()
        .prefix("orlop-demo-")
        .tempdir()
        .map_err(|e| Problem::unavailable("no-temporary-folder", e))
        .and_then(|folder| {
            let place = Installation::find(Some(&folder.path().join("data")))?;
            let told = story::tell(&place, folder.path(), &report, args.exit);
            let stopped = down::stop(&place, false);
            told.and(stopped.map(drop))
        });
    report.end(&outcome);
    match globals.json {
        true => ExitCode::from(u8::from(outcome.is_err() || !report.all_ok())),
        false => finish(outcome.and_then(|()| report.verdict()), false),
    }
}

