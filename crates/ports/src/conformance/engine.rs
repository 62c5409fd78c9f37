//! What every [`Engine`] does. An engine's own tests give a [`World`] and call [`run`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, InstanceId};
use futures_util::StreamExt;

use super::handing;
use crate::{Engine, ExitKind, InstanceSeen, InstanceSpec, InstanceState, LogCursor, LogEnd, LogLine, LogStream};

/// What a program inside an instance shall do. The fixture turns it into a specification that makes
/// its engine do so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Listens on `PORT` after `late`, answers its health check, ends with status 0 on SIGTERM.
    Serve {
        /// How long it takes to listen.
        late: Duration,
    },
    /// As `Serve`, but its health check fails from one moment after its start to another.
    ServeSick {
        /// First moment.
        from: Duration,
        /// Last moment.
        to: Duration,
    },
    /// Never listens on `PORT`.
    ServeDeaf,
    /// Runs for ever without a port and without a health check.
    Sleep,
    /// Runs for ever and ignores SIGTERM.
    Stubborn,
    /// Ends with this status.
    Exit(u8),
    /// Ends by SIGABRT.
    Abort,
    /// Writes one line to standard output and one to standard error, then ends with status 0.
    Say(String, String),
    /// Writes the numbers from 0 on, one per line and this far apart, then ends with status 0.
    Count(u64, Duration),
    /// A program that does not exist.
    NoProgram,
    /// A build that leaves `/workspace/out` with `a.txt` (`ay`), `b.txt` (`bee`), `sub/run`
    /// (executable) and `sub/link` → `../a.txt`, and `/workspace/bad` with a link to `/etc/passwd`.
    Build,
}

/// The engine under test and what belongs to it.
#[async_trait]
pub trait World: Send + Sync {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;
    /// The control plane dies and another one starts on the same state: from now on
    /// [`World::engine`] is the new engine.
    async fn reopen(&mut self);
    /// A new id.
    fn new_id(&self) -> InstanceId;
    /// A specification of an instance that does this. `Serve*` have a port and an HTTP health check
    /// every 50 ms; `Exit`, `Abort`, `Say`, `Count`, `Build` and `NoProgram` are tasks.
    async fn spec(&self, id: InstanceId, act: Act) -> InstanceSpec;
}

/// Longest wait for anything; only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const G1: Generation = Generation(1);
const G2: Generation = Generation(2);
const G3: Generation = Generation(3);

/// Runs the whole suite.
pub async fn run(world: &mut dyn World) {
    ensure_starts_once(world).await;
    states_follow_the_health_check(world).await;
    exits_have_their_kind(world).await;
    stopping_is_gentle_then_firm(world).await;
    older_generations_are_refused(world).await;
    removal_forgets(world).await;
    logs_have_cursors(world).await;
    deadlines_end_tasks(world).await;
    builds_are_exported(world).await;
    a_new_engine_finds_everything(world).await;
    unknown_instances_are_told_apart(world).await;
}

/// Waits until the instance is as wanted; panics with its last sight otherwise.
pub async fn wait(
    engine: &Arc<dyn Engine>,
    id: InstanceId,
    what: &str,
    is: impl Fn(&InstanceSeen) -> bool,
) -> InstanceSeen {
    let mut last = None;
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(seen) = engine.get(id).await.expect("an engine tells about its instances") {
            if is(&seen) {
                return seen;
            }
            last = Some(seen);
        }
        engine.changed(Duration::from_millis(100)).await;
    }
    let log = engine.log_tail(id, 20).await;
    panic!("{id} did not become {what}; last seen: {last:#?}; log: {log:#?}");
}

/// Waits for the end and returns how it was.
pub async fn wait_exit(engine: &Arc<dyn Engine>, id: InstanceId) -> (ExitKind, InstanceSeen) {
    let seen = wait(engine, id, "ended", |seen| !seen.state.is_running()).await;
    match &seen.state {
        InstanceState::Exited { kind } => (kind.clone(), seen),
        other => panic!("{other:?} is not an end"),
    }
}

