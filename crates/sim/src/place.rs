//! Where in the platform's own code a point is passed, read from the stack: a point has the name of
//! its place without anybody having to give it one.

use std::backtrace::Backtrace;
use std::fmt;

/// What every effect passes on its way, and what therefore says nothing about where it came from.
const WAY: [&str; 6] =
    ["sim/", "ports/", "store/src/tx.rs", "store/src/db.rs", "kernel/src/ctx.rs", "kernel/src/fence.rs"];

/// A line of the platform's own code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, below `crates/`.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The innermost line of a crate's `src` that is more than a step on the way; none where a test
/// itself is the caller.
pub(crate) fn caller() -> Option<Place> {
    Backtrace::force_capture()
        .to_string()
        .lines()
        .filter_map(frame)
        .find(|place| place.file.contains("/src/") && !WAY.iter().any(|way| place.file.starts_with(way)))
}

/// `at …/crates/run/src/work/instances.rs:231:17`
fn frame(line: &str) -> Option<Place> {
    let (_, below) = line.trim().strip_prefix("at ")?.rsplit_once("crates/")?;
    let mut parts = below.splitn(3, ':');
    Some(Place { file: parts.next()?.to_owned(), line: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_platform_are_read_from_a_stack() {
        let read = |text: &str| frame(text).map(|place| place.to_string());
        assert_eq!(read("   at ./crates/run/src/work/a.rs:231:17").as_deref(), Some("run/src/work/a.rs:231"));
        assert_eq!(read("   at /x/library/core/src/future.rs:1:2"), None);
        assert_eq!(read("  12: run::work::a::record::{{closure}}"), None);
    }
}
