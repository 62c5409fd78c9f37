use std::process::ExitCode;

use base::{Kind, Problem};

/// How a command ended, as its exit status says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done (0).
    Done,
    /// Failed (1).
    Failed,
    /// The command line cannot be understood (2).
    Usage,
    /// Refused by a rule or for lack of permission (3).
    Refused,
    /// A deadline passed (4).
    TimedOut,
}

impl Exit {
    /// The number on the wire between processes.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::TimedOut => 4,
        }
    }

    /// The exit that a problem stands for.
    pub fn of(problem: &Problem) -> Self {
        match problem.kind {
            _ if problem.code == USAGE => Self::Usage,
            Kind::Unauthenticated | Kind::Forbidden => Self::Refused,
            Kind::Timeout => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The code of problems that are faults of the command line.
const USAGE: &str = "usage";

/// The code of the problem that nobody reads what is written; it ends a command quietly.
pub const OUTPUT_CLOSED: &str = "output-closed";

/// A fault of the command line that clap cannot see.
pub fn usage(message: impl std::fmt::Display) -> Problem {
    Problem::invalid(USAGE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_codes() {
        let of = |kind| Exit::of(&Problem::new(kind, "x", "x")).code();
        assert_eq!([Kind::Unauthenticated, Kind::Forbidden].map(of), [3, 3]);
        assert_eq!([Kind::Timeout, Kind::Unavailable, Kind::NotFound, Kind::Invalid].map(of), [4, 1, 1, 1]);
        assert_eq!(Exit::of(&usage("x")).code(), 2);
    }
}
