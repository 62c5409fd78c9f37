//! Every text field of the interface × five hundred texts: nothing runs that was not typed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::fields::{Field, fields, send};
use crate::http::Api;
use crate::record::record;
use crate::strings::strings;
use crate::support::{Installation, eventually, skip};
use crate::traced::{Programs, Trap, can_trace, started, wrapped};

/// Whether a person's terminal would obey this.
fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// A fault of the platform, or something that went on a journey that it must not.
fn wrong(field: &Field, text: &str, (status, said): &(u16, String)) -> Option<String> {
    let bad =
        *status >= 500 || said.contains("root:x:0:") || said.contains("syntax error at") || said.contains("SQLITE");
    bad.then(|| format!("{} with {text:?}: {status} {said:.200}", field.name()))
}

/// Of all pairs of a field and a text, the usual run tries one in so many, such that every field gets
/// texts and every text fields. `ORLOP_TEST_EVERY=1` tries all of them.
const EVERY: usize = 25;

/// The pairs to try, as places in both lists.
fn pairs(fields: usize, texts: usize, every: usize) -> Vec<(usize, usize)> {
    let all = (0..fields).flat_map(|field| (0..texts).map(move |text| (field, text)));
    all.filter(|(field, text)| (field + text) % every.max(1) == 0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_texts_in_every_field_start_nothing() {
    if let Err(why) = can_trace() {
        skip(&format!("which programs are started cannot be seen here: {why}"));
        return;
    }
    let trap = Trap::set();
    let every = std::env::var("ORLOP_TEST_EVERY").ok().and_then(|n| n.parse().ok()).unwrap_or(EVERY);
    let strings: Arc<Vec<String>> = Arc::new(strings(&trap.canary));
    let mut place = Installation::new();
    let plain = place.binary.clone();
    let log = wrapped(&mut place);
    let up = place.up();
    let api = Api::admin(&up).await;
    api.sign_in_cli(&place).await;
    api.post("/v1/teams", json!({ "team": "pay" })).await.ok();
    api.post("/v1/people", json!({ "person": "ada" })).await.ok();
    api.post("/v1/teams/pay/services", json!({ "service": "shop" })).await.ok();
    let fields = Arc::new(fields());
    let pairs = pairs(fields.len(), strings.len(), every);
    let (sent, accepted, wrong) = all_fields(&api, &fields, &strings, pairs).await;
    println!(
        "injection: {} fields × {} texts, one pair in {every}: {sent} requests, {accepted} accepted",
        fields.len(),
        strings.len()
    );
    let verbatim = what_is_accepted_comes_through_as_it_is(&place, &api, &strings).await;
    api.post("/v1/teams/main/services", json!({ "service": "pushed" })).await.ok();
    git_takes_refs_and_messages(&place, &up.url, &api, &strings);
    place.binary = plain;
    let steered = the_terminal_obeys_nobody(&place, &strings);
    let verify = api.get("/v1/audit/verification").await.ok();
    assert_eq!(verify["ok"], true, "{verify}");
    place.orlop(["down"]).ok();
    let programs = started(&log);
    let unknown = untyped(&place, &programs);
    println!(
        "injection: programs that were started: {:?}",
        programs.iter().map(|(p, (n, _))| format!("{n} × {p}")).collect::<Vec<_>>()
    );
    record(
        "injection",
        &json!({
            "texts": strings.len(), "fields": fields.iter().map(Field::name).collect::<Vec<_>>(), "onePairIn": every,
            "requests": sent, "accepted": accepted,
            "verbatim": verbatim, "programs": programs.iter().map(|(p, (n, _))| json!({ "program": p, "times": n })).collect::<Vec<_>>(),
            "wrong": wrong, "steered": steered, "sprung": trap.sprung(),
        }),
    );
    assert!(fields.len() > 80, "only {} fields", fields.len());
    assert_eq!(trap.sprung(), Vec::<String>::new(), "something was carried out");
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(steered.is_empty(), "the terminal was steered:\n{}", steered.join("\n"));
    assert!(unknown.is_empty(), "programs that nobody typed: {unknown:?}");
    assert!(!programs.is_empty(), "the tracer saw nothing");
}

/// Programs that nobody asked for.
fn untyped(place: &Installation, programs: &Programs) -> Vec<String> {
    programs.keys().filter(|program| !is_typed(place, program)).cloned().collect()
}

/// What the platform starts, by the tables of its own sources: itself, the host's git, and what the
/// recipes and services of this test name.
fn is_typed(place: &Installation, program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or_default();
    let own =
        program.ends_with("/orlop") || program.starts_with("/proc/self/") || program == place.binary.to_string_lossy();
    own || ["git", "git-upload-pack", "python3"].contains(&name) || name.starts_with("python3")
}

async fn all_fields(
    api: &Api,
    fields: &Arc<Vec<Field>>,
    strings: &Arc<Vec<String>>,
    pairs: Vec<(usize, usize)>,
) -> (usize, usize, Vec<String>) {
    let mut tasks = Vec::new();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let pairs = Arc::new(pairs);
    for _ in 0..8 {
        let (api, fields, strings, next) = (api.clone(), Arc::clone(fields), Arc::clone(strings), Arc::clone(&next));
        let pairs = Arc::clone(&pairs);
        tasks.push(tokio::spawn(async move {
            let (mut sent, mut accepted, mut bad) = (0, 0, Vec::new());
            loop {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let Some((field, text)) = pairs.get(n) else { return (sent, accepted, bad) };
                let (field, text) = (&fields[*field], &strings[*text]);
                let reply = send(&api, field, text).await;
                sent += usize::from(reply.0 != 0);
                accepted += usize::from(reply.0 == 200);
                bad.extend(wrong(field, text, &reply));
            }
        }));
    }
    let (mut sent, mut accepted, mut all) = (0, 0, Vec::new());
    for task in tasks {
        let (n, m, bad) = task.await.expect("no panic");
        sent += n;
        accepted += m;
        all.extend(bad);
    }
    (sent, accepted, all)
}

const ECHO: &str = r#"
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def files(folder):
    return sorted(os.fsencode(os.path.join(d, f)).decode("latin-1") for d, _, fs in os.walk(folder) for f in fs)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"argv": sys.argv[1:], "env": dict(os.environ), "files": files("/app/names")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

for text in sys.argv[1:]:
    print(text, flush=True)
    print(text, file=sys.stderr, flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// Arguments, settings and file names: what may be, comes to the program byte by byte, unread.
async fn what_is_accepted_comes_through_as_it_is(place: &Installation, api: &Api, strings: &[String]) -> Value {
    let usable: Vec<&String> = strings.iter().filter(|s| !s.contains('\0') && s.len() < 2000).collect();
    api.post("/v1/teams/main/services", json!({ "service": "echo" })).await.ok();
    let mut settings = BTreeMap::new();
    for (n, text) in usable.iter().enumerate().take(400) {
        let name = format!("V{n}");
        let body = json!({ "value": text, "secret": n % 2 == 0 });
        // Less than secret values of a length that would be taken out of the log.
        api.send(Method::PUT, &format!("/v1/services/echo/settings/{name}"), Some(body)).await.ok();
        settings.insert(name, (*text).clone());
    }
    let command: Vec<String> = ["python3", "-u", "echo.py"]
        .map(str::to_owned)
        .into_iter()
        .chain(usable.iter().map(|s| s.replace('$', "$$")))
        .collect();
    let manifest =
        json!({ "service": "echo", "kind": "web", "build": { "recipe": "command" }, "run": { "command": command } });
    // Others are refused by rule: the tests of `deliver` try each of them.
    let is_name =
        |s: &str| !s.is_empty() && s.len() < 200 && !s.contains(['/', '\\']) && !s.chars().any(char::is_control);
    let names: BTreeSet<String> =
        usable.iter().filter(|s| is_name(s) && ![".", ".."].contains(&s.as_str())).map(|s| (*s).clone()).collect();
    let (archive, kept) = archive(&escaped(&manifest), &names);
    let upload = api.request(Method::POST, "/v1/services/echo/sources").header("content-type", "application/gzip");
    let reply = upload.body(archive).send().await.expect("an answer");
    let (status, said) = (reply.status(), reply.text().await.unwrap_or_default());
    assert_eq!(status, 200, "{said}");
    eventually("the service with the texts is healthy", || {
        let builds = place.orlop(["builds", "echo", "--json"]).out;
        assert!(!builds.contains("\"failed\""), "{builds}");
        place.orlop(["status", "echo", "--json"]).out.contains("\"healthy\"")
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let gateway = place.orlop(["platform", "--json"]).ok().json();
    let gateway = gateway["gateway"].as_str().expect("an address").to_owned();
    let asked = client.get(&gateway).header("host", "echo-dev.localhost").send().await.expect("an answer");
    let told = asked.text().await.unwrap_or_default();
    let seen: Value = serde_json::from_str(&told).unwrap_or_default();
    assert!(seen["argv"].is_array(), "{told:.500}; {}", place.orlop(["why", "echo"]).out);
    let argv: Vec<&str> = seen["argv"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(argv, usable, "the arguments");
    for (name, value) in &settings {
        assert_eq!(seen["env"][name].as_str(), Some(value.as_str()), "{name}");
    }
    let files: BTreeSet<String> =
        seen["files"].as_array().expect("a list").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let expected: BTreeSet<String> =
        kept.iter().map(|name| format!("/app/names/{name}").bytes().map(char::from).collect()).collect();
    assert_eq!(files, expected, "the names of files");
    json!({ "arguments": usable.len(), "settings": settings.len(), "files": kept.len() })
}

/// JSON that is YAML too: what JSON lets stand as it is and YAML 1.2 calls not printable (section 5.1: DEL, C1,
/// the byte order mark within a line) is written as an escape. Beyond the basic plane everything is printable,
/// and JSON's pairs of surrogates are none of YAML's escapes.
fn escaped(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match u32::from(c) {
            code @ 0x7f..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push(c),
        }
    }
    out
}

/// A gzip-compressed tar with a file of each name.
fn archive(manifest: &str, names: &BTreeSet<String>) -> (Vec<u8>, Vec<String>) {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut kept = Vec::new();
    let mut add = |name: &std::ffi::OsStr, text: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes()).is_ok()
    };
    assert!(add("orlop.yaml".as_ref(), manifest) && add("echo.py".as_ref(), ECHO));
    for name in names {
        let path = format!("names/{name}");
        if add(std::ffi::OsStr::from_bytes(path.as_bytes()), "x") {
            kept.push(name.clone());
        }
    }
    (tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("memory"), kept)
}

/// Branches, tags and messages of commits, through a real push.
fn git_takes_refs_and_messages(place: &Installation, url: &str, api: &Api, strings: &[String]) {
    let folder = place.home().join("pushed");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("index.html"), "hello").expect("a file");
    let token = api.token.as_deref().expect("a token");
    let remote = url.replace("http://", &format!("http://git:{token}@")) + "/git/pushed.git";
    let git = |args: &[&str], input: &str| {
        use std::io::Write as _;
        #[expect(clippy::disallowed_methods, reason = "git as a person runs it")]
        let mut command = std::process::Command::new("git");
        command
            .args(["-c", "user.name=Ada\u{1b}[31m", "-c", "user.email=ada@example.org"])
            .args(args)
            .current_dir(&folder);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", place.home()).env("no_proxy", "*");
        command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("git is there");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    assert!(git(&["init", "-q", "-b", "main"], "").status.success());
    assert!(git(&["add", "-A"], "").status.success());
    let (mut commits, mut refs) = (0, 0);
    // The first line of a message is what people are shown.
    for part in strings.chunks(strings.len().div_ceil(5)) {
        let lines: Vec<String> =
            part.iter().filter(|s| s.len() < 500).map(|s| s.replace(['\n', '\r', '\0'], " ")).collect();
        let message = format!("{}\n\n{}", lines.concat(), lines.join("\n"));
        let done = git(&["commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-"], &message);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        commits += 1;
    }
    for (n, text) in strings.iter().enumerate() {
        let name = format!("refs/heads/{}", text.replace('\0', ""));
        refs += usize::from(git(&["update-ref", "--", &name, "HEAD"], "").status.success() && n < strings.len());
    }
    let pushed = git(&["push", "-q", &remote, "refs/heads/*:refs/heads/*"], "");
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    let pushed = git(&["push", &remote, "main"], "");
    let told = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(pushed.status.success(), "main is not taken: {told:?}; all: {said:?}");
    println!(
        "injection: {commits} messages, {refs} branches; the push of all said: {:.300}",
        said.replace('\u{1b}', "␛")
    );
    let remote_lines =
        |text: &str| text.lines().filter(|l| l.starts_with("remote:")).map(str::to_owned).collect::<Vec<_>>();
    for line in [remote_lines(&said), remote_lines(&told)].concat() {
        // git itself ends its lines with an erasure (ECMA-48 EL) on some terminals.
        let own = line.replace("\u{1b}[K", "");
        assert!(!steers(own.trim_end()), "a line of the server steers the terminal: {own:?}");
    }
    assert!(refs * 10 > strings.len(), "only {refs} branches could be made");
}

/// Each text in a flag or argument of each verb, and every list after that: no output carries a
/// control character of somebody else's.
fn the_terminal_obeys_nobody(place: &Installation, strings: &[String]) -> Vec<String> {
    let verbs: &[&[&str]] = &[
        &["status", "{}"],
        &["why", "{}"],
        &["logs", "{}"],
        &["releases", "{}"],
        &["builds", "{}"],
        &["traffic", "{}"],
        &["setting", "set", "{}"],
        &["setting", "list", "--service", "{}"],
        &["setting", "set", "A=1", "--env", "{}"],
        &["team", "create", "{}"],
        &["person", "create", "{}"],
        &["token", "create", "{}"],
        &["token", "revoke", "{}"],
        &["view", "save", "{}", "--search", "{}"],
        &["service", "create", "{}"],
        &["service", "change", "shop", "--description", "{}"],
        &["rollback", "{}"],
        &["promote", "{}", "--to", "{}"],
        &["scale", "shop", "{}"],
        &["events", "--kind", "{}", "--help"],
        &["audit", "list", "--kind", "{}"],
        &["login", "{}", "--code", "x"],
        &["--url", "{}", "status"],
        &["git-credential", "{}"],
        &["new", "web", "{}"],
        &["{}"],
    ];
    let mut steered = Vec::new();
    for (n, text) in strings.iter().enumerate().filter(|(_, s)| !s.contains('\0')) {
        let words: Vec<String> = verbs[n % verbs.len()].iter().map(|word| word.replace("{}", text)).collect();
        check(place, &words, &mut steered);
    }
    for words in [
        &["status"][..],
        &["status", "echo"],
        &["why", "echo"],
        &["logs", "echo", "--tail", "5000"],
        &["builds", "echo"],
        &["releases", "echo"],
        &["releases", "pushed"],
        &["builds", "pushed"],
        &["why", "pushed"],
        &["audit", "list", "--limit", "500"],
        &["setting", "list", "--service", "echo"],
        &["service", "list"],
        &["team", "list"],
        &["token", "list"],
        &["view", "list"],
        &["route", "list", "--service", "echo"],
    ] {
        for json in [None, Some("--json")] {
            let words: Vec<String> = words.iter().copied().chain(json).map(str::to_owned).collect();
            check(place, &words, &mut steered);
        }
    }
    steered
}

fn check(place: &Installation, words: &[String], steered: &mut Vec<String>) {
    let ran = place.orlop(words);
    for (name, text) in [("out", &ran.out), ("err", &ran.err)] {
        if steers(text) {
            let place = text.char_indices().find(|(_, c)| steers(&c.to_string())).map_or(0, |(at, _)| at);
            let begin = text.floor_char_boundary(place.saturating_sub(60));
            let end = text.floor_char_boundary((place + 60).min(text.len()));
            steered.push(format!("{words:?} {name}: {:?}", &text[begin..end]));
        }
    }
}

/// The checkers, tried on what they must notice: a program that a service starts through a shell, a
/// file in the trap's folder, a call of its port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_carried_out_is_noticed() {
    let trap = Trap::set();
    assert_eq!(trap.sprung(), Vec::<String>::new());
    std::fs::write(format!("{}/7", trap.canary.folder), "").expect("a file");
    drop(std::net::TcpStream::connect(("127.0.0.1", trap.canary.port)).expect("the trap listens"));
    eventually("the trap has seen both", || trap.sprung().len() == 2);
    if let Err(why) = can_trace() {
        skip(&format!("which programs are started cannot be seen here: {why}"));
        return;
    }
    let mut place = Installation::new();
    let log = wrapped(&mut place);
    let api = Api::admin(&place.up()).await;
    api.sign_in_cli(&place).await;
    api.post("/v1/teams/main/services", json!({ "service": "planted" })).await.ok();
    let command = ["sh", "-c", "/bin/touch /tmp/x; exec python3 -u echo.py"];
    let manifest = json!({
        "service": "planted", "kind": "web", "build": { "recipe": "command" }, "run": { "command": command }
    });
    let upload = api.request(Method::POST, "/v1/services/planted/sources").header("content-type", "application/gzip");
    let (archive, _) = archive(&manifest.to_string(), &BTreeSet::new());
    assert_eq!(upload.body(archive).send().await.expect("an answer").status(), 200);
    eventually("the service runs", || place.orlop(["status", "planted", "--json"]).out.contains("\"healthy\""));
    place.orlop(["down"]).ok();
    let unknown = untyped(&place, &started(&log));
    println!("injection, planted: {unknown:?}");
    for program in ["sh", "touch"] {
        assert!(unknown.iter().any(|path| path.ends_with(&format!("/{program}"))), "{program}: {unknown:?}");
    }
}

#[test]
fn pairs_reach_every_field_and_every_text() {
    for (fields, texts, every) in [(151, 500, EVERY), (151, 500, 1), (3, 500, 1)] {
        let pairs = pairs(fields, texts, every);
        let seen = |side: fn(&(usize, usize)) -> usize| pairs.iter().map(side).collect::<BTreeSet<_>>().len();
        assert_eq!((seen(|p| p.0), seen(|p| p.1)), (fields, texts), "one in {every}");
        assert_eq!(pairs.len(), fields * texts / every, "one in {every}");
    }
}
