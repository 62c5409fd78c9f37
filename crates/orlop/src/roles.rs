//! The roles that the platform starts by itself; people do not type them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use base::{Problem, Result};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_http::services::{ServeDir, ServeFile};

use crate::{guard, log};

/// When a site's server is told to stop, answers under way get this long.
const SITE_DRAIN: Duration = Duration::from_secs(10);
/// A visitor of a site must have sent a request's head within this span.
const SITE_HEADER_DEADLINE: Duration = Duration::from_secs(10);

/// Plays a hidden role, if the command line names one.
pub(crate) fn hidden() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let role = args.next()?;
    let rest: Vec<OsString> = args.collect();
    match role.to_str()? {
        "shim" => Some(process::shim_main(rest)),
        "steps" => Some(deliver::steps_main(&words(rest))),
        "gateway" => Some(finish(gateway_main(&words(rest)))),
        "guard" => Some(finish(guard::main(&words(rest)))),
        "site" => Some(finish(site_main(&words(rest)))),
        _ => None,
    }
}

fn words(args: Vec<OsString>) -> Vec<String> {
    args.into_iter().map(|a| a.to_string_lossy().into_owned()).collect()
}

fn finish(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            log::say!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        0 => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build().map_err(|e| Problem::internal("no-runtime", e))
}

/// `orlop gateway FOLDER ADDRESS`. With a third word, `again`, it was started by the guard of one that
/// had vanished: there is nobody who would try again, so it does so itself.
fn gateway_main(args: &[String]) -> Result<()> {
    let (folder, address, again) = match args {
        [folder, address] => (folder, address, false),
        [folder, address, again] if again == guard::AGAIN => (folder, address, true),
        _ => {
            return Err(Problem::invalid("usage", "orlop gateway FOLDER ADDRESS").hint(
                "`orlop up` starts it by itself; by hand, where no control plane can run: the folder is `gateway` in the data folder",
            ));
        }
    };
    let listen: SocketAddr = address.parse().map_err(|e| Problem::invalid("bad-address", format!("{address}: {e}")))?;
    log::start();
    let _presence = guard::presence(Path::new(folder))?;
    let guard = guard::Guard::default();
    let runtime = runtime(0)?;
    let ended = loop {
        let mut options = gateway::Options::new(PathBuf::from(folder));
        options.listen = vec![listen];
        options.take_over = true;
        let mut served = false;
        let outcome = runtime.block_on(gateway::run(options, |addresses| {
            served = true;
            // Where any port would do, the one that was found is the one to come back to.
            let found = addresses.first().filter(|_| listen.port() == 0);
            guard.begin([folder.clone(), found.unwrap_or(&listen).to_string()]);
        }));
        let Err(problem) = &outcome else { break outcome };
        if served || !again || runtime.block_on(guard::is_needless(Path::new(folder))) {
            break outcome;
        }
        tracing::warn!(%problem, "the gateway does not start; it is tried again");
        std::thread::sleep(guard::PAUSE_LONG);
    };
    guard.end();
    ended
}

/// `orlop site FOLDER`: serves the files of a folder on `$PORT`.
fn site_main(args: &[String]) -> Result<()> {
    let [folder] = args else { return Err(Problem::invalid("usage", "orlop site FOLDER")) };
    let port = std::env::var("PORT").ok().and_then(|p| p.parse::<u16>().ok());
    let port = port.ok_or_else(|| Problem::invalid("no-port", "PORT is not set to a port number"))?;
    runtime(1)?.block_on(serve_site(PathBuf::from(folder), port))
}

async fn serve_site(folder: PathBuf, port: u16) -> Result<()> {
    let failed =
        |e: std::io::Error| Problem::unavailable("listen-failed", format!("cannot listen on port {port}: {e}"));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
    let not_found = ServeFile::new(folder.join("404.html"));
    let files = ServeDir::new(&folder).precompressed_gzip().precompressed_br().not_found_service(not_found);
    println!("{{\"level\":\"info\",\"message\":\"serving files\",\"port\":{port}}}");
    let mut stop = signal(SignalKind::terminate()).map_err(failed)?;
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stop.recv() => break,
        };
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(SITE_HEADER_DEADLINE);
        let service = TowerToHyperService::new(files.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service).into_owned());
        tokio::spawn(async move {
            // The visitor went away: nothing to do.
            let _ = connection.await;
        });
    }
    let _ = tokio::time::timeout(SITE_DRAIN, connections.shutdown()).await;
    Ok(())
}
