//! Database errors as problems. No parameter value reaches a message: PostgreSQL's own texts quote
//! values in many classes, so only its code, table and constraint are taken from it.

use base::{Problem, Result};
use sqlx::error::{DatabaseError, ErrorKind};

/// `problem` unless exactly one row was changed: for updates that name the version they saw.
pub fn expect_one(rows_changed: u64, problem: impl FnOnce() -> Problem) -> Result<()> {
    if rows_changed == 1 { Ok(()) } else { Err(problem()) }
}

/// The problem that an error of a statement is.
pub(crate) fn problem(error: sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Database(e) => from_database(&*e),
        sqlx::Error::PoolTimedOut => busy("every connection to the database stayed in use"),
        sqlx::Error::PoolClosed => Problem::unavailable("store-closed", "the store was closed"),
        sqlx::Error::Io(e) => unreachable(format!("the connection to the database failed: {}", e.kind())),
        sqlx::Error::Tls(_) => unreachable("no TLS connection to the database could be made".to_owned()),
        sqlx::Error::WorkerCrashed => unreachable("the connection to the database file ended".to_owned()),
        sqlx::Error::Protocol(_) => unreachable("the database answered something unexpected".to_owned()),
        sqlx::Error::Configuration(_) => {
            Problem::unprocessable("bad-store-url", "the URL of the database cannot be read")
                .hint("write `sqlite:/absolute/path/orlop.db` or `postgres://user:password@host:5432/database`")
        }
        sqlx::Error::ColumnDecode { index, .. } => {
            Problem::internal("stored-value", format!("the column {index} holds something unreadable"))
        }
        _ => Problem::internal("store-failed", "a statement could not be carried out"),
    }
}

/// The problem that an error of COMMIT is: never an acknowledgement, and honest where it is open
/// whether the server has committed.
pub(crate) fn commit_problem(error: sqlx::Error) -> Problem {
    match error {
        sqlx::Error::Database(e) => from_database(&*e),
        _ => Problem::unavailable(
            "commit-unknown",
            "the database did not answer to COMMIT, so it is open whether the change was made",
        )
        .hint("repeat the request with the same idempotency key")
        .retry_after(1),
    }
}

fn from_database(error: &dyn DatabaseError) -> Problem {
    let code = error.code().unwrap_or_default().into_owned();
    match error.kind() {
        ErrorKind::UniqueViolation => {
            Problem::conflict("already-exists", format!("something with the same {} exists", constraint(error)))
        }
        ErrorKind::ForeignKeyViolation => Problem::conflict(
            "reference-broken",
            format!("something is missing that is referred to, or still referred to: {}", constraint(error)),
        ),
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation | ErrorKind::ExclusionViolation => {
            Problem::internal("constraint-broken", format!("a rule of the schema was broken: {}", constraint(error)))
        }
        // PostgreSQL's codes have five characters, SQLite's are numbers below 10000.
        _ if code.len() == 5 => from_postgres(&code, error.message()),
        _ => from_sqlite(code.parse().unwrap_or(1), error.message()),
    }
}

/// By SQLSTATE (PostgreSQL manual, appendix A).
fn from_postgres(code: &str, message: &str) -> Problem {
    match code {
        "40001" | "40P01" | "55P03" => busy("another transaction was in the way"),
        "57014" => Problem::timeout("store-timeout", "a statement took longer than it may"),
        "53100" => full(),
        "58030" => io("the database server reported an input/output error"),
        "25006" => read_only(),
        "25P02" => Problem::internal("transaction-broken", "the transaction had failed before"),
        "XX001" | "XX002" => corrupt(),
        _ if code.starts_with("53") => busy(&format!("the database server lacks resources (SQLSTATE {code})")),
        _ if code.starts_with("08") || code.starts_with("57P") || code.starts_with("28") || code == "3D000" => {
            unreachable(format!("the database server refused (SQLSTATE {code})"))
        }
        // Mistakes in a statement's text: the message quotes the text, which holds no values.
        _ if code.starts_with("42") => {
            Problem::internal("bad-statement", format!("the database refused a statement: {message} ({code})"))
        }
        _ => Problem::internal("store-failed", format!("the database refused a statement (SQLSTATE {code})")),
    }
}

/// By result code (sqlite.org/rescode.html); the low byte is the primary code.
fn from_sqlite(code: u32, message: &str) -> Problem {
    match code & 0xff {
        5 | 6 => busy("another transaction was in the way"),
        13 => full(),
        10 if UNSYNCED.contains(&code) => unsynced(code),
        10 => io(&format!("the operating system reported an input/output error (SQLite {code})")),
        14 => unreachable("the database file cannot be opened".to_owned())
            .hint("see that its directory exists and that the service's user may write there"),
        8 => read_only(),
        11 | 26 => corrupt(),
        1 => Problem::internal("bad-statement", format!("the database refused a statement: {message}")),
        _ => Problem::internal("store-failed", format!("the database refused a statement (SQLite {code})")),
    }
}

