//! Fifty secrets, each brought in by one of all the ways there are, and looked for in six encodings
//! everywhere: files, database, every answer, every output, and all that other processes show.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Api, Reply};
use crate::needles::{ENCODINGS, Finder, Found, Planted, forms_of};
use crate::places::{self, Watcher};
use crate::record::record;
use crate::support::{Installation, Up, eventually};

const SERVICES: [&str; 4] = ["leaky", "crashes", "migrates", "builds"];

/// Says every variable whose name begins with `S_` in every encoding it knows, to both outputs.
const LEAK: &str = r#"
import base64, json, os, sys, urllib.parse

def forms(value):
    raw = value.encode()
    yield value
    for prefix in (b"", b"x", b"xy"):
        yield base64.b64encode(prefix + raw + b" and more").decode()
        yield base64.urlsafe_b64encode(prefix + raw).decode()
    yield raw.hex()
    yield raw.hex().upper()
    yield urllib.parse.quote(value, safe="")
    yield urllib.parse.quote_plus(value)
    yield json.dumps({"secret": value})
    yield json.dumps({"secret": value}, ensure_ascii=False)
    yield value[::-1]

def leak():
    for name, value in sorted(os.environ.items()):
        if name.startswith("S_") or name in ("NPM_TOKEN", "HTTPS_PROXY", "DATABASE"):
            for form in forms(value):
                print(name, form, flush=True)
                print("error:", form, file=sys.stderr, flush=True)
            # In pieces, and without a line's end.
            for letter in value:
                sys.stdout.write(letter)
                sys.stdout.flush()
            print(flush=True)
            sys.stdout.write("x" * 16370 + value)
            sys.stdout.flush()
            print(flush=True)
"#;

const SERVE: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from leak import leak

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")
    def log_message(self, *args):
        pass

leak()
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

const CRASH: &str = "import sys\nfrom leak import leak\nleak()\nsys.exit(3)\n";
/// A build that says all it knows, and fails, so that its last lines become evidence.
const BUILD: &str = "for (const name of ['NPM_TOKEN', 'HTTPS_PROXY']) {\n  const v = process.env[name] || '';\n  console.log(name, v, Buffer.from(v).toString('base64'), Buffer.from(v).toString('hex'), encodeURIComponent(v));\n  console.error('cannot fetch with ' + v);\n}\nif (!process.env.NPM_TOKEN) { console.log('THERE IS NO TOKEN'); }\nprocess.exit(2);\n";

/// A value that stands nowhere else.
fn value(n: usize, kind: &str) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 7);
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    let core = format!("Pl{n}{}", word());
    match kind {
        "word" => core,
        "signs" => format!("{core}+/=&%?#\"\\'<ö☂> {}", word()),
        "lines" => format!("-----BEGIN {core}-----\n{}{}\n{}\n-----END-----\n", word(), word(), word()),
        "long" => std::iter::repeat_with(word).take(400).collect(),
        other => panic!("no kind `{other}`"),
    }
}

/// All that is planted, by the name of its way.
struct Plants(Vec<Planted>);

impl Plants {
    /// One more secret.
    fn plant(&mut self, way: &str, kind: &str, by_right: &'static [&'static str]) -> String {
        let value = value(self.0.len(), kind);
        self.0.push(Planted { way: way.to_owned(), value: value.clone(), by_right });
        value
    }

    /// One that the platform made.
    fn made(&mut self, way: &str, value: &str) {
        self.0.push(Planted { way: way.to_owned(), value: value.to_owned(), by_right: &[] });
    }
}

/// What a person has in their own environment is there by right; so has whatever they start themselves.
const OWN_ENVIRONMENT: &[&str] = &["environment of up"];
/// What a person wrote into their source is in the source.
const OWN_SOURCE: &[&str] = &["objects/", "git/", "engine/instances/"];

