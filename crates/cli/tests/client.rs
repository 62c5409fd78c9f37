//! What happens when servers and connections are not as one would wish.

mod support;

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;
use support::host::NOW;
use support::{Answer, Ran, Server, TestHost, run, world};

/// A refusal of the server becomes an exit status and a text.
fn check_problem(answer: Answer, exit: u8, expect: &str) {
    let server = Server::start();
    server.on("GET /v1/teams", [answer]);
    let ran = run(&TestHost::with(&server), &["team", "list"]);
    assert_eq!((ran.exit, ran.err.replace(&server.url, "SERVER").as_str(), ran.out.as_str()), (exit, expect, ""));
}

#[test]
fn problems_become_exit_statuses_and_texts() {
    let problem = Answer::problem;
    check_problem(
        problem(403, "forbidden", "bob may not", Some("ask ada")),
        3,
        "error: bob may not\n  fix   ask ada\n  code  forbidden\n",
    );
    check_problem(
        problem(401, "bad-token", "the token ended", None),
        3,
        "error: the token ended\n  fix   orlop login SERVER\n  code  bad-token\n",
    );
    check_problem(problem(404, "no-such-team", "no \u{1b}[2Jteam", None), 1, "error: no team\n  code  no-such-team\n");
    check_problem(
        problem(504, "too-slow", "a deadline passed", None),
        4,
        "error: a deadline passed\n  code  too-slow\n",
    );
    check_problem(
        problem(409, "busy", "a rollout is under way", None),
        1,
        "error: a rollout is under way\n  code  busy\n",
    );
    let foreign = "error: SERVER answered 502 in a form that Orlop does not use\n  fix   see whether SERVER is the address of an Orlop server: curl SERVER/healthz\n  code  foreign-answer\n";
    check_problem(Answer::text(502, "<h1>Bad Gateway</h1>"), 1, foreign);
    check_problem(Answer::text(302, "").header("location", "http://example.org/"), 1, &foreign.replace("502", "302"));
    let odd = run_with(Answer::json(json!({"items": 3}))).err;
    assert!(
        odd.contains("error: the reply of /v1/teams is not what was expected: invalid type")
            && odd.contains("reply-not-understood"),
        "{odd}"
    );
}

fn run_with(answer: Answer) -> Ran {
    let server = Server::start();
    server.on("GET /v1/teams", [answer]);
    run(&TestHost::with(&server), &["team", "list"])
}

#[test]
fn problems_are_objects_for_programs() {
    let server = Server::start();
    server.on("GET /v1/teams", [Answer::problem(403, "forbidden", "bob may not", Some("ask ada"))]);
    let ran = run(&TestHost::with(&server), &["team", "list", "--json"]);
    let body: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.exit, &body["code"], &body["status"], &body["hint"]),
        (3, &json!("forbidden"), &json!(403), &json!("ask ada"))
    );
    assert!(ran.err.starts_with("error: bob may not"), "{}", ran.err);
}

#[test]
fn usage_is_two() {
    let host = TestHost::new();
    for line in [
        &["no-such-verb"][..],
        &["scale", "web=many"],
        &["scale", "101"],
        &["logs", "--tail", "x"],
        &["service", "show", "Bad_Name"],
        &["setting", "set", "bad=secretvalue"],
    ] {
        let ran = run(&host, line);
        assert_eq!(ran.exit, 2, "{line:?}: {}", ran.err);
    }
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::with(&server);
    for (line, expect) in [
        (&["service", "remove", "shop"][..], "add --yes"),
        (&["setting", "set", "A"], "A has no value"),
        (&["setting", "set", "--secret", "A=hunter2"], "stands on the command line"),
        (&["promote", "--to", "dev"], "first environment"),
        (&["promote", "--to", "moon"], "there are dev, staging"),
        (&["login"], "neither --code nor --token"),
        (&["deploy", "nowhere"], "the folder cannot be read"),
        (&["whoami", "--url", "ftp://x"], "is not the address of a server"),
        (&["whoami", "--url", "http://ada:hunter2@x"], "must not carry a name or a password"),
    ] {
        let ran = run(&host, line);
        assert!(ran.exit == 2 && ran.err.contains(expect), "{line:?}: {} {}", ran.exit, ran.err);
        assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    }
    assert!(server.seen("DELETE /v1/services/shop").is_empty());
}