/// Waits for readiness.
pub async fn wait_ready(engine: &Arc<dyn Engine>, id: InstanceId) -> InstanceSeen {
    wait(engine, id, "ready", |seen| seen.state == InstanceState::Ready).await
}

async fn start(world: &dyn World, act: Act) -> InstanceId {
    let id = world.new_id();
    let spec = world.spec(id, act).await;
    world.engine().ensure(&spec, G1).await.expect("a good specification is started");
    id
}

/// Stops and removes.
async fn clear(world: &dyn World, id: InstanceId) {
    let engine = world.engine();
    let last = Generation(i64::MAX);
    engine.stop(id, last, Duration::ZERO).await.expect("stop");
    wait_exit(&engine, id).await;
    engine.remove(id, last).await.expect("remove");
}

async fn ensure_starts_once(world: &dyn World) {
    let engine = world.engine();
    let id = world.new_id();
    let spec = world.spec(id, Act::Serve { late: Duration::ZERO }).await;
    let first = engine.ensure(&spec, G1).await.expect("start");
    assert_eq!((first.id, first.generation), (id, G1));
    let ready = wait_ready(&engine, id).await;
    let address = ready.address.clone().expect("an instance with a port has an address");
    assert!(handing::connect(&address).await.is_ok(), "a ready instance accepts connections");
    let (a, b) = tokio::join!(engine.ensure(&spec, G1), engine.ensure(&spec, G1));
    for again in [a.expect("again"), b.expect("again")] {
        assert_eq!((again.started, &again.address), (ready.started, &ready.address), "nothing was started again");
        assert_eq!(again.state, InstanceState::Ready);
    }
    let all = engine.list().await.expect("list");
    assert_eq!(all.iter().filter(|seen| seen.id == id).count(), 1);
    clear(world, id).await;
    let seen = start(world, Act::Exit(0)).await;
    wait_exit(&engine, seen).await;
    let spec = world.spec(seen, Act::Exit(0)).await;
    let again = engine.ensure(&spec, G2).await.expect("ensure an ended instance");
    assert!(!again.state.is_running(), "what has ended is not started again");
    clear(world, seen).await;
}

async fn states_follow_the_health_check(world: &dyn World) {
    let engine = world.engine();
    let late = start(world, Act::Serve { late: Duration::from_millis(400) }).await;
    let starting = engine.get(late).await.expect("get").expect("known");
    assert_eq!(starting.state, InstanceState::Starting);
    let ready = wait_ready(&engine, late).await;
    assert!(ready.since >= starting.since && ready.since >= ready.started);
    assert!(!ready.evidence.is_empty() && !ready.evidence.contains('\n'));
    clear(world, late).await;

    let (from, to) = (Duration::from_millis(500), Duration::from_millis(1500));
    let sick = start(world, Act::ServeSick { from, to }).await;
    wait_ready(&engine, sick).await;
    let unready = wait(&engine, sick, "unready", |seen| seen.state == InstanceState::Unready).await;
    assert!(!unready.evidence.is_empty());
    wait_ready(&engine, sick).await;
    clear(world, sick).await;

    let deaf = start(world, Act::ServeDeaf).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let seen = engine.get(deaf).await.expect("get").expect("known");
    assert_eq!(seen.state, InstanceState::Starting, "without an answer nothing is ready");
    clear(world, deaf).await;

    let plain = start(world, Act::Sleep).await;
    wait_ready(&engine, plain).await;
    clear(world, plain).await;
}

