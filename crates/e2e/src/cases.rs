//! A table of cases that run beside each other in one installation; every failure is told, not the first only.

use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use base::Result;

type Case<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Cases to run.
#[derive(Default)]
pub struct Cases<'a> {
    cases: Vec<(String, Case<'a>)>,
    skipped: usize,
}

impl<'a> Cases<'a> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a case; it is left out, loudly, where a program that it takes is missing.
    pub fn add(&mut self, name: &str, programs: &[&str], case: impl Future<Output = Result<()>> + 'a) {
        match missing(programs) {
            None => self.cases.push((name.to_owned(), Box::pin(case))),
            Some(program) => {
                self.skipped += 1;
                eprintln!("!!! {name} SKIPPED: there is no program `{program}` on the path");
            }
        }
    }

    /// Runs them, `at_once` at a time, and tells what failed.
    ///
    /// # Panics
    /// When a case failed: this is the end of a test.
    pub async fn run(self, at_once: usize) {
        let total = self.cases.len();
        let queue = std::cell::RefCell::new(self.cases.into_iter());
        let failed = std::cell::RefCell::new(Vec::new());
        let worker = || async {
            loop {
                let next = queue.borrow_mut().next();
                let Some((name, case)) = next else { return };
                let begun = Instant::now();
                let outcome = case.await;
                let took = begun.elapsed().as_secs_f32();
                match outcome {
                    Ok(()) => eprintln!("  ok      {name} ({took:.1} s)"),
                    Err(problem) => {
                        eprintln!("  FAILED  {name} ({took:.1} s)\n{problem}");
                        failed.borrow_mut().push(name);
                    }
                }
            }
        };
        all((0..at_once.max(1)).map(|_| worker()).collect()).await;
        let failed = failed.into_inner();
        eprintln!("{} of {total} cases passed, {} skipped", total - failed.len(), self.skipped);
        assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    }
}

/// Awaits all of them together.
async fn all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        waiting.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The first of these programs that is not on the path.
pub fn missing<'p>(programs: &[&'p str]) -> Option<&'p str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|folder| is_file(&folder.join(program)));
    programs.iter().find(|program| !has(program)).copied()
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