#[test]
fn calls_are_repeated_with_the_same_key_when_the_server_asks_for_it() {
    let server = Server::start();
    let busy = || Answer::problem(503, "starting", "not yet", None).header("retry-after", "0");
    world::tell(&server);
    server.on(
        "PUT /v1/services/shop/scale",
        [
            busy(),
            busy(),
            Answer::json(
                json!({"service": "shop", "environment": "dev", "process": "web", "instances": 3, "before": 1}),
            ),
        ],
    );
    let host = TestHost::with(&server);
    let ran = run(&host, &["scale", "3"]);
    assert_eq!(ran.exit, 0, "{}", ran.err);
    let seen = server.seen("PUT /v1/services/shop/scale");
    let keys: Vec<_> = seen.iter().map(|s| s.header("idempotency-key").unwrap().to_owned()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|k| *k == keys[0] && k.len() >= 32), "{keys:?}");
    assert!(seen.iter().all(|s| s.body == seen[0].body && !s.body.is_empty()));
    // Another call has another key; a read has none.
    run(&host, &["scale", "4"]);
    assert_ne!(server.seen("PUT /v1/services/shop/scale")[3].header("idempotency-key").unwrap(), keys[0]);
    assert!(server.seen("GET /v1/services/shop/environments").iter().all(|s| s.header("idempotency-key").is_none()));
}

#[test]
fn calls_are_not_repeated_for_ever_nor_without_being_asked() {
    let check = |answer: Answer, times: usize| {
        let server = Server::start();
        server.on("POST /v1/teams", [answer]);
        assert_eq!(run(&TestHost::with(&server), &["team", "create", "x"]).exit, 1);
        assert_eq!(server.seen("POST /v1/teams").len(), times);
    };
    check(Answer::problem(503, "down", "down", None).header("retry-after", "0"), 4);
    check(Answer::problem(503, "down", "down", None), 1);
    check(Answer::problem(503, "down", "down", None).header("retry-after", "3600"), 1);
    check(Answer::problem(500, "fault", "fault", None).header("retry-after", "0"), 1);
    check(Answer::json(json!({"half": "a reply"})).breaks(), 1);
}

#[test]
fn a_server_that_is_not_there_is_named_with_the_fix() {
    let mut host = TestHost::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    host.set("ORLOP_URL", &format!("http://{free}"));
    host.set("ORLOP_TOKEN", "orlop_secret_token");
    let ran = run(&host, &["whoami"]);
    assert!(ran.exit == 1 && ran.err.contains("server-not-reached") && ran.err.contains("orlop up"), "{}", ran.err);
    let ran = run(&TestHost::new(), &["whoami"]);
    assert!(
        ran.exit == 3 && ran.err.contains("no server is known here") && ran.err.contains("orlop login https://"),
        "{}",
        ran.err
    );
}

#[test]
fn streams_resume_behind_the_last_event() {
    let server = Server::start();
    world::tell(&server);
    let route = format!("GET /v1/services/shop/deploys/{}/events", world::source_id());
    let at = world::ago(80);
    server.on(
        &route,
        [
            Answer::events(1, &[world::stage("build", "cargo build", at), world::progress_line("one")]).breaks(),
            Answer::problem(503, "restarting", "the control plane restarts", None),
            Answer::events(3, &[world::progress_line("two")]),
            Answer::events(4, &[world::done(true, "serves")]).hangs(),
        ],
    );
    let host = TestHost::with(&server);
    host.file("x", "x");
    let ran = run(&host, &["deploy"]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, "http://shop-dev.localhost:8080\n"), "{}", ran.err);
    let ids: Vec<_> = server.seen(&route).iter().map(|s| s.header("last-event-id").map(str::to_owned)).collect();
    assert_eq!(ids, [None, Some("2".into()), Some("2".into()), Some("3".into())]);
    for text in ["one", "two"] {
        assert_eq!(ran.err.matches(&format!("| {text}\n")).count(), 1, "each line once: {}", ran.err);
    }
}

#[test]
fn streams_that_never_move_are_given_up() {
    let server = Server::start();
    world::tell(&server);
    let route = format!("GET /v1/services/shop/rollouts/{}/events", world::rollout_id());
    server.on(&route, [Answer::events(1, &[])]);
    let ran = run(&TestHost::with(&server), &["rollback"]);
    assert!(
        ran.exit == 1 && ran.err.contains("stream-closed") && ran.err.contains("orlop rollout watch ro_"),
        "{}",
        ran.err
    );
    assert_eq!(server.seen(&route).len(), 9);
}

