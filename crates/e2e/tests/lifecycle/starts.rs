//! `up` and `down`, in every order.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Installation, binary, eventually, fixture, runs};

fn code(ran: &crate::support::Ran) -> (i32, String, bool) {
    let problem = ran.json();
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    (ran.code, text("code"), !text("hint").is_empty())
}

#[test]
fn down_is_done_when_nothing_runs() {
    let place = Installation::new();
    assert!(place.orlop(["down"]).ok().out.contains("Nothing was running"));
    let up = place.up();
    let down = place.orlop(["down", "--json"]).ok().json();
    assert_eq!(down, serde_json::json!({ "control": true, "instances": 0, "gateway": true }));
    assert!(!runs(up.pid));
    for _ in 0..2 {
        assert!(place.orlop(["down"]).ok().out.contains("Nothing was running"));
    }
    assert_eq!(place.processes(), Vec::<i32>::new());
}

#[test]
fn one_control_plane_at_a_time() {
    let place = Installation::new();
    let up = place.up();
    for args in [&["up", "--json"][..], &["up", "--detach", "--json"]] {
        let ran = place.orlop(args);
        assert_eq!(code(&ran), (1, "already-running".to_owned(), true), "{ran:?}");
        assert!(ran.out.contains(&up.pid.to_string()), "it says who: {ran:?}");
    }
    assert_eq!(place.orlop(["status"]).code, 0, "the first one goes on");
}

#[test]
fn ports_in_use_are_told() {
    let place = Installation::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for detach in [&[][..], &["--detach"]] {
        let api = [&["up", "--json", "--listen", &address, "--gateway-listen", free], detach].concat();
        let ran = place.orlop(&api);
        assert_eq!(code(&ran), (1, "port-in-use".to_owned(), true), "{ran:?}");
        let gateway = [&["up", "--json", "--listen", free, "--gateway-listen", &address], detach].concat();
        let ran = place.orlop(&gateway);
        assert_eq!((ran.code, code(&ran).2), (1, true), "{ran:?}");
        assert!(ran.out.contains(&address), "it says which: {ran:?}");
    }
    assert_eq!(place.processes(), Vec::<i32>::new(), "nothing was left behind");
}

#[test]
fn only_its_owner_may_look_inside() {
    let place = Installation::new();
    let mode = |path: &Path| std::fs::metadata(path).map(|m| m.permissions().mode() & 0o777).unwrap_or_default();
    place.up();
    assert_eq!(mode(&place.data.join("run/sign-in.json")), 0o600);
    place.orlop_in(&place.copy(&fixture("static"), "pages"), ["deploy"]).ok();
    assert!(!place.data.join("run/sign-in.json").exists(), "a used code is not left lying about");
    assert_eq!(mode(&place.data), 0o700);
    for folder in ["run", "gateway"] {
        assert_eq!(mode(&place.data.join(folder)), 0o700, "{folder}");
    }
    for file in ["master.key", "run/control.json", "run/control.log", "run/gateway.log", "run/lock"] {
        assert_eq!(mode(&place.data.join(file)), 0o600, "{file}");
    }
    let credentials = place.home().join("config/orlop/credentials.json");
    assert_eq!(mode(&credentials), 0o600);
}

#[test]
fn mistakes_are_told_with_the_right_exit() {
    let place = Installation::new();
    let check = |args: &[&str], exit: i32, says: &str| {
        let ran = place.orlop(args);
        assert_eq!(ran.code, exit, "{args:?}: {ran:?}");
        assert!(format!("{}{}", ran.out, ran.err).contains(says), "{args:?}: {ran:?}");
    };
    check(&["status"], 3, "orlop up");
    check(&["nonsense"], 2, "--help");
    check(&["up", "--set", "nonsense"], 1, "KEY=VALUE");
    check(&["up", "--set", "no.such=1"], 1, "no.such");
    check(&["up", "--config", "/does/not/exist.toml"], 1, "/does/not/exist.toml");
    check(&["up", "--listen", "nonsense"], 2, "--listen");
    check(&["config", "dump"], 0, "listen");
    check(&["up", "--data", "/proc/nothing"], 1, "--data");
    place.up();
    check(&["status"], 0, "No services yet");
    check(&["status", "nope"], 1, "service-not-found");
    check(&["scale", "many"], 2, "many");
    check(&["doctor"], 0, "database");
    check(&["logs", "--service", "nope"], 1, "service-not-found");
    check(&["login", "http://127.0.0.1:1", "--code", "once_x"], 1, "127.0.0.1:1");
    for shell in ["bash", "zsh", "fish"] {
        check(&["completion", shell], 0, "orlop");
    }
}

/// The gateway is up before the state is opened: one whose database is out of reach is ended too.
#[test]
fn a_failed_start_can_be_ended() {
    let place = Installation::new();
    let free = "127.0.0.1:0";
    let database = "postgres://nobody@127.0.0.1:1/nothing";
    let ran = place.orlop(["up", "--detach", "--listen", free, "--gateway-listen", free, "--database", database]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("database") && ran.err.contains("fix "), "{ran:?}");
    place.orlop(["down"]).ok();
    assert_eq!(place.processes(), Vec::<i32>::new());
}

/// A new version at another place takes over what the old one left, whose file is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_binary_takes_over() {
    let mut place = Installation::new();
    let old = place.home().join("old-orlop");
    std::fs::copy(binary(), &old).unwrap();
    place.binary.clone_from(&old);
    let before = place.up();
    let folder = place.copy(&fixture("static"), "pages");
    place.orlop_in(&folder, ["deploy"]).ok();
    let instances = place.orlop(["status", "--json"]).ok().json();
    let gateways = place.gateways();
    let load = crate::load::Load::begin(&before.gateway, "pages-dev.localhost");
    place.orlop(["down", "--keep-running"]).ok();
    std::fs::remove_file(&old).unwrap();
    place.binary = binary();
    let after = place.up();
    assert_eq!((after.gateway.as_str(), place.gateways()), (before.gateway.as_str(), gateways));
    assert_ne!(after.pid, before.pid);
    load.more().await;
    place.orlop_in(&folder, ["deploy"]).ok();
    place.orlop_in(&folder, ["restart"]).ok();
    load.more().await;
    assert_eq!(load.end().await, Vec::<String>::new(), "no request was lost");
    let now = place.orlop(["status", "--json"]).ok().json();
    let health = |status: &serde_json::Value| status.pointer("/items/0/environments/0/health").cloned();
    assert_eq!((health(&instances), health(&now)), (Some("healthy".into()), Some("healthy".into())));
    eventually("everything ends", || place.orlop(["down"]).code == 0 && place.processes().is_empty());
}