/// SQLite names the columns in its message, PostgreSQL the constraint in a field of its own.
fn constraint(error: &dyn DatabaseError) -> String {
    match (error.constraint(), error.message().split_once(" constraint failed: ")) {
        (Some(name), _) => format!("`{name}`"),
        (None, Some((_, columns))) => format!("`{columns}`"),
        (None, None) => match error.table() {
            Some(table) => format!("key of `{table}`"),
            None => "key".to_owned(),
        },
    }
}

pub(crate) fn busy(what: &str) -> Problem {
    Problem::unavailable("store-busy", what).hint("try again in a moment").retry_after(1)
}

fn unreachable(what: String) -> Problem {
    Problem::unavailable("store-unreachable", what).hint("`orlop doctor` shows what it finds").retry_after(5)
}

fn full() -> Problem {
    Problem::unavailable("storage-full", "there is no space left for the database")
        .hint("free space on the disk of the database; nothing was changed")
        .retry_after(30)
}

fn io(what: &str) -> Problem {
    Problem::unavailable("storage-io", what).hint("see the kernel log for the disk of the database").retry_after(30)
}

/// SQLITE_IOERR_FSYNC and SQLITE_IOERR_DIR_FSYNC (sqlite.org/rescode.html).
const UNSYNCED: [u32; 2] = [1034, 1290];
/// The exit status of a process that ended because its disk did not keep what it was given
/// (sysexits(3), EX_IOERR).
const EXIT_IO: i32 = 74;

fn unsynced(code: u32) -> Problem {
    Problem::unavailable(
        "storage-unsynced",
        format!("the disk of the database did not keep what was written (SQLite {code})"),
    )
    .hint("see the kernel log for the disk; the platform ends and begins anew with what the disk holds")
}

/// Ends the process where an fsync failed. The operating system may have dropped what it could not
/// write and call the next fsync a success (fsync(2), "EIO"), so nothing that this process believes
/// about the file can be trusted any more, and trying again would make a lie of it.
pub(crate) fn end_if_unsynced(problem: &Problem) {
    if problem.code == "storage-unsynced" {
        tracing::error!(%problem, "the control plane ends: it cannot vouch for what it wrote");
        std::process::exit(EXIT_IO);
    }
}

fn read_only() -> Problem {
    Problem::unavailable("storage-read-only", "the database can only be read")
        .hint("see the mount options and the permissions of its file, or whether the server is a standby")
}

fn corrupt() -> Problem {
    Problem::internal("storage-corrupt", "the database found its own data damaged")
        .hint("stop the service, keep a copy of the files, and restore the newest proved backup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(problem: Problem, kind: base::Kind, code: &str) {
        assert_eq!((problem.kind, &*problem.code), (kind, code), "{problem}");
    }

    #[test]
    fn sqlite_codes() {
        use base::Kind::{Internal, Unavailable};
        check(from_sqlite(5, ""), Unavailable, "store-busy");
        check(from_sqlite(517, ""), Unavailable, "store-busy"); // SQLITE_BUSY_SNAPSHOT
        check(from_sqlite(13, ""), Unavailable, "storage-full");
        check(from_sqlite(778, ""), Unavailable, "storage-io"); // SQLITE_IOERR_WRITE
        check(from_sqlite(1034, ""), Unavailable, "storage-unsynced"); // SQLITE_IOERR_FSYNC
        check(from_sqlite(1032, ""), Unavailable, "storage-read-only"); // SQLITE_READONLY_DBMOVED
        check(from_sqlite(267, ""), Internal, "storage-corrupt"); // SQLITE_CORRUPT_VTAB
        check(from_sqlite(1, "no such table: x"), Internal, "bad-statement");
        check(from_sqlite(25, ""), Internal, "store-failed");
    }

    #[test]
    fn postgres_codes_and_no_values() {
        use base::Kind::{Internal, Timeout, Unavailable};
        let quoting = "invalid input syntax for type bigint: \"hunter2\"";
        for (code, kind, word) in [
            ("40001", Unavailable, "store-busy"),
            ("55P03", Unavailable, "store-busy"),
            ("53300", Unavailable, "store-busy"),
            ("53100", Unavailable, "storage-full"),
            ("58030", Unavailable, "storage-io"),
            ("57014", Timeout, "store-timeout"),
            ("57P01", Unavailable, "store-unreachable"),
            ("22P02", Internal, "store-failed"),
        ] {
            let p = from_postgres(code, quoting);
            assert!(!p.to_string().contains("hunter2"), "{p}");
            check(p, kind, word);
        }
    }

    #[test]
    fn commit_is_never_acknowledged() {
        check(commit_problem(sqlx::Error::WorkerCrashed), base::Kind::Unavailable, "commit-unknown");
        check(problem(sqlx::Error::PoolTimedOut), base::Kind::Unavailable, "store-busy");
        assert!(expect_one(1, || Problem::stale("x", "y")).is_ok());
        assert!(expect_one(0, || Problem::stale("x", "y")).is_err());
    }
}
