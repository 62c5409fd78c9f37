//! How much an instance has written to directories on disk, found out a little at a time so that
//! the keeper's loop never waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::ReadDir;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Entries looked at per turn of the loop.
const ENTRIES_PER_STEP: usize = 500;
/// Shortest pause between two walks; a long walk is followed by a longer pause.
const PAUSE_MIN: Duration = Duration::from_millis(300);
const PAUSE_PER_WALK: u32 = 4;

/// Most processes and open files that are looked at for files without a name.
const PROCESSES_MAX: usize = 10_000;
const OPEN_FILES_MAX: usize = 200_000;

/// Stands for more than any limit.
pub(super) const UNMEASURABLE: u64 = u64::MAX;

/// Walks the directories again and again.
pub(super) struct Watch {
    roots: Vec<PathBuf>,
    /// The first process inside: whatever it and its children hold open counts too.
    init: i32,
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
    pub(super) fn new(roots: Vec<PathBuf>, init: i32, now: Instant) -> Option<Self> {
        if roots.is_empty() {
            return None;
        }
        let mut watch = Self {
            roots,
            init,
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
                self.sum = self.sum.saturating_add(nameless(&self.roots, self.init));
                let baseline = *self.baseline.get_or_insert(self.sum);
                return Some(if self.sum == UNMEASURABLE { UNMEASURABLE } else { self.sum.saturating_sub(baseline) });
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
            match std::fs::read_dir(path) {
                Ok(dir) => self.open.push(dir),
                // Deeper than a path can name: whatever is in there cannot be measured.
                Err(e) if e.raw_os_error() == Some(libc::ENAMETOOLONG) => self.sum = UNMEASURABLE,
                Err(_) => {}
            }
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

/// Bytes on the file systems of `roots` in files that have no name any more and are still open in a
/// process beneath `init`: no walk through folders meets them.
fn nameless(roots: &[PathBuf], init: i32) -> u64 {
    let disks: BTreeSet<u64> = roots.iter().filter_map(|root| Some(std::fs::metadata(root).ok()?.dev())).collect();
    let mut files: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut looked_at = 0;
    for pid in beneath(init) {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > OPEN_FILES_MAX {
                return UNMEASURABLE;
            }
            let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
            if meta.is_file() && meta.nlink() == 0 && disks.contains(&meta.dev()) {
                files.insert((meta.dev(), meta.ino()), meta.blocks().saturating_mul(512));
            }
        }
    }
    files.values().sum()
}

/// The processes beneath init, itself left out: it is the platform's own.
fn beneath(init: i32) -> Vec<i32> {
    let (mut todo, mut found) = (vec![init], Vec::new());
    while let Some(pid) = todo.pop().filter(|_| found.len() < PROCESSES_MAX) {
        // Each thread has children of its own (proc_pid_task(5)).
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            todo.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        if pid != init {
            found.push(pid);
        }
    }
    found
}