fn source(place: &Installation, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = place.home().join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in files {
        std::fs::write(folder.join(file), text).expect("a file");
    }
    folder
}

/// Types a command with something on its standard input.
fn type_in(place: &Installation, args: &[&str], input: &str) -> i32 {
    use std::io::Write as _;
    let mut command = place.command(args);
    let mut child = command
        .current_dir(place.home())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait().expect("it ends").code().unwrap_or(-1)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_secrets_are_found_nowhere() {
    let mut plants = Plants(Vec::new());
    let mut place = Installation::new();
    environment(&mut place, &mut plants);
    let up = place.up();
    let api = Api::admin(&up).await;
    api.sign_in_cli(&place).await;
    for service in SERVICES {
        api.post("/v1/teams/main/services", json!({ "service": service })).await.ok();
    }
    settings(&place, &api, &mut plants).await;
    credentials(&place, &up, &api, &mut plants).await;
    let visitor = requests(&place, &up, &api, &mut plants).await;
    let manifest = plants.plant("a manifest's URL", "word", OWN_SOURCE);
    // Everything is known that will be looked for: from here on processes are watched.
    let finder = Arc::new(Finder::of(&plants.0));
    let watcher = Watcher::start(Arc::clone(&finder));
    services(&place, &api, &manifest).await;
    visit(&up, &visitor).await;
    let (seen, on_processes) = watcher.end();
    let mut found = on_processes;
    // A backup without the key; its inside is looked at with the other files.
    let backup = place.orlop(["backup", "--json"]);
    assert_eq!(backup.code, 0, "{backup:?}");
    let (files, in_files) = places::files(&finder, &place.data);
    let (dumped, in_dump) = places::dump(&finder, &place.data);
    let (asked, in_answers) = places::answers(&finder, &api, &SERVICES).await;
    let (ran, in_outputs) = places::typed(&finder, &place, &SERVICES);
    found.extend([in_files, in_dump, in_answers, in_outputs].concat());
    found.sort();
    found.dedup();
    // That something was said, and that names stand where values stood.
    let log =
        api.events_for("/v1/services/leaky/logs?tail=10000&environment=dev", std::time::Duration::from_secs(5)).await;
    assert!(log.contains("[secret S_STDIN_0]") && log.contains("error:"), "the service has said nothing: {log:.2000}");
    let kinds: Vec<String> = plants.0.iter().map(|p| p.way.clone()).collect();
    println!(
        "secrets: {} planted, {} forms; looked at {files} files, a dump of {dumped} bytes, {asked} answers, {ran} outputs, \
         {seen} sights of processes; found {} times",
        plants.0.len(),
        finder.forms(),
        found.len(),
    );
    println!("{}", lines(&found));
    let proofs = finder_is_proved(&place, &api).await;
    record(
        "secrets",
        &json!({
            "planted": plants.0.len(), "ways": kinds, "encodings": ENCODINGS, "forms": finder.forms(),
            "files": files, "dumpBytes": dumped, "answers": asked, "outputs": ran, "sightsOfProcesses": seen,
            "found": found.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>(), "finderProvedIn": proofs,
        }),
    );
    assert!(plants.0.len() >= 50, "only {} were planted", plants.0.len());
    assert!(files > 50 && asked > 60 && ran > 60 && seen > 100, "something was not looked at");
    assert!(found.is_empty(), "{} were found:\n{}", found.len(), lines(&found));
}

fn lines(found: &[Found]) -> String {
    found.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join("\n")
}

/// What an operator has in their environment when they start the platform.
fn environment(place: &mut Installation, plants: &mut Plants) {
    let user = plants.plant("a proxy's password in the operator's environment", "word", OWN_ENVIRONMENT);
    place.variables = vec![
        ("NPM_TOKEN".into(), plants.plant("a token that is handed to builds", "word", OWN_ENVIRONMENT)),
        ("HTTPS_PROXY".into(), format!("http://ada:{user}@127.0.0.1:9")),
        ("AWS_SECRET_ACCESS_KEY".into(), plants.plant("another secret of the operator", "word", OWN_ENVIRONMENT)),
        ("no_proxy".into(), "127.0.0.1,localhost".into()),
    ];
    place.flags = vec!["--set".into(), "build.pass_env=[\"NPM_TOKEN\", \"HTTPS_PROXY\"]".into()];
}

async fn settings(place: &Installation, api: &Api, plants: &mut Plants) {
    let kinds = ["word", "signs", "lines", "long", "word", "signs"];
    for (n, kind) in kinds.into_iter().enumerate() {
        let value = plants.plant("standard input of `setting set --secret`", kind, &[]);
        let name = format!("S_STDIN_{n}");
        for service in SERVICES {
            let args = ["setting", "set", "--secret", &name, "--service", service];
            assert_eq!(type_in(place, &args, &value), 0, "{name}");
        }
    }
    let file = place.home().join("secret.txt");
    let value = plants.plant("a file through standard input", "signs", &[]);
    std::fs::write(&file, format!("{value}\n")).expect("a file");
    let text = std::fs::read_to_string(&file).expect("a file");
    assert_eq!(type_in(place, &["setting", "set", "--secret", "S_FILE", "--service", "leaky"], &text), 0);
    std::fs::remove_file(&file).expect("it goes");
    for n in 0..4 {
        let value = plants.plant("PUT of a secret", ["word", "signs", "lines", "word"][n], &[]);
        let path = format!("/v1/services/{}/settings/S_PUT_{n}", SERVICES[n % 2]);
        put(api, &path, &json!({ "value": value, "secret": true })).await;
    }
    let only = plants.plant("PUT of a secret of one environment", "word", &[]);
    put(api, "/v1/services/leaky/settings/S_DEV?environment=dev", &json!({ "value": only, "secret": true })).await;
    let all = plants.plant("PUT of a secret of the installation", "signs", &[]);
    put(api, "/v1/settings/S_ALL", &json!({ "value": all, "secret": true })).await;
    let keyed = plants.plant("PUT of a secret under an idempotency key", "word", &[]);
    let body = json!({ "value": keyed, "secret": true });
    for _ in 0..2 {
        let request = api.request(Method::PUT, "/v1/services/leaky/settings/S_KEYED").header("idempotency-key", "k");
        Reply::of(request.json(&body).send().await.expect("an answer")).await.ok();
    }
    for round in 0..2 {
        let value = plants.plant("a secret that was replaced and removed", "word", &[]);
        put(api, "/v1/services/leaky/settings/S_GONE", &json!({ "value": value, "secret": round == 0 })).await;
    }
    api.send(Method::DELETE, "/v1/services/leaky/settings/S_GONE", None).await.ok();
    // In the wrong places: refused, and not repeated anywhere.
    let wrong = plants.plant("the command line, where secrets are refused", "word", &[]);
    let refused = place.orlop(["setting", "set", "--secret", &format!("S_WRONG={wrong}"), "--service", "leaky"]);
    assert_ne!(refused.code, 0);
    assert!(!format!("{}{}", refused.out, refused.err).contains(&wrong), "{refused:?}");
    let name = plants.plant("the name of a setting", "word", &[]);
    let refused = place.orlop(["setting", "set", &format!("{name}-x"), "--service", "leaky"]);
    assert!(refused.code != 0 && !format!("{}{}", refused.out, refused.err).contains(&name), "{refused:?}");
    let password = plants.plant("the database's password on the command line", "word", &[]);
    let refused = place.orlop(["up", "--database", &format!("postgres://orlop:{password}@127.0.0.1:1/x")]);
    assert!(refused.code != 0 && !format!("{}{}", refused.out, refused.err).contains(&password), "{refused:?}");
}

async fn put(api: &Api, path: &str, body: &Value) {
    api.send(Method::PUT, path, Some(body.clone())).await.ok();
}

/// Tokens and codes that the platform made, good and bad ones, by every transport.
/// What the portal answers to the form of its sign-in page.
async fn entered(up: &Up, code: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let form = client.build().expect("a client").post(format!("{}/sign-in", up.url)).header("origin", &up.url);
    form.form(&[("code", code)]).send().await.expect("an answer")
}

/// What the cookie of the session holds that this answer sets.
fn session(answer: &reqwest::Response) -> String {
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|v| v.to_str().ok());
    let mut values =
        cookies.filter(|set| set.starts_with("orlop-session")).filter_map(|set| set.split(['=', ';']).nth(1));
    values.next().expect("a session").to_owned()
}

