//! `orlop up`: the control plane, and what it tells the person who started it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base::{Problem, Result};
use kernel::Config;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{self, Configured, Stored, Up};
use crate::control::Control;
use crate::installation::{Installation, Running, SignInFile};
use crate::{log, spawn};

/// A platform in the background must be ready within this span.
const READY: Duration = Duration::from_secs(30);

/// `orlop up`
pub(crate) fn main(args: Up, globals: &cli::Globals) -> ExitCode {
    let outcome = match args.detach {
        true => detach(&args.configured, globals.json),
        false => foreground(&args.configured, globals.json),
    };
    finish(outcome, globals.json)
}

/// `orlop config dump`
pub(crate) fn config(args: args::Config, globals: &cli::Globals) -> ExitCode {
    let args::Config::Dump(configured) = args;
    let outcome = load(&configured).and_then(|(_, config)| {
        let config = config.without_secrets();
        let text = match globals.json {
            true => serde_json::to_string_pretty(&config).map_err(|e| Problem::internal("config-dump", e))?,
            false => config.dump()?,
        };
        println!("{}", text.trim_end());
        Ok(())
    });
    finish(outcome, globals.json)
}

/// The exit status of a verb of this machine, its problem told where it belongs.
pub(crate) fn finish(outcome: Result<()>, json: bool) -> ExitCode {
    let Err(problem) = outcome else { return ExitCode::SUCCESS };
    if json {
        let body = api::ProblemBody::of(&problem, None);
        println!("{}", serde_json::to_string_pretty(&body).unwrap_or_default());
    } else {
        log::say!("error: {}", cli::clean(&problem.message));
        for (what, text) in
            [("at  ", problem.place.as_deref()), ("fix ", problem.hint.as_deref()), ("code", Some(&*problem.code))]
        {
            if let Some(text) = text {
                log::say!("  {what}  {}", cli::clean(text));
            }
        }
    }
    cli::Exit::of(&problem).into()
}

/// The installation and its configuration: defaults, file, environment, flags.
fn load(args: &Configured) -> Result<(Installation, Config)> {
    load_stored(&args.stored, flags(args)?)
}

/// The same for a verb that only looks at what is kept.
pub(crate) fn load_stored(args: &Stored, mut flags: Vec<(String, String)>) -> Result<(Installation, Config)> {
    let place = Installation::find(args.place.data.as_deref())?;
    let named = args.config.clone().or_else(|| std::env::var_os("ORLOP_CONFIG").map(PathBuf::from));
    if let Some(file) = named.as_deref().filter(|f| !f.exists()) {
        return Err(Problem::not_found("config-not-found", format!("there is no file {}", file.display())));
    }
    let file = named.unwrap_or_else(|| place.data.join("orlop.toml"));
    flags.extend(args.database.clone().map(|url| ("database".to_owned(), url)));
    refuse_passwords(&flags)?;
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let config = Config::load(&place.data, Some(&file), &env, &flags)?;
    Ok((place, config))
}

fn flags(args: &Configured) -> Result<Vec<(String, String)>> {
    let named = [
        ("listen", args.listen.map(|a| a.to_string())),
        ("gateway.listen", args.gateway_listen.map(|a| a.to_string())),
        ("domain", args.domain.clone()),
    ];
    let mut flags: Vec<_> = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    for pair in &args.set {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Problem::invalid("bad-flag", format!("`--set {pair}` is not KEY=VALUE"))
                .hint("for example `--set build.concurrency=1`")
        })?;
        flags.push((key.to_owned(), value.to_owned()));
    }
    Ok(flags)
}

/// A command line is read by everybody on the machine, for as long as the command runs.
fn refuse_passwords(flags: &[(String, String)]) -> Result<()> {
    if !flags.iter().any(|(key, value)| key == "database" && kernel::has_password(value)) {
        return Ok(());
    }
    Err(Problem::invalid(
        "secret-in-arguments",
        "the database's password stands on the command line, where everybody on this machine can read it",
    )
    .hint("put the URL into the variable ORLOP_DATABASE, or as `database` into the configuration file"))
}

fn foreground(args: &Configured, json: bool) -> Result<()> {
    log::start();
    let (place, config) = load(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Problem::internal("no-runtime", e))?;
    runtime.block_on(async {
        let mut term = signals(SignalKind::terminate())?;
        let mut int = signals(SignalKind::interrupt())?;
        let control = Control::start(&place, config).await?;
        announce(&control.running, &control.sign_in, json);
        control
            .serve(async move {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                }
            })
            .await;
        if !json {
            log::say!("The control plane has ended. Services and gateway go on; `orlop up` takes them over, `orlop down` stops them.");
        }
        Ok(())
    })
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|e| Problem::internal("no-signals", e))
}

/// Starts the same command in the background and waits until it is ready.
fn detach(args: &Configured, json: bool) -> Result<()> {
    let (place, _) = load(args)?;
    place.make()?;
    drop(place.lock()?);
    let log = place.log_file("control");
    let before = std::fs::metadata(&log).map(|m| m.len()).unwrap_or(0);
    let words: Vec<_> = std::env::args_os().skip(1).filter(|a| a != "--detach" && a != "-d" && a != "--json").collect();
    let mut child = spawn::role(words, spawn::Sees::All, &log)?;
    for _ in 0..READY.as_millis() / 20 {
        if let Some(running) = place.running().filter(|r| r.pid.cast_unsigned() == child.id())
            && let Some(sign_in) = place.read_sign_in()
        {
            announce(&running, &sign_in, json);
            return Ok(());
        }
        if let Ok(Some(_)) = child.try_wait() {
            return Err(said(&log, before));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Problem::timeout("not-ready", format!("the platform is not ready after {} s", READY.as_secs()))
        .hint(format!("its log is {}", log.display())))
}

/// What the platform in the background said when it ended.
fn said(log: &std::path::Path, before: u64) -> Problem {
    let bytes = std::fs::read(log).unwrap_or_default();
    let new = bytes.get(usize::try_from(before).unwrap_or(0)..).unwrap_or_default();
    let text = String::from_utf8_lossy(new);
    let line = |what: &str| text.lines().find_map(|l| l.trim().strip_prefix(what).map(str::to_owned));
    let code = line("code  ").unwrap_or_else(|| "not-started".to_owned());
    let problem = Problem::unavailable(code, line("error: ").unwrap_or_else(|| text.trim().to_owned()));
    match line("fix   ") {
        Some(fix) => problem.hint(fix),
        None => problem.hint(format!("its log is {}", log.display())),
    }
}

fn announce(running: &Running, sign_in: &SignInFile, json: bool) {
    let link = format!("{}/sign-in?code={}", sign_in.url, sign_in.code);
    let text = if json {
        let sign_in = serde_json::json!({ "link": link, "code": sign_in.code, "expires": sign_in.expires });
        format!("{:#}\n", serde_json::json!({ "running": running, "signIn": sign_in }))
    } else {
        format!(
            "Orlop is up.\n\
             \x20 API       {url}\n\
             \x20 services  {gateway} (SERVICE-ENVIRONMENT.{domain})\n\n\
             Sign in once, from this machine, until {until}:\n\
             \x20 browser   {link}\n\
             \x20 terminal  orlop login {url} --code {code}\n\
             \x20           (not needed here: the next `orlop` command of this user signs in by itself)\n\n\
             Next: `orlop deploy` in any folder with code, or `orlop new web hello` to begin with a template.\n",
            url = running.url,
            gateway = running.gateway,
            domain = running.domain,
            until = sign_in.expires,
            code = sign_in.code,
        )
    };
    // Nobody listens any more: the platform goes on all the same.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
