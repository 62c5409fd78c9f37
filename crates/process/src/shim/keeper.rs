//! The keeper's life: start the instance, watch it, write down what happens, clear up.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{Generation, InstanceId};
use ports::{ExitKind, InstanceState, LogStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit};

use super::control::{self, Answer, Request};
use super::disk::Watch;
use super::end::{Cause, Facts, seconds, verdict};
use super::health::Prober;
use super::network::{Network, host_socket};
use super::outward::Outward;
use crate::cgroup::Placed;
use crate::files::{self, State};
use crate::launch::{Epoch, Launch, Limits, Plan, Scratch};
use crate::log::{Redactor, Splitter, Writer};
use crate::sandbox::{self, Message, Running};
use crate::sys;

/// Bytes taken from one output per turn of the loop, so that a flood delays nothing else.
const READ_BYTES: usize = 64 << 10;
/// How long the engine may take to hear of a new state; one that is not told is found in its turn.
const TELL_WITHIN: Duration = Duration::from_millis(100);
/// How often a state file is rewritten when only its evidence changed.
const EVIDENCE_EVERY: Duration = Duration::from_secs(1);
/// How long output is read after everything inside has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// Keeps the instance until it has ended. The lock is held all the time.
pub(super) fn run(dir: PathBuf, launch: Launch, lock: File) -> Result<(), String> {
    let redactor = Arc::new(Redactor::of(&launch.hidden));
    let mut book = Book::open(launch.id, launch.generation, launch.epoch, Arc::clone(&redactor))?;
    let listener = listen().and_then(|l| sys::signal_fd(&[libc::SIGTERM]).map(|s| (l, s)));
    for signal in [libc::SIGPIPE, libc::SIGHUP, libc::SIGINT] {
        sys::ignore_signal(signal);
    }
    let (listener, signals) = listener.map_err(|e| format!("listen for the engine: {e}"))?;
    let started = network(&launch).and_then(|network| Ok((Keeper::start(&mut book, &launch)?, network)));
    match started {
        Ok((running, network)) => {
            let Launch { health, port, limits, deadline_ms, stop_grace_ms, plan, .. } = launch;
            let now = Instant::now();
            let keeper = Keeper {
                prober: health.as_ref().zip(port).map(|(health, port)| Prober::new(health, port, now)),
                watch: Watch::new(on_disk(&plan), running.init, now),
                running,
                network,
                book,
                limits,
                grace: Duration::from_millis(stop_grace_ms),
                deadline: deadline_ms.map(Duration::from_millis),
                began: now,
                outputs: [LogStream::Out, LogStream::Err].map(|stream| Output::new(stream, &redactor)),
                scratch: 0,
                cause: None,
                kill_at: None,
                status: None,
                up: false,
            };
            // The secrets go with the plan.
            drop(plan);
            keeper.watch(&listener, &signals);
        }
        Err(why) => {
            book.groups().remove();
            book.enter(InstanceState::Exited { kind: ExitKind::NotStarted }, why);
            super::report();
        }
    }
    for socket in [files::CONTROL, files::CONNECT] {
        let _ = std::fs::remove_file(socket);
    }
    drop((lock, dir));
    Ok(())
}

fn listen() -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(files::CONTROL);
    let listener = UnixListener::bind(files::CONTROL)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The keeper's end of the instance's own network, where it gets one. Connections are descriptors