async fn credentials(place: &Installation, up: &Up, api: &Api, plants: &mut Plants) {
    plants.made("the token of a person who signed in", api.token.as_deref().expect("a token"));
    for n in 0..3 {
        let issued = api.post("/v1/tokens", json!({ "name": format!("t{n}") })).await.ok();
        let secret = issued["secret"].as_str().expect("a secret").to_owned();
        plants.made("an issued token", &secret);
        let id = issued.pointer("/token/token").and_then(Value::as_str).expect("an id").to_owned();
        assert_eq!(api.with(&secret).get("/v1/whoami").await.status, 200);
        let refs = api.without().request(Method::GET, "/git/leaky.git/info/refs?service=git-receive-pack");
        let refs = refs.basic_auth("git", Some(&secret)).send().await.expect("an answer");
        assert_eq!(refs.status(), 200, "git lists with a token as password");
        // What git itself says of it goes to the terminal of whoever typed it.
        git(place, &format!("http://git:{secret}@{}/git/leaky.git", host(&up.url)));
        if n == 1 {
            api.send(Method::DELETE, &format!("/v1/tokens/{id}"), None).await.ok();
            assert_eq!(api.with(&secret).get("/v1/whoami").await.status, 401);
        }
    }
    for (n, person) in ["ada", "grace", "edsger"].into_iter().enumerate() {
        api.post("/v1/people", json!({ "person": person })).await.ok();
        let link = api.send(Method::POST, &format!("/v1/people/{person}/sign-in"), None).await.ok();
        let code = link["code"].as_str().expect("a code").to_owned();
        plants.made("a one-time code", &code);
        match n {
            0 => {
                let signed_in = api.without().sign_in(&code).await;
                plants.made("the token of a person who signed in", signed_in.token.as_deref().expect("a token"));
            }
            1 => plants.made("the session of a browser", &session(&entered(up, &code).await)),
            _ => {}
        }
    }
    let wrong = plants.plant("a wrong token", "word", &[]);
    assert_eq!(api.with(&format!("orlop_{wrong}")).get("/v1/whoami").await.status, 401);
    let wrong = plants.plant("a wrong password of git", "word", &[]);
    assert!(!git(place, &format!("http://git:{wrong}@{}/git/leaky.git", host(&up.url))));
    let wrong = plants.plant("a wrong one-time code", "word", &[]);
    let refused = api.without().post("/v1/sign-in", json!({ "code": format!("once_{wrong}") })).await;
    assert_eq!(refused.status, 401);
    assert_eq!(entered(up, &wrong).await.status(), 401);
}

