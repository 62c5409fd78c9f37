use std::time::Duration;

use api::Nothing;
use api::deliver::{Deploy, Progress, SourcePath, WatchDeploy};
use base::{Result, Time};

use super::until::{Came, Until};
use crate::Exit;
use crate::client::Ending;
use crate::context::Ctx;
use crate::output::Tone;
use crate::text::{clean, millis, span};

/// Follows a deploy until it is over. Stages and the build's output are talk; the address is data.
pub async fn deploy(ctx: &Ctx<'_>, begun: &Deploy, deadline: Duration) -> Result<Exit> {
    let path = SourcePath { service: begun.service.clone(), source: begun.source };
    let mut events = ctx.client().await?.events::<WatchDeploy>(path, Nothing {}, Ending::Marked);
    let mut until = Until::new(ctx, deadline);
    let mut shown = Shown { ctx, begun, first: None, stage: None };
    loop {
        let came = until.next(&mut events, |elapsed| shown.line(elapsed)).await;
        match came {
            Ok(Came::Event(event)) => {
                if ctx.out.json {
                    ctx.out.event(&event, |_| String::new())?;
                }
                if let Some(exit) = shown.event(event)? {
                    return Ok(exit);
                }
            }
            Ok(Came::End) => {}
            Ok(Came::Interrupted) => {
                ctx.out.say(&shown.detached());
                return Ok(Exit::Failed);
            }
            Err(problem) => return Err(problem.hint(format!("see how it ends: orlop status {}", begun.service))),
        }
    }
}

/// What is on the screen.
struct Shown<'a> {
    ctx: &'a Ctx<'a>,
    begun: &'a Deploy,
    first: Option<Time>,
    stage: Option<(String, String, Time)>,
}

impl Shown<'_> {
    fn line(&self, elapsed: Duration) -> String {
        let stage = self.stage.as_ref().map_or("queued", |(stage, ..)| stage);
        let last = self.begun.last_took_ms.map_or_else(String::new, |ms| format!(" (last time {})", millis(ms)));
        format!("{}  {}{last}", clean(stage), span(elapsed))
    }

    fn event(&mut self, event: Progress) -> Result<Option<Exit>> {
        match event {
            Progress::Stage { stage, text, at } => self.stage(stage, text, at),
            Progress::Line { text, .. } => {
                if !self.ctx.out.json {
                    self.ctx.out.say(&self.ctx.out.talk.tone(Tone::Quiet, &format!("  | {}", clean(&text))));
                }
            }
            done @ Progress::Done { .. } => return self.done(&done).map(Some),
        }
        Ok(None)
    }

    /// A stage begins: the one before is over and its time known.
    fn stage(&mut self, stage: String, text: String, at: Time) {
        let first = *self.first.get_or_insert(at);
        self.end_stage(at);
        if !self.ctx.out.json {
            let (name, offset) = (format!("{:<8}", clean(&stage)), format!("{:>8}", span(at.since(first))));
            let talk = self.ctx.out.talk;
            let line =
                format!("{}  {} {}", talk.tone(Tone::Quiet, &offset), talk.tone(Tone::Strong, &name), clean(&text));
            self.ctx.out.say(line.trim_end());
        }
        self.stage = Some((stage, text, at));
    }

    /// Long stages say what they took.
    fn end_stage(&mut self, at: Time) {
        if let Some((stage, _, began)) = self.stage.take()
            && at.since(began) >= Duration::from_secs(1)
            && !self.ctx.out.json
        {
            let line = format!("{:>8}  {} took {}", "", clean(&stage), span(at.since(began)));
            self.ctx.out.say(&self.ctx.out.talk.tone(Tone::Quiet, &line));
        }
    }

    fn done(&mut self, done: &Progress) -> Result<Exit> {
        let Progress::Done { ok, text, evidence, url, release, serving, took_ms, at, .. } = done else {
            return Ok(Exit::Failed);
        };
        self.end_stage(*at);
        if self.ctx.out.json {
            return Ok(if *ok { Exit::Done } else { Exit::Failed });
        }
        let talk = self.ctx.out.talk;
        let say = |line: &str| self.ctx.out.say(line);
        let last = self.begun.last_took_ms.map_or_else(String::new, |ms| format!(", last time {}", millis(ms)));
        if *ok {
            let number = release.map_or_else(String::new, |n| format!(" release {n}:"));
            let took = format!("({}{last})", millis(*took_ms));
            say(&format!(
                "{}{number} {} {}",
                talk.tone(Tone::Good, "done"),
                clean(text),
                talk.tone(Tone::Quiet, &took)
            ));
            for line in evidence {
                say(&talk.tone(Tone::Quiet, &format!("  {}", clean(line))));
            }
            self.ctx.out.data(&clean(url.as_deref().unwrap_or_default()))?;
            return Ok(Exit::Done);
        }
        say(&format!("{} {} (after {})", talk.tone(Tone::Bad, "failed"), clean(text), millis(*took_ms)));
        for line in evidence {
            say(&format!("  {}", clean(line)));
        }
        match serving {
            Some(n) => say(&format!("  release {n} serves in {} as before", self.begun.environment)),
            None => say(&format!("  nothing serves in {}", self.begun.environment)),
        }
        say(&format!("  fix   orlop build log {} --service {}", self.begun.build, self.begun.service));
        Ok(Exit::Failed)
    }

    fn detached(&self) -> String {
        let service = &self.begun.service;
        format!(
            "No longer following; the deploy goes on.\n  follow  orlop status {service}\n  cancel  orlop cancel --service {service}"
        )
    }
}
