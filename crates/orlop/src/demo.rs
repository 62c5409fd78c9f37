//! `orlop demo`: a platform of its own in a temporary folder, and the story that is told on it.

use std::path::Path;
use std::process::ExitCode;

use base::{Problem, Result};
use demo::{Place, Report};
use kernel::Config;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::args::Demo;
use crate::control::Control;
use crate::down;
use crate::installation::Installation;
use crate::up::finish;

/// `orlop demo`: tells the story, then stops everything that was started for it.
pub(crate) fn main(args: &Demo, globals: &cli::Globals) -> ExitCode {
    crate::log::start();
    let report = Report::new(globals.json);
    let folder = tempfile::Builder::new().prefix("orlop-demo-").tempdir();
    let outcome = folder.map_err(|e| Problem::unavailable("no-temporary-folder", e)).and_then(|folder| {
        let place = Installation::find(Some(&folder.path().join("data")))?;
        let told = tell(&place, folder.path(), &report, args.exit);
        let stopped = down::stop(&place, false);
        told.and(stopped.map(drop))
    });
    report.end(&outcome);
    match globals.json {
        true => ExitCode::from(u8::from(outcome.is_err() || !report.all_ok())),
        false => finish(outcome.and_then(|()| report.verdict()), false),
    }
}

/// Tells the story; unless `exit`, the platform runs on until Ctrl-C.
fn tell(place: &Installation, folder: &Path, report: &Report, exit: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Problem::internal("no-runtime", e))?;
    runtime.block_on(async {
        let mut running = None;
        let played = tokio::select! {
            played = demo::play(report, start(place, folder, &mut running)) => played,
            _ = tokio::signal::ctrl_c() => Err(Problem::conflict("stopped", "stopped by Ctrl-C")),
        };
        if let (Ok(invitation), false) = (&played, exit) {
            report.say(invitation);
            // Without a way to be told to stop there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
            report.say("\nStopping everything and removing the folder…");
        }
        if let Some((stop, serving)) = running {
            let _ = stop.send(());
            let _ = serving.await;
        }
        played.map(drop)
    })
}

type Serving = (oneshot::Sender<()>, JoinHandle<()>);

async fn start(place: &Installation, folder: &Path, running: &mut Option<Serving>) -> Result<Place> {
    let mut config = Config::defaults(&place.data);
    config.listen.set_port(0);
    config.gateway.listen.set_port(0);
    let control = Control::start(place, config).await?;
    let at = Place {
        url: control.running.url.clone(),
        code: control.sign_in.code.clone(),
        gateway: control.platform.config().gateway.listen,
        domain: control.platform.config().domain.clone(),
        folder: folder.to_owned(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(control.serve(async move {
        // Dropped counts as told.
        let _ = stopped.await;
    }));
    *running = Some((stop, serving));
    Ok(at)
}
