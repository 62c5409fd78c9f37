//! Where PostgreSQL's programs are, and as whom they may run.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directory that holds `initdb`, `postgres` and `pg_ctl`: `ORLOP_TEST_PG_BIN`, the search path,
/// or the newest under `/usr/lib/postgresql`.
pub(super) fn binaries() -> Option<PathBuf> {
    let named = std::env::var_os("ORLOP_TEST_PG_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let candidates = named.into_iter().chain(path.unwrap_or_default()).chain(packaged());
    candidates.into_iter().find(|dir| ["initdb", "postgres", "pg_ctl"].iter().all(|tool| dir.join(tool).is_file()))
}

/// Debian's places, the newest version first.
fn packaged() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, path)| path).collect()
}

/// PostgreSQL refuses to run as root: the user and group to run it as, where we are root.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").map(|m| m.uid()).unwrap_or(1) != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].iter().find_map(|user| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(*user))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Servers whose test process was killed before it could stop them.
pub(super) fn abandoned(prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return Vec::new() };
    let owner_is_gone = |name: &str| {
        let pid = name.strip_prefix(prefix)?.split('-').next()?.parse::<u32>().ok()?;
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    };
    entries.flatten().filter(|e| e.file_name().to_str().and_then(owner_is_gone).is_some()).map(|e| e.path()).collect()
}

/// Past the capture of the test harness: a test that was skipped must be seen.
pub(super) fn say_loudly(text: &str) {
    let _ = writeln!(std::io::stderr(), "\n*** {text} ***\n");
}