async fn exits_have_their_kind(world: &dyn World) {
    let engine = world.engine();
    for (act, expect) in [
        (Act::Exit(0), ExitKind::Status { status: 0 }),
        (Act::Exit(7), ExitKind::Status { status: 7 }),
        (Act::Abort, ExitKind::Signal { signal: 6 }),
        (Act::NoProgram, ExitKind::NotStarted),
    ] {
        let id = start(world, act.clone()).await;
        let (kind, seen) = wait_exit(&engine, id).await;
        assert_eq!(kind, expect, "{act:?}: {}", seen.evidence);
        assert!(!seen.evidence.is_empty() && !seen.evidence.contains('\n'), "{act:?}");
        clear(world, id).await;
    }
}

async fn stopping_is_gentle_then_firm(world: &dyn World) {
    let engine = world.engine();
    let gentle = start(world, Act::Serve { late: Duration::ZERO }).await;
    wait_ready(&engine, gentle).await;
    engine.stop(gentle, G1, Duration::from_secs(20)).await.expect("stop");
    assert_eq!(wait_exit(&engine, gentle).await.0, ExitKind::Stopped { killed: false });
    engine.stop(gentle, G1, Duration::ZERO).await.expect("stopping what has ended is no error");
    clear(world, gentle).await;

    let firm = start(world, Act::Stubborn).await;
    said(&engine, firm, "ignoring SIGTERM").await;
    engine.stop(firm, G1, Duration::from_millis(700)).await.expect("stop");
    let seen = engine.get(firm).await.expect("get").expect("known");
    assert_eq!(seen.state, InstanceState::Stopping, "it has its grace");
    assert_eq!(wait_exit(&engine, firm).await.0, ExitKind::Stopped { killed: true });
    clear(world, firm).await;

    let hurried = start(world, Act::Stubborn).await;
    said(&engine, hurried, "ignoring SIGTERM").await;
    engine.stop(hurried, G1, Duration::from_secs(3600)).await.expect("stop");
    engine.stop(hurried, G2, Duration::ZERO).await.expect("stop sooner");
    assert_eq!(wait_exit(&engine, hurried).await.0, ExitKind::Stopped { killed: true });
    clear(world, hurried).await;
}

async fn older_generations_are_refused(world: &dyn World) {
    let engine = world.engine();
    let id = world.new_id();
    let spec = world.spec(id, Act::Sleep).await;
    engine.ensure(&spec, G2).await.expect("start");
    let stale = |result: base::Result<()>, what: &str| {
        assert_eq!(result.expect_err(what).code, "stale-generation", "{what}");
    };
    stale(engine.ensure(&spec, G1).await.map(drop), "ensure");
    stale(engine.stop(id, G1, Duration::ZERO).await, "stop");
    stale(engine.remove(id, G1).await, "remove");
    wait_ready(&engine, id).await;
    engine.ensure(&spec, G3).await.expect("a newer generation");
    assert_eq!(engine.get(id).await.expect("get").expect("known").generation, G3);
    stale(engine.stop(id, G2, Duration::ZERO).await, "stop with what was new before");
    engine.stop(id, G3, Duration::ZERO).await.expect("stop");
    wait_exit(&engine, id).await;
    stale(engine.remove(id, G2).await, "remove");
    engine.remove(id, G3).await.expect("remove");
    stale(engine.ensure(&spec, G2).await.map(drop), "a removed instance does not come back");
}

async fn removal_forgets(world: &dyn World) {
    let engine = world.engine();
    let id = start(world, Act::Sleep).await;
    let refused = engine.remove(id, G1).await.expect_err("a running instance is not removed");
    assert_eq!(refused.code, "instance-running");
    engine.stop(id, G1, Duration::ZERO).await.expect("stop");
    wait_exit(&engine, id).await;
    engine.remove(id, G1).await.expect("remove");
    engine.remove(id, G1).await.expect("removing twice is no error");
    assert_eq!(engine.get(id).await.expect("get"), None);
    assert!(engine.list().await.expect("list").iter().all(|seen| seen.id != id));
}

