use std::collections::VecDeque;
use std::time::Duration;

use api::run::{FoundLine, LogSearch};
use base::Result;
use kernel::Ctx;
use ports::{LogCursor, LogEnd};

use super::follow::{Position, wire};
use crate::model::Known;

/// Lines read from one instance at once.
const BATCH: usize = 4_000;
/// Most lines that one search looks at.
const LOOKED_MAX: u32 = 400_000;
/// A search that has taken this long says where it is and lets the caller go on.
const TIME_MAX: Duration = Duration::from_millis(700);
/// Lines between two looks at the clock.
const LOOK_AT_CLOCK_EVERY: u32 = 1_000;

/// A search through the logs of several instances, from the newest line back.
pub(crate) struct Search {
    pub ctx: Ctx,
    pub instances: Vec<Known>,
    /// Which lines are wanted.
    pub wanted: Box<dyn Fn(&ports::LogLine) -> bool + Send + Sync>,
    /// Lines shown before and behind each of them.
    pub context: usize,
    /// Wanted lines to find.
    pub limit: usize,
    pub begin: Begin,
}

/// Where a search begins.
pub(crate) enum Begin {
    Newest,
    At(base::Time),
    /// Where another one stopped: the newest line of each log that it did not look at. What has no place in it
    /// was looked at to its beginning, or is newer.
    Next(Position),
}

/// One log that is read backwards.
struct Reader {
    known: Known,
    /// Lines that were read and not looked at, oldest first.
    lines: Vec<ports::LogLine>,
    until: LogEnd,
    over: bool,
}

impl Reader {
    /// Reads on where nothing is left.
    async fn fill(&mut self, ctx: &Ctx) {
        if !self.lines.is_empty() || self.over {
            return;
        }
        // A log that is gone does not end the search in the others.
        let engine = &ctx.platform().ports().engine;
        self.lines = engine.log_back(self.known.id, self.until, BATCH).await.unwrap_or_default();
        match self.lines.first() {
            Some(oldest) => self.until = LogEnd::Before(oldest.cursor),
            None => self.over = true,
        }
    }

    /// Lines behind those that will be looked at.
    async fn behind(&self, ctx: &Ctx, max: usize) -> Vec<ports::LogLine> {
        let newest: Option<LogCursor> = self.lines.last().map(|line| line.cursor);
        ctx.platform().ports().engine.logs(self.known.id, newest, max).await.unwrap_or_default()
    }
}

impl Search {
    pub(crate) async fn run(self) -> Result<LogSearch> {
        let Self { ctx, instances, wanted, context, limit, begin } = self;
        let begun = ctx.now();
        let bounded = !matches!(begin, Begin::Newest);
        let mut readers: Vec<Reader> = instances.into_iter().filter_map(|known| reader(known, &begin)).collect();
        for reader in &mut readers {
            reader.fill(&ctx).await;
        }
        let mut found = Found::new(context);
        if bounded && context > 0 {
            found.begin_behind(newer(&ctx, &readers, context).await);
        }
        let mut reply = LogSearch::default();
        let mut in_time = true;
        while in_time && reply.looked < LOOKED_MAX && !(found.count >= limit && found.owed == 0) {
            let Some(reader) = newest(&mut readers) else { break };
            let Some(line) = reader.lines.pop() else { break };
            reply.looked = reply.looked.saturating_add(1);
            reply.back_to = Some(line.at);
            let fits = wanted(&line);
            let line = FoundLine { line: wire(&reader.known, line), found: fits };
            found.take(line, limit);
            reader.fill(&ctx).await;
            if reply.looked.is_multiple_of(LOOK_AT_CLOCK_EVERY) {
                in_time = ctx.now().since(begun) < TIME_MAX;
            }
        }
        let unread = readers.iter().filter_map(|reader| Some((reader.known.id, reader.lines.last()?.cursor)));
        let next = Position::of(unread);
        reply.next = (!next.is_empty()).then(|| next.to_string());
        reply.found = u32::try_from(found.count).unwrap_or(u32::MAX);
        reply.runs = found.finish();
        Ok(reply)
    }
}

fn reader(known: Known, begin: &Begin) -> Option<Reader> {
    let until = match begin {
        Begin::Newest => LogEnd::Newest,
        Begin::At(at) => LogEnd::At(*at),
        Begin::Next(position) => LogEnd::Through(position.get(known.id)?),
    };
    Some(Reader { known, lines: Vec::new(), until, over: false })
}