/// here and in init: the usual limit of some services is raised to what the host allows.
fn network(launch: &Launch) -> Result<Option<Network>, String> {
    if !launch.plan.has_own_network() {
        return Ok(None);
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let outward = Outward::new(launch.calls.clone());
    let network = outward.and_then(|outward| Network::open(&launch.plan, outward));
    network.map(Some).map_err(|e| format!("listen for connections to the instance: {e}"))
}

fn on_disk(plan: &Plan) -> Vec<PathBuf> {
    let scratch = match &plan.scratch {
        Scratch::Disk(dir) => Some(dir.clone()),
        Scratch::Memory(_) => None,
    };
    plan.binds.iter().filter(|b| b.writable).map(|b| b.source.clone()).chain(scratch).collect()
}

/// State and log: everything that outlives the keeper.
struct Book {
    id: InstanceId,
    state: State,
    log: Writer,
    redactor: Arc<Redactor>,
    epoch: Epoch,
    written: Instant,
    dirty: bool,
    /// A state that must survive a loss of power could not be written yet.
    owed: bool,
}

impl Book {
    fn open(id: InstanceId, generation: Generation, epoch: Epoch, redactor: Arc<Redactor>) -> Result<Self, String> {
        let log = Writer::open(Path::new(files::LOG)).map_err(|e| format!("open the log: {e}"))?;
        let now = epoch.now();
        let state = State {
            generation,
            state: InstanceState::Starting,
            started: now,
            since: now,
            evidence: "the sandbox is being made".to_owned(),
            keeper: i32::try_from(std::process::id()).unwrap_or(0),
            init: None,
            boot: sys::boot_id(),
            groups: Placed::default(),
            cpu_us: None,
        };
        let mut book = Self { id, state, log, redactor, epoch, written: Instant::now(), dirty: false, owed: false };
        let left_out = book.redactor.left_out;
        if left_out > 0 {
            let told = format!("{left_out} secrets are too long to be looked for in what the program says");
            let _ = book.log.line(now, LogStream::Platform, &told);
        }
        files::write(Path::new(files::STATE), &book.state, true).map_err(|e| format!("write the state: {e}"))?;
        Ok(book)
    }

    fn groups(&self) -> &Placed {
        &self.state.groups
    }

    /// A new state: on disk before anybody is told.
    fn enter(&mut self, state: InstanceState, evidence: String) {
        let evidence = self.redactor.text(&evidence);
        let _ = self.log.line(sys::now(), LogStream::Platform, &evidence);
        if !state.is_running() {
            let _ = self.log.sync();
        }
        self.state.state = state;
        self.state.since = self.epoch.now();
        self.state.evidence = evidence;
        self.save(true);
        self.tell();
    }

    /// Wakes the engine.
    fn tell(&self) {
        if let Ok(socket) = UnixDatagram::unbound()
            && socket.set_write_timeout(Some(TELL_WITHIN)).is_ok()
        {
            // Nobody listening is no harm: who comes reads the state.
            let _ = socket.send_to(self.id.to_string().as_bytes(), files::NOTIFY_FROM_INSTANCE);
        }
    }

    /// The same state seen again, with newer evidence.
    fn refresh(&mut self, evidence: String) {
        let evidence = self.redactor.text(&evidence);
        self.dirty |= self.state.evidence != evidence;
        self.state.evidence = evidence;
        self.keep_fresh();
    }

    /// Writes newer evidence now and then. Somebody waits for an instance that does not answer, and
    /// wants to know why; how often one that is well was asked is nobody's news.
    fn keep_fresh(&mut self) {
        if self.dirty && self.written.elapsed() >= EVIDENCE_EVERY {
            self.save(false);
            if self.state.state != InstanceState::Ready {
                self.tell();
            }
        }
    }

    /// What cannot be written is written later: the instance goes on.
    fn save(&mut self, durable: bool) {
        let durable = durable || self.owed;
        let failed = files::write(Path::new(files::STATE), &self.state, durable);
        if let Err(e) = &failed {
            // Standard error is a file beside the state, where there may be no room either: `eprintln`
            // would end the keeper then, and the instance with it.
            let _ = writeln!(std::io::stderr(), "write the state: {e}");
        }
        (self.dirty, self.written) = (failed.is_err(), Instant::now());
        self.owed = failed.is_err() && durable;
    }
}

/// One of the two outputs.
struct Output {
    stream: LogStream,
    splitter: Splitter,
    open: bool,
}

impl Output {
    fn new(stream: LogStream, redactor: &Arc<Redactor>) -> Self {
        Self { stream, splitter: Splitter::new(Arc::clone(redactor)), open: true }
    }

    /// Takes what is there, at most one buffer. `false` when there was nothing.
    fn take(&mut self, fd: &OwnedFd, buffer: &mut [u8], log: &mut Writer) -> std::io::Result<bool> {
        let (stream, now) = (self.stream, sys::now());
        match rustix::io::read(fd, &mut *buffer) {
            Ok(0) => {
                self.open = false;
                self.splitter.finish(|line| log.push(now, stream, line));
            }
            Ok(n) => self.splitter.feed(buffer.get(..n).unwrap_or_default(), |line| log.push(now, stream, line)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        log.flush()?;
        Ok(self.open)
    }
}

struct Keeper {
    running: Running,
    /// Where it has a network of its own.
    network: Option<Network>,
    book: Book,
    limits: Limits,
    grace: Duration,
    deadline: Option<Duration>,
    began: Instant,
    outputs: [Output; 2],
    prober: Option<Prober>,
    watch: Option<Watch>,
    /// Bytes in the temporary files in memory.
    scratch: u64,
    cause: Option<Cause>,
    kill_at: Option<Instant>,
    status: Option<i32>,
    /// Whether the program was started.
    up: bool,
}

impl Keeper {
    fn start(book: &mut Book, launch: &Launch) -> Result<Running, String> {
        book.state.groups = Placed::make(&launch.cgroups, launch.id, &launch.limits)?;
        book.save(false);
        let groups = book.state.groups.clone();
        let running = sandbox::start(&launch.plan, |pid| groups.add(pid))?;
        book.state.init = Some(running.init);
        for fd in [&running.stdout, &running.stderr] {
            let flags = rustix::fs::fcntl_getfl(fd).map_err(|e| format!("set up the pipes: {e}"))?;
            rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)
                .map_err(|e| format!("set up the pipes: {e}"))?;
        }
        let user = launch.plan.uid.map_or_else(|| "the platform's user".to_owned(), |uid| format!("user {uid}"));
        let program = launch.plan.command.first().map_or("", String::as_str);
        let port = launch.port.map_or_else(String::new, |port| format!(", PORT={port}"));
        let _ = book.log.line(sys::now(), LogStream::Platform, &format!("starting {program} as {user}{port}"));
        Ok(running)
    }

    /// Until init is gone, and with it everything inside.
    fn watch(mut self, listener: &UnixListener, signals: &OwnedFd) {
        let mut buffer = vec![0u8; READ_BYTES];
        loop {
            let ready = self.wait(listener, signals);
            if ready.control && !self.hear() {
                break;
            }
            self.read_outputs(ready.outputs, &mut buffer);
            if ready.engine {
                self.talk(listener);
            }
            if ready.signal && sys::next_signal(signals.as_fd()).is_some() {
                self.stop(self.grace, "the machine is going down or the keeper was told to end");
            }
            if let Some(network) = self.network.as_mut() {
                for why in network.serve(&ready.network, &self.running) {
                    let _ = self.book.log.line(sys::now(), LogStream::Platform, &why);
                }
            }
            self.probe(ready.probe);
            self.look_at_disk();
            self.keep_time();
        }
        self.finish(&mut buffer);
    }

    fn wait(&self, listener: &UnixListener, signals: &OwnedFd) -> Ready {
        let mut fds = vec![
            PollFd::new(&self.running.control, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        for (output, fd) in self.outputs.iter().zip([&self.running.stdout, &self.running.stderr]) {
            fds.push(PollFd::new(fd, if output.open { PollFlags::IN } else { PollFlags::empty() }));
        }
        let prober = self.probes().and_then(Prober::interest);
        fds.extend(prober.map(|(fd, flags)| PollFd::new(fd, flags)));
        let before = fds.len();
        fds.extend(self.network.iter().flat_map(Network::watched));
        let now = Instant::now();
        let timeout = self.wakes_at().map(|at| at.saturating_duration_since(now)).unwrap_or(Duration::from_secs(60));
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        if poll(&mut fds, Some(&timeout)).is_err() {
            return Ready::default();
        }
        let on = |n: usize| fds.get(n).is_some_and(|fd| !fd.revents().is_empty());
        let outputs = [on(3) && self.outputs[0].open, on(4) && self.outputs[1].open];
        let probe = before > 5 && on(5);
        let network = (before..fds.len()).map(on).collect();
        Ready { control: on(0), engine: on(1), signal: on(2), outputs, probe, network }
    }

    fn wakes_at(&self) -> Option<Instant> {
        let deadline = self.deadline.filter(|_| self.cause.is_none()).map(|span| self.began + span);
        let evidence = self.book.dirty.then(|| self.book.written + EVIDENCE_EVERY);
        let watch = self.watch.as_ref().map(Watch::wakes_at);
        let network = self.network.as_ref().and_then(Network::wakes_at);
        let probe = self.probes().map(Prober::wakes_at);
        [self.kill_at, deadline, evidence, watch, network, probe].into_iter().flatten().min()
    }

    /// The prober, while it has something to find out.
    fn probes(&self) -> Option<&Prober> {
        self.prober.as_ref().filter(|_| self.up && self.cause.is_none())
    }

    /// Takes a message of init; `false` when init is gone.
    fn hear(&mut self) -> bool {
        match Message::receive(&self.running.control) {
            Ok(Some(Message::Running)) => {
                self.up = true;
                self.began = Instant::now();
                if self.prober.is_none() && self.cause.is_none() {
                    self.book.enter(InstanceState::Ready, "the program runs; it has no health check".to_owned());
                } else if self.cause.is_none() {
                    self.book.state.evidence = "the program runs; it was not probed yet".to_owned();
                    self.book.save(true);
                }
                super::report();
            }
            Ok(Some(Message::Failed(why))) => {
                self.book.state.evidence = why;
                return false;
            }
            Ok(Some(Message::Scratch(used))) => {
                self.scratch = used;
                self.check_disk(0);
            }
            Ok(Some(Message::Ended(status))) => self.status = Some(status),
            Ok(Some(Message::Doors(doors))) => {
                if let Some(network) = self.network.as_mut() {
                    network.take_doors(doors);
                }
            }
            Ok(Some(Message::Sockets(sockets))) => {
                if let Some(network) = self.network.as_mut() {
                    network.take_sockets(sockets);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
        true
    }

    fn read_outputs(&mut self, ready: [bool; 2], buffer: &mut [u8]) {
        let fds = [&self.running.stdout, &self.running.stderr];
        for ((output, fd), ready) in self.outputs.iter_mut().zip(fds).zip(ready) {
            if ready && let Err(e) = output.take(fd, buffer, &mut self.book.log) {
                output.open = false;
                self.cause.get_or_insert(Cause::Log(e.to_string()));
                self.kill_at = Some(Instant::now());
            }
        }
    }

    /// Answers the engine.
    fn talk(&mut self, listener: &UnixListener) {
        let Ok((stream, _)) = listener.accept() else { return };
        let _ = control::serve(stream, |request| {
            let (Request::Stop { generation, .. } | Request::Obey { generation }) = request;
            let seen = self.book.state.generation;
            if generation < seen {
                return Answer::Stale { seen };
            }
            if generation > seen {
                self.book.state.generation = generation;
                self.book.save(true);
            }
            if let Request::Stop { grace_ms, .. } = request {
                let grace = Duration::from_millis(grace_ms);
                self.stop(grace, &format!("told to stop; it has {} to end", seconds(grace)));
            }
            Answer::Done
        });
    }

    /// SIGTERM now, SIGKILL after the grace. Asked again, the earlier end counts.
    fn stop(&mut self, grace: Duration, because: &str) {
        let end = Instant::now().checked_add(grace);
        if self.cause.is_none() {
            self.cause = Some(Cause::Stop { killed: false });
            self.book.enter(InstanceState::Stopping, because.to_owned());
            let _ = Message::Signal(libc::SIGTERM).send(&self.running.control);
        }
        self.kill_at = match (self.kill_at, end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn probe(&mut self, event: bool) {
        if !self.up || self.cause.is_some() {
            return;
        }
        let (network, control) = (self.network.as_mut(), &self.running.control);
        let socket = || network.map_or_else(host_socket, |network| network.socket(control));
        let Some(outcome) = self.prober.as_mut().and_then(|prober| prober.step(event, Instant::now(), socket)) else {
            return;
        };
        match (&self.book.state.state, outcome.ok) {
            (InstanceState::Starting | InstanceState::Unready, true) => {
                self.book.enter(InstanceState::Ready, outcome.evidence);
            }
            (InstanceState::Ready, false) => self.book.enter(InstanceState::Unready, outcome.evidence),
            _ => self.book.refresh(outcome.evidence),
        }
    }

    fn look_at_disk(&mut self) {
        if let Some(written) = self.watch.as_mut().and_then(|watch| watch.step(Instant::now())) {
            self.check_disk(written);
        }
    }

    /// A full file system in memory is as much as one can write there.
    fn check_disk(&mut self, on_disk: u64) {
        let page = 4096;
        let used = on_disk.saturating_add(self.scratch);
        if used.saturating_add(page) > self.limits.disk_max.0 && self.cause.is_none() {
            self.cause = Some(Cause::Disk { used });
            self.kill_at = Some(Instant::now());
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if let Some(span) = self.deadline
            && now >= self.began + span
            && self.cause.is_none()
        {
            self.cause = Some(Cause::Deadline(span));
            self.kill_at = Some(now);
        }
        if self.kill_at.is_some_and(|at| now >= at) {
            self.kill_at = None;
            if let Some(Cause::Stop { killed }) = &mut self.cause {
                *killed = true;
            }
            let _ = sys::kill(self.running.init, libc::SIGKILL);
        }
        self.book.keep_fresh();
    }

    /// Reads what is left, clears up, and writes the last state.
    fn finish(mut self, buffer: &mut [u8]) {
        sandbox::end(self.running.init);
        let until = Instant::now() + DRAIN;
        for (output, fd) in self.outputs.iter_mut().zip([&self.running.stdout, &self.running.stderr]) {
            while output.open
                && Instant::now() < until
                && matches!(output.take(fd, buffer, &mut self.book.log), Ok(true))
            {}
            let now = sys::now();
            output.splitter.finish(|line| self.book.log.push(now, output.stream, line));
        }
        // A program that met the end of its space may have failed on its own before the watch came by.
        if self.status.is_some_and(|status| status != 0)
            && let Some(written) = self.watch.as_mut().map(|watch| watch.total(Instant::now()))
        {
            self.check_disk(written);
        }
        let oom_kills = self.book.groups().oom().kills;
        self.book.state.cpu_us = self.book.groups().cpu_us();
        self.book.groups().remove();
        self.book.state.init = None;
        let (kind, evidence) = if self.up || self.cause.is_some() {
            verdict(&Facts {
                // An end by itself just before the blow is not a kill.
                cause: self.cause.clone().map(|cause| match cause {
                    Cause::Stop { .. } if self.status.is_some_and(|s| !killed(s)) => Cause::Stop { killed: false },
                    other => other,
                }),
                status: self.status,
                oom_kills,
                memory_max: self.limits.memory,
                disk_max: self.limits.disk_max,
                scratch: self.scratch,
                ran: self.began.elapsed(),
            })
        } else {
            (ExitKind::NotStarted, self.book.state.evidence.clone())
        };
        self.book.enter(InstanceState::Exited { kind }, evidence);
        super::report();
    }
}

fn killed(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
}

/// What there is to do.
#[derive(Default)]
struct Ready {
    control: bool,
    engine: bool,
    signal: bool,
    outputs: [bool; 2],
    probe: bool,
    network: Vec<bool>,
}