/// Waits until a line is in the log.
async fn said(engine: &Arc<dyn Engine>, id: InstanceId, text: &str) {
    let began = std::time::Instant::now();
    while began.elapsed() < PATIENCE {
        if engine.logs(id, None, 1000).await.expect("log").iter().any(|line| line.text == text) {
            return;
        }
        engine.changed(Duration::from_millis(50)).await;
    }
    panic!("{id} never said `{text}`");
}

/// The lines of the program itself.
fn own(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().filter(|line| line.stream != LogStream::Platform).map(|line| line.text.as_str()).collect()
}

async fn logs_have_cursors(world: &dyn World) {
    let engine = world.engine();
    let id = start(world, Act::Say("to out".into(), "to err".into())).await;
    wait_exit(&engine, id).await;
    let lines = engine.logs(id, None, 1000).await.expect("log");
    let find = |text: &str| lines.iter().find(|line| line.text == text).expect(text).stream;
    assert_eq!((find("to out"), find("to err")), (LogStream::Out, LogStream::Err));
    assert!(lines.iter().any(|line| line.stream == LogStream::Platform), "the platform remarks on the end");
    clear(world, id).await;

    let id = start(world, Act::Count(200, Duration::from_millis(2))).await;
    let (mut read, mut from): (Vec<LogLine>, Option<LogCursor>) = (Vec::new(), None);
    loop {
        let ended = !engine.get(id).await.expect("get").expect("known").state.is_running();
        let lines = engine.logs(id, from, 7).await.expect("log");
        assert!(lines.len() <= 7);
        from = lines.last().map(|line| line.cursor).or(from);
        if ended && lines.is_empty() {
            break;
        }
        if lines.is_empty() {
            engine.changed(Duration::from_millis(10)).await;
        }
        read.extend(lines);
    }
    let expect: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    assert_eq!(own(&read), expect, "every line once, in order");
    assert!(read.is_sorted_by(|a, b| a.cursor < b.cursor), "cursors grow");
    let tail = engine.log_tail(id, 5).await.expect("log");
    assert_eq!(tail, read.get(read.len() - 5..).expect("there are more"));
    logs_are_read_backwards(&*engine, id, &read).await;
    clear(world, id).await;
}

async fn deadlines_end_tasks(world: &dyn World) {
    let engine = world.engine();
    let id = world.new_id();
    let spec = InstanceSpec { deadline: Some(Duration::from_millis(300)), ..world.spec(id, Act::Stubborn).await };
    engine.ensure(&spec, G1).await.expect("start");
    assert_eq!(wait_exit(&engine, id).await.0, ExitKind::Deadline);
    clear(world, id).await;
}

async fn builds_are_exported(world: &dyn World) {
    let engine = world.engine();
    let id = start(world, Act::Build).await;
    let (kind, seen) = wait_exit(&engine, id).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{}", seen.evidence);
    let tar = bytes_of(&engine, id, "/workspace/out").await.expect("export");
    assert_eq!(tar, bytes_of(&engine, id, "/workspace/out").await.expect("export"), "the same bytes each time");
    assert!(tar.len().is_multiple_of(512), "a tar stream has blocks of 512 bytes");
    let names = ["a.txt", "b.txt", "sub/", "sub/link", "sub/run"];
    let found: Vec<usize> = names.iter().map(|name| place_of_header(&tar, name)).collect();
    assert!(found.is_sorted(), "names are in order: {found:?}");
    for (path, code) in
        [("/workspace/bad", "export-refused"), ("/workspace/none", "export-path"), ("/etc", "export-path")]
    {
        let problem = bytes_of(&engine, id, path).await.expect_err(path);
        assert_eq!(problem.code, code, "{path}: {problem}");
    }
    clear(world, id).await;
}