fn host(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// Lists the refs of a remote; whether that worked.
fn git(place: &Installation, url: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "git as a person runs it")]
    let mut command = std::process::Command::new("git");
    command.args(["ls-remote", "--", url]).current_dir(place.home()).env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", place.home()).env("no_proxy", "*");
    command.output().expect("git is there").status.success()
}

/// Secrets in requests where none belong, to the API and through the gateway to a service.
/// What a visitor sends is given back, to be sent again when the service answers.
async fn requests(place: &Installation, up: &Up, api: &Api, plants: &mut Plants) -> [String; 2] {
    let mut plant = |way: &str| plants.plant(way, "word", &[]);
    let _ = api.get(&format!("/v1/services?search={}", plant("a query"))).await;
    let _ = api.get(&format!("/v1/whoami?token={}", plant("a query that is refused"))).await;
    let _ = api.get(&format!("/v1/services/{}", plant("a path").to_lowercase())).await;
    let _ = api.get(&format!("/no/such/{}", plant("a path that is no endpoint"))).await;
    for (name, way) in [
        ("x-api-key", "a header"),
        ("cookie", "a cookie"),
        ("if-match", "If-Match"),
        ("last-event-id", "Last-Event-ID"),
        ("referer", "the Referer"),
        ("user-agent", "the User-Agent"),
    ] {
        let secret = plant(way);
        for path in ["/v1/whoami", "/v1/events"] {
            let request = api.request(Method::GET, path).header(name, format!("a={secret}"));
            drop(request.timeout(std::time::Duration::from_secs(2)).send().await);
        }
    }
    for (path, body) in [
        ("/v1/teams", json!({ plant("an unknown key of a body"): 1 })),
        ("/v1/teams", json!({ "team": plant("a bad name in a body") })),
        ("/v1/tokens", json!({ "name": "x", "scopes": [plant("an unknown word in a body")] })),
        ("/v1/tokens", json!({ "name": "x", "lifetime": plant("a bad span in a body") })),
    ] {
        assert_eq!(api.post(path, body).await.status, 422);
    }
    let broken = api.request(Method::POST, "/v1/teams").header("content-type", "application/json");
    let broken = broken.body(format!("{{\"team\": \"{}", plant("a body that is broken off"))).send().await;
    assert_eq!(broken.expect("an answer").status(), 400);
    let upload = api.request(Method::POST, "/v1/services/leaky/sources").header("content-type", "application/gzip");
    let upload = upload.body(plant("an upload that is none")).send().await.expect("an answer");
    assert!(upload.status().is_client_error(), "{upload:?}");
    let visitor = [plant("a query through the gateway"), plant("a header through the gateway")];
    visit(up, &visitor).await;
    let userinfo = plant("the user information of a server's address");
    let refused = place.orlop(["login", &format!("http://ada:{userinfo}@{}", host(&up.url)), "--code", "once_x"]);
    assert!(refused.code != 0 && !refused.err.contains(&userinfo), "{refused:?}");
    visitor
}