/// The log whose next line is the newest.
fn newest(readers: &mut [Reader]) -> Option<&mut Reader> {
    readers.iter_mut().filter(|reader| !reader.lines.is_empty()).max_by_key(|reader| reader.lines.last().map(|l| l.at))
}

/// The lines directly behind those that will be looked at, oldest first.
async fn newer(ctx: &Ctx, readers: &[Reader], max: usize) -> Vec<FoundLine> {
    let mut lines = Vec::new();
    for reader in readers {
        let behind = reader.behind(ctx, max).await;
        lines.extend(behind.into_iter().map(|line| FoundLine { line: wire(&reader.known, line), found: false }));
    }
    lines.sort_by_key(|found| found.line.at);
    lines.truncate(max);
    lines
}

/// What was found so far with what stands beside it; collected backwards.
struct Found {
    context: usize,
    count: usize,
    /// Lines still to be shown before the last one that was found.
    owed: usize,
    /// Lines that may stand behind the next one that is found, newest first.
    behind: VecDeque<FoundLine>,
    /// Whether lines were passed over since one was shown.
    gap: bool,
    runs: Vec<Vec<FoundLine>>,
}

impl Found {
    const fn new(context: usize) -> Self {
        Self { context, count: 0, owed: 0, behind: VecDeque::new(), gap: true, runs: Vec::new() }
    }

    fn begin_behind(&mut self, lines: Vec<FoundLine>) {
        self.behind = lines.into_iter().rev().collect();
    }

    fn take(&mut self, line: FoundLine, limit: usize) {
        if line.found && self.count < limit {
            self.count = self.count.saturating_add(1);
            self.owed = self.context;
            for before in std::mem::take(&mut self.behind) {
                self.show(before);
            }
            self.show(line);
        } else if self.owed > 0 {
            self.owed = self.owed.saturating_sub(1);
            self.show(line);
        } else {
            self.behind.push_back(line);
            if self.behind.len() > self.context {
                self.behind.pop_front();
                self.gap = true;
            }
        }
    }

    fn show(&mut self, line: FoundLine) {
        match self.runs.last_mut() {
            Some(run) if !self.gap => run.push(line),
            _ => self.runs.push(vec![line]),
        }
        self.gap = false;
    }

    fn finish(mut self) -> Vec<Vec<FoundLine>> {
        for run in &mut self.runs {
            run.reverse();
        }
        self.runs.reverse();
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use base::{InstanceId, Time};

    use super::*;

    fn line(n: i64, found: bool) -> FoundLine {
        let line = api::run::LogLine {
            at: Time::from_micros(n),
            instance: InstanceId::new(Time::default(), [1; 10]),
            process: "web".parse().unwrap(),
            stream: "out".to_owned(),
            text: n.to_string(),
        };
        FoundLine { line, found }
    }

    /// Ten lines, of which some are wanted.
    fn check(wanted: &[i64], context: usize, limit: usize, expect: &[&[i64]]) {
        let mut found = Found::new(context);
        for n in (0..10).rev() {
            if found.count >= limit && found.owed == 0 {
                break;
            }
            found.take(line(n, wanted.contains(&n)), limit);
        }
        let runs = found.finish();
        let texts: Vec<Vec<i64>> =
            runs.iter().map(|run| run.iter().map(|one| one.line.text.parse().unwrap()).collect()).collect();
        assert_eq!(texts, expect, "{wanted:?} ± {context}");
    }

    #[test]
    fn lines_stand_with_those_around_them() {
        check(&[], 3, 9, &[]);
        check(&[2, 3, 7], 0, 9, &[&[2, 3], &[7]]);
        check(&[2, 7], 1, 9, &[&[1, 2, 3], &[6, 7, 8]]);
        check(&[2, 7], 2, 9, &[&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
        check(&[0, 9], 1, 9, &[&[0, 1], &[8, 9]]);
        check(&[1, 4, 8], 1, 2, &[&[3, 4, 5], &[7, 8, 9]]);
        check(&[6, 7, 8], 2, 2, &[&[5, 6, 7, 8, 9]]);
    }

    #[test]
    fn what_stands_behind_the_beginning_is_shown_beside_what_is_found_there() {
        let mut found = Found::new(2);
        found.begin_behind(vec![line(10, false), line(11, false)]);
        found.take(line(9, true), 1);
        let runs = found.finish();
        assert_eq!(runs[0].iter().map(|one| one.line.at.micros()).collect::<Vec<_>>(), [9, 10, 11]);
    }
}
