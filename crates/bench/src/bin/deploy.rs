//! What the platform adds to a build, with the real binary and the real git: from a push to the
//! first answer, a one-line change of the demonstration's service, rollback, the start of an
//! instance; and what the keeper of an instance takes.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use api::catalog::{RenderTemplate, TemplateInputs, TemplatePath};
use api::deliver::BuildState;
use api::run::{ListInstances, PlaceQuery};
use base::{Problem, Result};
use bench::stats::{median, told};
use bench::{Report, Table, cpu};
use e2e::{Installation, Options, Source};
use serde_json::json;

/// The defaults of the platform, where the end-to-end harness would choose shorter spans.
const DEFAULTS: [&str; 4] =
    ["rollout.verify=2s", "rollout.worker_ready=2s", "rollout.drain_deadline=30s", "rollout.start_deadline=1m"];
/// How often a visitor asks.
const ASK_EVERY: Duration = Duration::from_millis(3);
/// No change may take longer to be seen.
const SEEN_WITHIN: Duration = Duration::from_secs(120);
/// Nor all of it.
const ALL_WITHIN: Duration = Duration::from_secs(480);
/// A program without a build, which starts fast: what is measured is the platform.
const SERVER: &str = "\
import os
import socket
text = open('text').read().encode()
listener = socket.create_server(('127.0.0.1', int(os.environ['PORT'])), backlog=64)
while True:
    visitor, _ = listener.accept()
    visitor.settimeout(5)
    try:
        while visitor.recv(4096):
            visitor.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(text), text))
            break
    except OSError:
        pass
    visitor.close()
";

fn main() -> ExitCode {
    bench::run(|args| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let all = async {
            let late = |_| Problem::timeout("not-ended", format!("not done within {} s", ALL_WITHIN.as_secs()));
            tokio::time::timeout(ALL_WITHIN, measure(args)).await.map_err(late)?
        };
        runtime.map_err(|why| why.to_string())?.block_on(all).map_err(|problem| problem.to_string())
    })
}

async fn measure(args: &[&str]) -> Result<Report> {
    let quick = args.contains(&"--quick");
    let rounds = if quick { 2 } else { 5 };
    let mut report = Report::default();
    let place = Installation::with(Options::with(&DEFAULTS)).await?;
    let begun = (cpu::Others::begin(), Instant::now());
    let mut table = Table::new("Deploys", &["what", "seconds to the first answer", "seconds until the command ended"]);
    unbuilt(&place, rounds, &mut table, &mut report).await?;
    demo(&place, if quick { 1 } else { 3 }, &mut table, &mut report).await?;
    report.table(table);
    report.note(format!(
        "A command ends once the rollout has: after the new release answered it is watched for `rollout.verify` (2 s \
         by default) and the old one drains. Visitors have the new release from the first answer on. All figures are \
         with the defaults. Medians, spread in brackets; {:.0} s in all, {:.1} processors busy with everything.",
        begun.1.elapsed().as_secs_f64(),
        begun.0.end(0.0)
    ));
    Ok(report)
}

/// A service without a build: all of the time is the platform's.
async fn unbuilt(place: &Installation, rounds: usize, table: &mut Table, report: &mut Report) -> Result<()> {
    let source = Source::at(place, "plain")?;
    source
        .write("Procfile", "web: python3 -S -E server.py\n")?
        .write("server.py", SERVER)?
        .write("text", "version 0")?;
    source.push().await?.good()?;
    let (mut pushes, mut backs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        source.write("text", format!("version {round}"))?;
        pushes
            .push(timed(&source, &format!("version {round}"), async { source.push().await?.good().map(drop) }).await?);
        backs.push(
            timed(&source, &format!("version {}", round - 1), async {
                source.orlop(&["rollback", "--service", "plain"]).await?.done().map(drop)
            })
            .await?,
        );
        source.push().await.map(drop)?;
    }
    tell("push of a service without a build", &pushes, table, report);
    tell("rollback", &backs, table, report);
    let first = |all: &[Timed]| median(&all.iter().map(|t| t.answered).collect::<Vec<_>>());
    let (push, back) = (first(&pushes), first(&backs));
    report.target("deploy: push to first answer, beside the build", "≤ 2 s", format!("{push:.2} s"), Some(push <= 2.0));
    report.target("rollback: command to first answer", "≤ 2 s", format!("{back:.2} s"), Some(back <= 2.0));
    starts(place, &source, rounds, report).await?;
    keeper(place, report);
    Ok(())
}

/// The service of the demonstration: a Rust program, changed by one line.
async fn demo(place: &Installation, rounds: usize, table: &mut Table, report: &mut Report) -> Result<()> {
    let source = Source::at(place, "hello")?;
    let template = TemplatePath { template: "web".parse()? };
    let inputs = TemplateInputs { service: source.service.clone() };
    for file in place.client.send::<RenderTemplate>(&template, &inputs).await?.files {
        source.write(&file.path, &file.content)?;
    }
    let cold = timed(&source, "Hello from", async { source.push().await?.good().map(drop) }).await?;
    let mut changes = Vec::new();
    let mut builds = Vec::new();
    let mut before = "from {SERVICE}".to_owned();
    for round in 1..=rounds {
        let after = format!("{round} times, from {{SERVICE}}");
        source.edit("src/pages.rs", &before, &after)?;
        let text = format!("Hello {round} times, from");
        changes.push(timed(&source, &text, async { source.push().await?.good().map(drop) }).await?);
        let build = source.builds().await?.into_iter().find(|build| build.state == BuildState::Succeeded);
        builds.push(build.iter().flat_map(|b| &b.steps).filter_map(|s| s.took_ms).sum::<u64>() as f64 / 1000.0);
        before = after;
    }
    tell("demo's service, first push (cold build)", &[cold], table, report);
    tell("demo's service, one line changed", &changes, table, report);
    let answered: Vec<f64> = changes.iter().map(|t| t.answered).collect();
    let beside: Vec<f64> = answered.iter().zip(&builds).map(|(all, build)| all - build).collect();
    let change = median(&answered);
    report.target("one-line change of the demo's service", "< 20 s", told(&answered, 1) + " s", Some(change < 20.0));
    report.note(format!(
        "Of a one-line change the build's own steps took {} s; everything beside them {} s.",
        told(&builds, 1),
        told(&beside, 2)
    ));
    report.raw("demo", json!({ "answered": answered, "build": builds }));
    Ok(())
}