async fn bytes_of(engine: &Arc<dyn Engine>, id: InstanceId, path: &str) -> base::Result<Vec<u8>> {
    let mut stream = engine.export(id, path).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// The block of a tar stream that begins with this name (POSIX ustar: the first 100 bytes).
fn place_of_header(tar: &[u8], name: &str) -> usize {
    let is = |block: &[u8]| {
        let field = block.get(..100).unwrap_or_default();
        let text = field.split(|b| *b == 0).next().unwrap_or_default();
        text == name.as_bytes() || text == name.trim_end_matches('/').as_bytes()
    };
    tar.chunks(512).position(is).unwrap_or_else(|| panic!("{name} is not in the archive"))
}

/// Piece by piece, and from any place: a line that was seen, or an instant.
async fn logs_are_read_backwards(engine: &dyn Engine, id: InstanceId, all: &[LogLine]) {
    let (mut back, mut until) = (Vec::new(), LogEnd::Newest);
    loop {
        let mut lines = engine.log_back(id, until, 7).await.expect("log");
        let Some(oldest) = lines.first() else { break };
        assert!(lines.len() <= 7);
        until = LogEnd::Before(oldest.cursor);
        lines.append(&mut back);
        back = lines;
    }
    assert_eq!(back, all, "every line once");
    let some = all.get(90).expect("there are more");
    let through = engine.log_back(id, LogEnd::Through(some.cursor), 1).await.expect("log");
    assert_eq!(through.as_slice(), std::slice::from_ref(some));
    let at = engine.log_back(id, LogEnd::At(some.at), 1).await.expect("log");
    let newest_then = all.iter().rfind(|line| line.at <= some.at);
    assert_eq!(at.first(), newest_then, "the last line that was written by then");
}

async fn a_new_engine_finds_everything(world: &mut dyn World) {
    let serving = start(world, Act::Serve { late: Duration::ZERO }).await;
    let counting = start(world, Act::Count(100, Duration::from_millis(10))).await;
    let ended = start(world, Act::Exit(3)).await;
    let before = wait_ready(&world.engine(), serving).await;
    let (_, exit_before) = wait_exit(&world.engine(), ended).await;
    let cursor = world.engine().logs(counting, None, 5).await.expect("log").last().map(|line| line.cursor);

    world.reopen().await;
    let engine = world.engine();
    let after = engine.get(serving).await.expect("get").expect("known");
    assert_eq!(
        (after.state.clone(), after.started, after.address, after.generation),
        (before.state.clone(), before.started, before.address, before.generation)
    );
    assert_eq!(engine.get(ended).await.expect("get").expect("known"), exit_before);
    wait_exit(&engine, counting).await;
    let all = engine.logs(counting, None, 1000).await.expect("log");
    let expect: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    assert_eq!(own(&all), expect, "no line was lost in between");
    let rest = engine.logs(counting, cursor, 1000).await.expect("log");
    assert!(all.ends_with(&rest), "a cursor means the same to a new engine");

    let spec = world.spec(serving, Act::Serve { late: Duration::ZERO }).await;
    let again = engine.ensure(&spec, G1).await.expect("ensure");
    assert_eq!(again.started, before.started, "nothing was started again");
    engine.stop(serving, G2, Duration::from_secs(20)).await.expect("stop");
    assert_eq!(wait_exit(&engine, serving).await.0, ExitKind::Stopped { killed: false });
    for id in [serving, counting, ended] {
        clear(world, id).await;
    }
}

async fn unknown_instances_are_told_apart(world: &dyn World) {
    let engine = world.engine();
    let id = world.new_id();
    engine.stop(id, G1, Duration::ZERO).await.expect("stopping what is unknown is no error");
    engine.remove(id, G1).await.expect("removing what is unknown is no error");
    assert_eq!(engine.get(id).await.expect("get"), None);
    for (what, code) in [
        ("logs", engine.logs(id, None, 1).await.map(drop)),
        ("tail", engine.log_tail(id, 1).await.map(drop)),
        ("back", engine.log_back(id, LogEnd::Newest, 1).await.map(drop)),
        ("export", engine.export(id, "/workspace").await.map(drop)),
    ] {
        assert_eq!(code.expect_err(what).code, "instance-not-found", "{what}");
    }
}