#[test]
fn a_refused_stream_is_final_and_a_wait_has_an_end() {
    let server = Server::start();
    world::tell(&server);
    let route = format!("GET /v1/services/shop/rollouts/{}/events", world::rollout_id());
    let host = TestHost::with(&server);
    server.on(&route, [Answer::problem(403, "forbidden", "no", None)]);
    assert_eq!(run(&host, &["restart"]).exit, 3);
    assert_eq!(server.seen(&route).len(), 1);
    server.on(&route, [Answer::events(1, &[world::rollout("starting", "1 of 2 ready", false)]).hangs()]);
    let ran = run(&host, &["restart", "--wait", "200ms"]);
    assert!(
        ran.exit == 4 && ran.err.contains("wait-over") && ran.err.contains("starting  1 of 2 ready"),
        "{}",
        ran.err
    );
}

#[test]
fn ctrl_c_detaches_and_tells_how_to_go_on() {
    let server = Server::start();
    world::tell(&server);
    let route = format!("GET /v1/services/shop/deploys/{}/events", world::source_id());
    server.on(&route, [Answer::events(1, &[world::stage("build", "cargo build", world::ago(80))]).hangs()]);
    let mut host = TestHost::with(&server);
    host.file("x", "x");
    host.interrupt = true;
    let ran = run(&host, &["deploy"]);
    assert_eq!(ran.exit, 1);
    assert!(
        ran.err.contains("the deploy goes on")
            && ran.err.contains("orlop status shop")
            && ran.err.contains("orlop cancel --service shop"),
        "{}",
        ran.err
    );
    assert!(server.take_seen().iter().all(|s| !s.line.contains("cancel")));
}

#[test]
fn failures_show_evidence_and_what_serves() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::with(&server);
    host.file("x", "x");
    let route = format!("GET /v1/services/shop/deploys/{}/events", world::source_id());
    server.on(&route, [Answer::events(1, &[world::done(false, "the health check answered 500")]).hangs()]);
    let ran = run(&host, &["deploy"]);
    assert_eq!((ran.exit, ran.out.as_str()), (1, ""));
    for text in [
        "failed the health check answered 500",
        "GET / answered 200",
        "release 41 serves in dev as before",
        "orlop build log bld_",
    ] {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    let route = format!("GET /v1/services/shop/rollouts/{}/events", world::rollout_id());
    server.on(&route, [Answer::events(1, &[world::rollout("failed", "never became ready", true)]).hangs()]);
    let ran = run(&host, &["rollback"]);
    assert!(ran.exit == 1 && ran.err.contains("failed release 42 in dev: never became ready"), "{}", ran.err);
    server.on(
        "GET /v1/doctor",
        [Answer::json(
            json!({"items": [{"name": "database", "verdict": "broken", "found": "read-only", "fix": "free the disk"}]}),
        )],
    );
    let ran = run(&host, &["doctor"]);
    assert!(ran.exit == 1 && ran.out.contains("fix   database: free the disk"), "{}", ran.out);
    server.on(
        "GET /v1/audit/verification",
        [Answer::json(json!({"ok": false, "checked": 7, "firstBad": 6, "problem": "another hash"}))],
    );
    assert_eq!(run(&host, &["audit", "verify"]).exit, 1);
}

#[test]
fn the_archive_holds_the_tree_and_the_call_says_what_it_is() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::with(&server);
    host.file(".git/HEAD", "0123456789abcdef0123456789abcdef01234567");
    host.file(".gitignore", "target/\n");
    host.file("target/big", "x");
    host.file("src/main.rs", "fn main() {}\n");
    symlink("/etc/passwd", host.shop().join("passwd")).unwrap();
    let ran = run(&host, &["deploy", "--to", "staging"]);
    assert!(ran.exit == 0 && ran.err.contains("Left out") && ran.err.contains("passwd"), "{}", ran.err);
    let seen = server.seen("POST /v1/services/shop/sources");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(seen[0].body.as_slice()).read_to_end(&mut tar).unwrap();
    let mut archive = tar::Archive::new(tar.as_slice());
    let paths: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert_eq!(paths, [".gitignore", "src/main.rs"]);
    assert_eq!(
        seen[0].line,
        "POST /v1/services/shop/sources?environment=staging&commit=0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(seen[0].header("authorization"), Some("Bearer orlop_secret_token"));
}

