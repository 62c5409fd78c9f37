//! How much an instance has written to directories on disk, found out a little at a time so that
//! the keeper's loop never waits for it.

use std::fs::ReadDir;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Entries looked at per turn of the loop.
const ENTRIES_PER_STEP: usize = 500;
/// Shortest pause between two walks; a long walk is followed by a longer pause.
const PAUSE_MIN: Duration = Duration::from_millis(300);
const PAUSE_PER_WALK: u32 = 4;

/// Walks the directories again and again.
pub(super) struct Watch {
    roots: Vec<PathBuf>,
    open: Vec<ReadDir>,
    todo: Vec<PathBuf>,
    sum: u64,
    /// What was there at the start, which the instance did not write.
    baseline: Option<u64>,
    began: Instant,
    next: Instant,
    walking: bool,
}

impl Watch {
    /// Watches these directories; what is in them now does not count.
    pub(super) fn new(roots: Vec<PathBuf>, now: Instant) -> Option<Self> {
        if roots.is_empty() {
            return None;
        }
        let mut watch = Self {
            roots,
            open: Vec::new(),
            todo: Vec::new(),
            sum: 0,
            baseline: None,
            began: now,
            next: now,
            walking: false,
        };
        while watch.step(now).is_none() {}
        Some(watch)
    }

    pub(super) fn wakes_at(&self) -> Instant {
        self.next
    }

    /// Goes on. Hands out the bytes written since the start whenever a walk is complete.
    pub(super) fn step(&mut self, now: Instant) -> Option<u64> {
        if now < self.next {
            return None;
        }
        if !self.walking {
            (self.walking, self.sum, self.began) = (true, 0, now);
            self.todo = self.roots.clone();
        }
        for _ in 0..ENTRIES_PER_STEP {
            if !self.one() {
                self.walking = false;
                self.next = now + PAUSE_MIN.max((now - self.began) * PAUSE_PER_WALK);
                let baseline = *self.baseline.get_or_insert(self.sum);
                return Some(self.sum.saturating_sub(baseline));
            }
        }
        None
    }

    /// A whole walk at once, for the end: the bytes written since the start.
    pub(super) fn total(&mut self, now: Instant) -> u64 {
        (self.walking, self.next) = (false, now);
        self.open.clear();
        loop {
            if let Some(written) = self.step(now) {
                return written;
            }
        }
    }

    /// Looks at one entry; `false` when there is none left.
    fn one(&mut self) -> bool {
        let Some(dir) = self.open.last_mut() else {
            let Some(path) = self.todo.pop() else { return false };
            self.open.extend(std::fs::read_dir(path));
            return true;
        };
        match dir.next() {
            None => drop(self.open.pop()),
            Some(Ok(entry)) => {
                // Files may vanish between the two calls: builds delete what they made.
                if let Ok(meta) = entry.metadata() {
                    self.sum = self.sum.saturating_add(meta.blocks().saturating_mul(512));
                    if meta.is_dir() {
                        // The directory is finished first, so that few are open at a time.
                        self.todo.push(entry.path());
                    }
                }
            }
            Some(Err(_)) => {}
        }
        true
    }
}
