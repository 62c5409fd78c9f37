//! Logs of builds: at the engine while the task is there, among the objects afterwards.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use api::run::LogLine as Wire;
use base::{BuildId, Generation, InstanceId, ProcessName, Result};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use kernel::{Ctx, Event, EventStream, event_stream};
use ports::{ByteStream, InstanceState, LogCursor, LogLine, LogStream};

use crate::model::{Build, Marker, log_key};
use crate::state;

/// Log lines read at once.
const BATCH: usize = 500;
/// New lines are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longest line of a saved log, bytes: a log line and its JSON.
const SAVED_LINE_BYTES_MAX: usize = base::limits::LOG_LINE_BYTES_MAX * 6 + 1024;

/// Saves the log of a build that has ended, and lets the engine forget its task.
pub(super) async fn settle(ctx: &Ctx, id: BuildId) -> Result<()> {
    let build = state::build(&mut ctx.read().await?, id).await?;
    let Some(build) = build.filter(|build| build.is_final() && build.task_kept) else { return Ok(()) };
    let Some(task) = build.task else { return Ok(()) };
    let engine = &ctx.platform().ports().engine;
    if let Some(seen) = engine.get(task).await? {
        if !matches!(seen.state, InstanceState::Exited { .. }) {
            return engine.stop(task, Generation(2), Duration::from_secs(5)).await;
        }
        if !build.log_saved {
            save(ctx, &build, task).await?;
        }
        engine.remove(task, Generation(2)).await?;
    }
    let mut tx = ctx.begin().await?;
    state::set_task_gone(&mut tx, id).await?;
    tx.commit().await
}

async fn save(ctx: &Ctx, build: &Build, task: InstanceId) -> Result<()> {
    let engine = Arc::clone(&ctx.platform().ports().engine);
    let marker = Marker::of(task);
    let content = stream::try_unfold(None, move |from: Option<LogCursor>| {
        let (engine, marker) = (Arc::clone(&engine), marker.clone());
        async move {
            let lines = engine.logs(task, from, BATCH).await?;
            let Some(last) = lines.last().map(|line| line.cursor) else { return Ok(None) };
            let mut text = Vec::new();
            for line in lines.iter().filter(|line| !marker.hides(&line.text)) {
                serde_json::to_writer(&mut text, line).map_err(|e| base::Problem::internal("value-not-json", e))?;
                text.push(b'\n');
            }
            Ok(Some((Bytes::from(text), Some(last))))
        }
    });
    ctx.platform().ports().objects.put(&log_key(build.id), Box::pin(content)).await?;
    let mut tx = ctx.begin().await?;
    state::set_log_saved(&mut tx, build.id, true).await?;
    tx.commit().await
}

/// Reads the log of one build, wherever it is.
pub(crate) struct LogReader {
    /// The saved log, once it is read from there.
    saved: Option<Saved>,
}

struct Saved {
    stream: ByteStream,
    buffer: BytesMut,
    ended: bool,
}

impl LogReader {
    pub(crate) const fn new() -> Self {
        Self { saved: None }
    }

    /// Lines behind a place, at most a batch; none: there is nothing more yet, or ever.
    pub(crate) async fn read(&mut self, ctx: &Ctx, build: &Build, from: Option<LogCursor>) -> Result<Vec<LogLine>> {
        let Some(task) = build.task else { return Ok(Vec::new()) };
        if build.log_saved {
            return self.read_saved(ctx, build, from).await;
        }
        if !build.task_kept {
            return Ok(Vec::new());
        }
        let marker = Marker::of(task);
        let mut from = from;
        loop {
            let mut lines = match ctx.platform().ports().engine.logs(task, from, BATCH).await {
                Ok(lines) => lines,
                // It is recorded before it is started, and forgotten after its log was saved: there is
                // nothing to read right now, and the record says what comes.
                Err(problem) if problem.kind == base::Kind::NotFound => return Ok(Vec::new()),
                Err(problem) => return Err(problem),
            };
            let Some(last) = lines.last().map(|line| line.cursor) else { return Ok(lines) };
            lines.retain(|line| !marker.hides(&line.text));
            if !lines.is_empty() {
                return Ok(lines);
            }
            from = Some(last);
        }
    }

    async fn read_saved(&mut self, ctx: &Ctx, build: &Build, from: Option<LogCursor>) -> Result<Vec<LogLine>> {
        let mut saved = match self.saved.take() {
            Some(saved) => saved,
            None => match ctx.platform().ports().objects.get(&log_key(build.id)).await {
                Ok(stream) => Saved { stream, buffer: BytesMut::new(), ended: false },
                Err(problem) if problem.kind == base::Kind::NotFound => return Ok(Vec::new()),
                Err(problem) => return Err(problem),
            },
        };
        let mut lines = Vec::new();
        while lines.len() < BATCH {
            let Some(line) = saved.next().await? else { break };
            if from.is_none_or(|from| line.cursor > from) {
                lines.push(line);
            }
        }
        self.saved = Some(saved);
        Ok(lines)
    }
}

impl Saved {
    async fn next(&mut self) -> Result<Option<LogLine>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(end.saturating_add(1));
                let line = serde_json::from_slice(&line).map_err(|e| base::Problem::internal("log-unreadable", e))?;
                return Ok(Some(line));
            }
            if self.ended || self.buffer.len() > SAVED_LINE_BYTES_MAX {
                return Ok(None);
            }
            match self.stream.next().await {
                Some(chunk) => self.buffer.extend_from_slice(&chunk?),
                None => self.ended = true,
            }
        }
    }
}

struct State {
    ctx: Ctx,
    build: BuildId,
    reader: LogReader,
    from: Option<LogCursor>,
    ready: VecDeque<(LogLine, InstanceId)>,
}

/// The log of a build, followed to its end.
pub(crate) fn follow(ctx: Ctx, build: BuildId, from: Option<LogCursor>) -> EventStream<Wire> {
    let state = State { ctx, build, reader: LogReader::new(), from, ready: VecDeque::new() };
    event_stream(stream::try_unfold(state, |mut state| async move {
        loop {
            if let Some((line, task)) = state.ready.pop_front() {
                let id = Some(line.cursor.0.to_string());
                return Ok(Some((Event { id, data: wire(line, task) }, state)));
            }
            let build = state::build(&mut state.ctx.read().await?, state.build).await?;
            let Some(build) = build else { return Ok(None) };
            let lines = state.reader.read(&state.ctx, &build, state.from).await?;
            if let (Some(task), Some(last)) = (build.task, lines.last()) {
                state.from = Some(last.cursor);
                state.ready.extend(lines.into_iter().map(|line| (line, task)));
            } else if build.is_final() {
                return Ok(None);
            } else {
                state.ctx.platform().ports().clock.sleep(LOOK_EVERY).await;
            }
        }
    }))
}

fn wire(line: LogLine, task: InstanceId) -> Wire {
    let stream = match line.stream {
        LogStream::Out => "out",
        LogStream::Err => "err",
        LogStream::Platform => "platform",
    };
    let process = "build".parse().unwrap_or_else(|_| ProcessName::worker());
    Wire { at: line.at, instance: task, process, stream: stream.to_owned(), text: line.text }
}