#[test]
fn deploys_make_the_service_in_the_right_team() {
    let check = |teams: serde_json::Value, manifest: &str, exit: u8, expect: &str| {
        let server = Server::start();
        world::tell(&server);
        server.on("GET /v1/services/shop", [Answer::problem(404, "no-such-service", "no service `shop`", None)]);
        server.on("GET /v1/whoami", [Answer::json(world::me(teams))]);
        let host = TestHost::with(&server);
        host.file("orlop.yaml", manifest);
        let ran = run(&host, &["deploy"]);
        assert!(ran.exit == exit && ran.err.contains(expect), "{} {}", ran.exit, ran.err);
        assert_eq!(server.seen("POST /v1/teams/payments/services").len(), usize::from(exit == 0));
    };
    check(json!({"payments": "developer", "guests": "viewer"}), "", 0, "Made the service shop of team payments.");
    check(json!({"payments": "owner", "platform": "owner"}), "team: payments\n", 0, "of team payments");
    check(
        json!({"payments": "owner", "platform": "owner"}),
        "",
        2,
        "add one of these lines:\n        team: payments\n        team: platform",
    );
    check(json!({"guests": "viewer"}), "", 3, "ask an admin: orlop team member set TEAM ada developer");
    check(json!({"payments": "owner"}), "kind: wob\n", 1, "orlop.yaml:1:7");
}

#[test]
fn the_one_time_code_of_this_machine_is_used_once() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::new();
    let file = host.local_sign_in(&server.url, NOW.plus(std::time::Duration::from_secs(60)));
    let ran = run(&host, &["team", "list"]);
    assert!(ran.exit == 0 && ran.err.contains("as ada: `orlop up` left a one-time code for you"), "{}", ran.err);
    assert!(!ran.err.contains("orlop_issued_token") && !ran.err.contains("one-time\""));
    assert!(!file.exists());
    let signed = &server.seen("POST /v1/sign-in")[0];
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&signed.body).unwrap(),
        json!({"code": "one-time", "name": "command line on workbench"})
    );
    assert_eq!(server.seen("GET /v1/teams")[0].header("authorization"), Some("Bearer orlop_issued_token"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&host.credentials()), mode(host.credentials().parent().unwrap())), (0o600, 0o700));
    assert_eq!(
        std::fs::read_dir(host.credentials().parent().unwrap()).unwrap().count(),
        1,
        "no half-written copy stays"
    );

    assert_eq!(run(&host, &["team", "list"]).err.matches("one-time").count(), 0);
    assert_eq!(server.seen("POST /v1/sign-in").len(), 1);
}

#[test]
fn codes_that_ended_or_lead_elsewhere_are_not_used() {
    let server = Server::start();
    world::tell(&server);
    let later = NOW.plus(std::time::Duration::from_secs(60));
    let host = TestHost::new();
    host.local_sign_in(&server.url, NOW);
    assert_eq!(run(&host, &["whoami"]).exit, 3);
    host.local_sign_in("http://orlop.example.com", later);
    assert_eq!(run(&host, &["whoami"]).exit, 3);
    host.local_sign_in(&server.url, later);
    let ran = run(&host, &["whoami", "--url", "http://127.0.0.1:1"]);
    assert!(ran.exit == 3 && ran.err.contains("orlop login http://127.0.0.1:1"), "{}", ran.err);
    assert!(server.take_seen().is_empty());
}

#[test]
fn tokens_go_to_their_own_server_alone() {
    let (mine, other) = (Server::start(), Server::start());
    world::tell(&mine);
    world::tell(&other);
    let mut host = TestHost::new();
    host.input = b"orlop_typed_token\n".to_vec();
    assert_eq!(run(&host, &["login", &mine.url, "--token"]).exit, 0);
    assert_eq!(run(&host, &["whoami", "--url", &other.url]).exit, 3);
    assert!(other.take_seen().is_empty());
    let ask = |host: &mut TestHost, url: &str| {
        host.input = format!("protocol=http\nhost={}\npath=git/shop.git\n", &url["http://".len()..]).into_bytes();
        run(host, &["git-credential", "get"])
    };
    assert_eq!(ask(&mut host, &mine.url).out, "username=orlop\npassword=orlop_typed_token\n");
    let silent = ask(&mut host, &other.url);
    assert_eq!((silent.exit, silent.out.as_str(), silent.err.as_str()), (0, "", ""));
    assert_eq!(run(&host, &["git-credential", "store"]).out, "");
    // A bad token is not kept.
    other.on("GET /v1/whoami", [Answer::problem(401, "bad-token", "unknown token", None)]);
    host.input = b"wrong\n".to_vec();
    assert_eq!(run(&host, &["login", &other.url, "--token"]).exit, 3);
    assert!(!std::fs::read_to_string(host.credentials()).unwrap().contains("wrong"));
}