async fn visit(up: &Up, [query, header]: &[String; 2]) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("ada:{header}"));
    let request = client.get(format!("{}/?token={query}", up.gateway)).header("host", "leaky-dev.localhost");
    let request =
        request.header("cookie", format!("session={header}")).header("authorization", format!("Basic {basic}"));
    let request = request.header("referer", format!("http://a/?token={query}")).header("x-request-id", header);
    drop(request.send().await);
}

/// Services that say all they know, in every stage of their lives.
async fn services(place: &Installation, api: &Api, manifest: &str) {
    let leak = ("leak.py", LEAK);
    let web = ("Procfile", "web: python3 -u server.py\n");
    let leaky = source(place, "leaky", &[leak, ("server.py", SERVE), web]);
    place.orlop_in(&leaky, ["deploy", "--service", "leaky"]).ok();
    // Its settings in an address, as services have them.
    let address = "service: leaky\nsettings:\n  DATABASE: \"postgres://ada:${settings.S_STDIN_0}@db/x\"\n";
    std::fs::write(leaky.join("orlop.yaml"), address).expect("a file");
    place.orlop_in(&leaky, ["deploy", "--service", "leaky"]).ok();
    let crashes = source(place, "crashes", &[leak, ("server.py", CRASH), web]);
    assert_eq!(place.orlop_in(&crashes, ["deploy", "--service", "crashes"]).code, 1);
    let release = ("Procfile", "web: python3 -u server.py\nrelease: python3 -u release.py\n");
    let migrates = source(place, "migrates", &[leak, ("server.py", SERVE), ("release.py", CRASH), release]);
    assert_eq!(place.orlop_in(&migrates, ["deploy", "--service", "migrates"]).code, 1);
    let package = r#"{ "name": "b", "version": "1.0.0", "private": true, "scripts": { "build": "node build.js", "start": "node build.js" } }"#;
    let builds = source(place, "builds", &[("package.json", package), ("build.js", BUILD)]);
    assert_eq!(place.orlop_in(&builds, ["deploy", "--service", "builds"]).code, 1);
    // A secret in a service file is refused; it is in the source by then.
    let bad = format!("service: builds\nneeds:\n  api: {{ external: \"https://ada:{manifest}@api.example.com\" }}\n");
    std::fs::write(builds.join("orlop.yaml"), bad).expect("a file");
    assert_ne!(place.orlop_in(&builds, ["deploy", "--service", "builds"]).code, 0);
    eventually("the log of a failing release is kept", || place.orlop(["why", "migrates"]).code == 0);
    let statuses = api.get("/v1/status").await.ok();
    assert_eq!(statuses["items"].as_array().map(Vec::len), Some(SERVICES.len()), "{statuses}");
}