/// From the beginning of a command to the first new answer, and to its end, seconds.
#[derive(Clone, Copy)]
struct Timed {
    answered: f64,
    ended: f64,
}

async fn timed(source: &Source<'_>, text: &str, command: impl Future<Output = Result<()>>) -> Result<Timed> {
    let begun = Instant::now();
    let answered = async {
        while !source.ask("/").await.is_ok_and(|answer| answer.status == 200 && answer.body.contains(text)) {
            if begun.elapsed() > SEEN_WITHIN {
                return Err(Problem::timeout("not-seen", format!("nobody answers `{text}`")));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(begun.elapsed().as_secs_f64())
    };
    let ended = async {
        command.await?;
        Ok::<_, Problem>(begun.elapsed().as_secs_f64())
    };
    let (answered, ended) = tokio::try_join!(answered, ended)?;
    eprintln!("{text}: answered after {answered:.2} s, ended after {ended:.2} s");
    Ok(Timed { answered, ended })
}

fn tell(what: &str, all: &[Timed], table: &mut Table, report: &mut Report) {
    let (answered, ended): (Vec<f64>, Vec<f64>) = all.iter().map(|t| (t.answered, t.ended)).unzip();
    table.row(vec![what.to_owned(), told(&answered, 2), told(&ended, 2)]);
    report.raw(what, json!({ "answered": answered, "ended": ended }));
}

/// From the start of an instance to its first answered probe, beside the same program started bare.
async fn starts(place: &Installation, source: &Source<'_>, rounds: usize, report: &mut Report) -> Result<()> {
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let known: Vec<_> = instances(source, place).await?.into_iter().map(|i| i.instance).collect();
        source.orlop(&["scale", "--service", "plain", "web=4"]).await?.done()?;
        let begun = Instant::now();
        let new = loop {
            let all = instances(source, place).await?;
            let new: Vec<_> = all.into_iter().filter(|i| i.state == "ready" && !known.contains(&i.instance)).collect();
            if new.len() == 3 || begun.elapsed() > SEEN_WITHIN {
                break new;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        own.extend(new.iter().map(|i| (i.since.micros() - i.started.micros()) as f64 / 1000.0));
        for _ in 0..3 {
            bare.push(bare_start(&source.folder)?);
        }
        source.orlop(&["scale", "--service", "plain", "web=1"]).await?.done()?;
        while instances(source, place).await?.iter().filter(|i| i.state != "exited").count() > 1
            && begun.elapsed() < SEEN_WITHIN
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let more = median(&own) - median(&bare);
    eprintln!("start: {} ms as an instance, {} ms bare", told(&own, 0), told(&bare, 0));
    report.target(
        "start of an instance, over the bare process",
        "≤ 50 ms",
        format!("{more:.0} ms"),
        Some(more <= 50.0),
    );
    report.note(format!(
        "An instance answers its first probe {} ms after it is started (three at once); the same program without the \
         platform answers its first request after {} ms.",
        told(&own, 0),
        told(&bare, 0)
    ));
    report.raw("starts", json!({ "instanceMs": own, "bareMs": bare }));
    Ok(())
}

async fn instances(source: &Source<'_>, place: &Installation) -> Result<Vec<api::run::Instance>> {
    Ok(place.client.list::<ListInstances>(&source.path(), &PlaceQuery::default()).await?.items)
}

/// Milliseconds from the start of the program to its first answer.
fn bare_start(folder: &Path) -> Result<f64> {
    let failed = |why: String| Problem::unavailable("bare-start", why);
    let address = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    let address = address.map_err(|why| failed(why.to_string()))?;
    let begun = Instant::now();
    let _program =
        bench::program::start_in(folder, &["python3", "-S", "-E", "server.py"], &[("PORT", &address.port())])
            .map_err(failed)?;
    loop {
        if bench::program::answers(address) {
            return Ok(begun.elapsed().as_secs_f64() * 1000.0);
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(failed("the program does not answer".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Memory of the keeper of one instance.
fn keeper(place: &Installation, report: &mut Report) {
    let data = place.data().display().to_string();
    let found = cpu::processes(|line| line.contains("\0shim\0") && line.contains(&data));
    let Some(pid) = found.first() else {
        report.target("the keeper of an instance (shim)", "≤ 5 MB", "no keeper was found".to_owned(), None);
        return;
    };
    let memory = cpu::memory(*pid);
    report.target("the keeper of an instance (shim)", "≤ 5 MB", memory.told(), Some(memory.proportional_kib <= 5000.0));
    report.raw("keeper", memory.json());
}