#[test]
fn sign_in_links_can_be_pasted_and_sign_outs_revoke() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::new();
    assert_eq!(run(&host, &["login", &format!("{}/sign-in?code=pasted", server.url)]).exit, 0);
    assert!(String::from_utf8_lossy(&server.seen("POST /v1/sign-in")[0].body).contains("pasted"));
    assert_eq!(run(&host, &["logout"]).exit, 0);
    assert_eq!(server.seen(&format!("DELETE /v1/tokens/{}", world::token_id())).len(), 1);
    assert!(!std::fs::read_to_string(host.credentials()).unwrap().contains("orlop_issued_token"));
}

#[test]
fn new_overwrites_nothing_and_stays_in_its_folder() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::with(&server);
    let kept = host.file("till/run", "mine");
    let ran = run(&host, &["new", "rust-web", "till"]);
    assert!(ran.exit == 1 && ran.err.contains("file-exists"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "mine");
    assert!(!host.shop().join("till/src").exists(), "nothing was written before the look at all files");
    for path in ["../out", "/abs", "a/../../out", "", "."] {
        let file = json!({"path": path, "content": "x", "executable": false});
        server.on("POST /v1/templates/rust-web/files", [Answer::json(json!({"files": [file]}))]);
        let ran = run(&host, &["new", "rust-web", "b"]);
        assert!(ran.exit == 1 && ran.err.contains("bad-template"), "{path}: {}", ran.err);
    }
    assert!(!host.shop().join("b").exists() && !host.shop().join("../out").exists());
}

#[test]
fn a_person_sees_colours_a_live_line_and_the_page() {
    let server = Server::start();
    world::tell(&server);
    let mut host = TestHost::with(&server);
    host.terminal = true;
    host.file("x", "x");
    let ran = run(&host, &["status"]);
    assert!(ran.out.contains("\u{1b}[32mhealthy\u{1b}[0m"), "{:?}", ran.out);
    let route = format!("GET /v1/services/shop/deploys/{}/events", world::source_id());
    server.on(&route, [Answer::events(1, &[world::stage("build", "", world::ago(80))]).hangs()]);
    let ran = run(&host, &["deploy", "--wait", "500ms"]);
    assert!(
        ran.err.contains("\r\u{1b}[2K") && ran.err.contains("build  0.") && ran.err.contains("(last time 18.0 s)"),
        "{:?}",
        ran.err
    );
    run(&host, &["open"]);
    assert_eq!(*host.pages.lock().unwrap(), ["http://shop-dev.localhost:8080"]);
    host.set("NO_COLOR", "1");
    assert!(!run(&host, &["status"]).out.contains('\u{1b}'));
    host.typed = Some("n".into());
    let ran = run(&host, &["service", "remove", "shop"]);
    assert!(
        ran.exit == 1 && ran.err.contains("routes? [y/N] ") && ran.err.contains("nothing was changed"),
        "{}",
        ran.err
    );
    host.typed = Some("y".into());
    assert_eq!(run(&host, &["service", "remove", "shop"]).exit, 0);
}

#[test]
fn the_git_remote_is_set_and_set_again() {
    let server = Server::start();
    world::tell(&server);
    let host = TestHost::with(&server);
    let git = |args: &[&str]| cli::Host::git(&host, &host.shop(), args);
    if git(&["init", "--quiet"]).is_err() {
        eprintln!("SKIPPED the_git_remote_is_set_and_set_again: this machine has no git");
        return;
    }
    for _ in 0..2 {
        let ran = run(&host, &["git-remote"]);
        assert_eq!(ran.exit, 0, "{}", ran.err);
        assert_eq!(git(&["remote", "get-url", "orlop"]).unwrap(), format!("{}/git/shop.git", server.url));
        let helpers = git(&["config", "--local", "--get-all", &format!("credential.{}.helper", server.url)]).unwrap();
        assert_eq!(helpers, "\n!orlop git-credential");
    }
    let ran = run(&host, &["git-remote", "till"]);
    assert_eq!(ran.exit, 0, "{}", ran.err);
    // From now on the remote names the service of the folder.
    run(&host, &["logs"]);
    assert_eq!(server.seen("GET /v1/services/till/logs").len(), 1);
}
