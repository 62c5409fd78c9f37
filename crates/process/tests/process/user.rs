//! The engine as an ordinary user: the same tests in a process of another user.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Some user that owns nothing.
const USER: u32 = 65_534;

#[test]
#[expect(clippy::disallowed_methods, reason = "runs these tests again as another user")]
fn an_ordinary_user_can_run_instances_too() {
    if !is_root() {
        eprintln!("SKIPPED: the other tests run as an ordinary user already");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(USER), Some(USER)).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "--test-threads",
            "2",
            "conformance",
            "walls",
            "life",
            "files",
            "a_flood",
            "too_much_disk",
            "fork_bombs",
        ])
        .env("TMPDIR", home.path())
        .uid(USER)
        .gid(USER)
        .status()
        .unwrap();
    assert!(status.success(), "the tests failed as user {USER}: {status}");
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"))
}
