//! The engine as an ordinary user: the same tests in a process of another user.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Some user that owns nothing.
const USER: u32 = 65_534;

#[test]
fn an_ordinary_user_can_run_instances_too() {
    as_user(&["conformance", "walls", "network", "life", "files", "a_flood", "too_much_disk", "fork_bombs"]);
}

#[test]
fn an_ordinary_user_is_walled_in_too() {
    let home = as_user(&["escape", "nothing_survives", "links_that"]);
    if let Some(home) = home {
        let record = std::fs::read(home.path().join("isolation.json")).unwrap();
        crate::escape::merge(&serde_json::from_slice(&record).unwrap());
    }
}

#[test]
fn bombs_of_an_ordinary_user_go_off_inside() {
    as_user(&["bombs_go_off"]);
}

/// Runs the tests of these names as somebody who owns nothing but a folder, which is handed back;
/// nothing where the other tests run so already.
#[expect(clippy::disallowed_methods, reason = "runs these tests again as another user")]
fn as_user(names: &[&str]) -> Option<tempfile::TempDir> {
    if !is_root() {
        eprintln!("SKIPPED: the other tests run as an ordinary user already");
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(USER), Some(USER)).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--test-threads", "2"])
        .args(names)
        .env("TMPDIR", home.path())
        .env("ORLOP_EVIDENCE", home.path())
        .uid(USER)
        .gid(USER)
        .status()
        .unwrap();
    assert!(status.success(), "the tests failed as user {USER}: {status}");
    Some(home)
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"))
}