/// The finder is tried where it has looked: a value that everybody may see is put there, in every encoding.
async fn finder_is_proved(place: &Installation, api: &Api) -> Vec<&'static str> {
    let open = Planted { way: "open".into(), value: value(1000, "signs"), by_right: &[] };
    let finder = Finder::of(std::slice::from_ref(&open));
    let mut proved = Vec::new();
    let mut prove = |place: &'static str, found: &[Found]| {
        assert!(!found.is_empty(), "the finder finds nothing in {place}");
        proved.push(place);
    };
    for (encoding, form) in forms_of(&open.value) {
        std::fs::write(place.data.join("run/planted"), &form).expect("a file");
        assert!(!places::files(&finder, &place.data).1.is_empty(), "{encoding} in a file");
    }
    std::fs::remove_file(place.data.join("run/planted")).expect("it goes");
    assert!(places::files(&finder, &place.data).1.is_empty(), "it is gone");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, open.value.as_bytes()).expect("memory");
    std::fs::write(place.data.join("run/planted.gz"), packed.finish().expect("memory")).expect("a file");
    prove("a compressed file", &places::files(&finder, &place.data).1);
    std::fs::remove_file(place.data.join("run/planted.gz")).expect("it goes");
    let description = open.value.clone();
    let said = api.send(Method::PATCH, "/v1/services/leaky", Some(json!({ "description": description }))).await;
    said.ok();
    prove("the database dump", &places::dump(&finder, &place.data).1);
    prove("the files of the database", &places::files(&finder, &place.data).1);
    let answer = api.get("/v1/services/leaky").await.text;
    prove("an answer of the API", &finder.look("API", answer.as_bytes()));
    let output = place.orlop(["service", "list", "--json"]).out;
    prove("an output of the command line", &finder.look("output", output.as_bytes()));
    #[expect(clippy::disallowed_methods, reason = "a process that shows a value")]
    let mut shows = std::process::Command::new("python3");
    shows.args(["-c", "import sys; sys.stdin.read()", &open.value]).env("PLANTED", &open.value);
    let mut child = shows.stdin(std::process::Stdio::piped()).spawn().expect("python3 is there");
    eventually("the process is seen", || places::processes(&finder).1.len() >= 2);
    let seen = places::processes(&finder).1;
    prove(
        "the arguments of a process",
        &seen.iter().filter(|f| f.place.starts_with("arguments")).cloned().collect::<Vec<_>>(),
    );
    prove(
        "the environment of a process",
        &seen.iter().filter(|f| f.place.starts_with("environment")).cloned().collect::<Vec<_>>(),
    );
    drop(child.stdin.take());
    let _ = child.wait();
    proved
}
