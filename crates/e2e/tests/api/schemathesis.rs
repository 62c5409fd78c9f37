//! The running API against its own document, by schemathesis (property-based tests made from an
//! OpenAPI document, stateful along the links between its operations), as two people.

#![expect(clippy::disallowed_methods, reason = "starts python")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::{Api, Reply};
use crate::repeats::site;
use crate::support::{Installation, PATIENCE, skip};

/// The course of chance, unless `ORLOP_TEST_SEED` says otherwise.
const SEED: u64 = 20_260_101;
/// Seconds for each person; `ORLOP_TEST_SCHEMATHESIS_SECONDS` gives more, and more examples with it.
const SECONDS: u64 = 60;
/// Operations that are not tried: streams without an end, and what git speaks, which is not JSON.
const LEFT_OUT: [&str; 2] = ["watchEvents", "watchLogs"];
const LEFT_OUT_PATHS: &str = "^/git";

/// What the runner is told.
fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/schemathesis")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The python of a virtualenv with everything of `requirements.txt`, made once for all runs.
fn python() -> Result<PathBuf, String> {
    let wanted = files().join("requirements.txt");
    let text = std::fs::read(&wanted).map_err(|e| e.to_string())?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/schemathesis");
    std::fs::create_dir_all(&target).map_err(|e| e.to_string())?;
    let folder = target.canonicalize().map_err(|e| e.to_string())?.join(base::Digest::of(&text).short());
    let lock = File::create(folder.with_extension("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    let (python, whole) = (folder.join("bin/python"), folder.join("whole"));
    if !whole.exists() {
        let _ = std::fs::remove_dir_all(&folder);
        to_end(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]).arg(&wanted);
        to_end(&mut pip)?;
        std::fs::write(&whole, "").map_err(|e| e.to_string())?;
    }
    Ok(python)
}

fn to_end(command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}

/// What runs against one installation, as one person.
struct Run<'a> {
    python: &'a Path,
    place: &'a Installation,
    name: &'a str,
    url: &'a str,
    token: &'a str,
    /// The document: the server's own, or a spoiled copy.
    document: &'a str,
    known: &'a Value,
    /// Further arguments.
    more: &'a [&'a str],
}

impl Run<'_> {
    /// Runs it to its end; its own report, and what it said.
    fn to_end(&self) -> (Value, String) {
        let seconds = number("ORLOP_TEST_SCHEMATHESIS_SECONDS", SECONDS);
        let examples = (seconds / 10).max(5).to_string();
        let home = self.place.home().join(format!("schemathesis-{}", self.name));
        std::fs::create_dir_all(&home).expect("a folder");
        let (report, said) = (home.join("report.json"), home.join("said.txt"));
        let output = File::create(&said).expect("a file");
        let mut command = Command::new(self.python);
        command.args(["-m", "schemathesis.cli", "--config-file"]);
        command.arg(files().join("schemathesis.toml"));
        command.args(["run", self.document, "--url", self.url]);
        command.arg("-H").arg(format!("Authorization: Bearer {}", self.token));
        command.args(["--seed", &number("ORLOP_TEST_SEED", SEED).to_string(), "--max-examples", &examples]);
        command.args(["--max-time", &seconds.to_string(), "--workers", "1", "--no-shrink", "--no-color"]);
        command.args(["--generation-database", "none", "--continue-on-failure", "--request-timeout", "20"]);
        command.args(["--report", "json", "--report-json-path"]).arg(&report);
        command.args(["--exclude-path-regex", LEFT_OUT_PATHS]);
        command.args(LEFT_OUT.iter().flat_map(|id| ["--exclude-operation-id", id]));
        command.args(self.more).current_dir(&home).stdin(Stdio::null());
        command.env("HOME", &home).env("PYTHONPATH", files()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("SCHEMATHESIS_HOOKS", "hooks").env("NO_PROXY", "*").env("ORLOP_RUN", self.name);
        command.env("ORLOP_KNOWN", self.known.to_string());
        command.stdout(output.try_clone().expect("a file")).stderr(output);
        let mut child = command.spawn().expect("python starts");
        // Beyond its own limit: the phases that it does not cut short.
        let most = Duration::from_secs(seconds * 2 + 120);
        let begun = Instant::now();
        while child.try_wait().expect("a child of this process").is_none() {
            if begun.elapsed() > most {
                let _ = child.kill();
                let _ = child.wait();
                panic!("schemathesis has not ended: {}", std::fs::read_to_string(&said).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        let report = std::fs::read(&report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        (report.unwrap_or_else(|| panic!("there is no report: {said}")), said)
    }
}

/// Two teams with a service each, one of them released, and a developer of one team.
struct Seeded {
    admin: Api,
    developer: Api,
    known: Value,
}

async fn seeded(url: &str, admin: Api) -> Seeded {
    for (team, service) in [("pay", "shop"), ("web", "blog")] {
        admin.post("/v1/teams", json!({ "team": team })).await.ok();
        admin.post(&format!("/v1/teams/{team}/services"), json!({ "service": service })).await.ok();
    }
    admin.post("/v1/people", json!({ "person": "dave" })).await.ok();
    admin.send(Method::PUT, "/v1/teams/pay/members/dave", Some(json!({ "role": "developer" }))).await.ok();
    let setting = json!({ "value": "1" });
    admin.send(Method::PUT, "/v1/services/shop/settings/COLOUR", Some(setting.clone())).await.ok();
    admin.send(Method::PUT, "/v1/settings/COLOUR", Some(setting)).await.ok();
    let code = admin.post("/v1/people/dave/sign-in", json!({})).await.ok();
    let developer = admin.without().sign_in(code["code"].as_str().expect("a code")).await;
    let upload = developer.request(Method::POST, "/v1/services/shop/sources").body(site("hello"));
    let upload = upload.header("content-type", "application/gzip").send().await.expect("an answer");
    let deploy = Reply::of(upload).await.ok();
    let begun = Instant::now();
    let rollout = loop {
        let rollouts = admin.get("/v1/services/shop/rollouts").await.ok();
        if rollouts["items"][0]["state"] == "succeeded" {
            break rollouts["items"][0]["rollout"].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{url}: no release: {rollouts}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (mut own, mut people) = (Vec::new(), Vec::new());
    for person in [&admin, &developer] {
        let me = person.get("/v1/whoami").await.ok();
        own.push(me["token"]["token"].clone());
        people.push(me["person"].clone());
    }
    assert!(own.iter().chain(&people).all(Value::is_string), "{own:?} {people:?}");
    let known = json!({
        "service": ["shop", "blog"], "team": ["pay", "web"], "person": people, "environment": ["dev"],
        "name": ["COLOUR"], "number": ["1"], "source": [deploy["source"]], "build": [deploy["build"]],
        "rollout": [rollout], "token": own,
    });
    Seeded { admin, developer, known }
}

/// What is worth keeping of a report.
fn figures(report: &Value) -> Value {
    json!({
        "operations": report["operations"], "cases": report["test_cases"], "phases": report["phases"],
        "seconds": report["running_time"], "failures": report["failures"],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_document_says() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return skip(&format!("schemathesis cannot be installed here: {why}")),
    };
    let place = Installation::new();
    let up = place.up();
    let Seeded { admin, developer, known } = seeded(&up.url, Api::admin(&up).await).await;
    let document = format!("{}/openapi.json", up.url);
    let (mut all, mut wrong) = (serde_json::Map::new(), Vec::new());
    for (name, person) in [("developer", &developer), ("admin", &admin)] {
        let token = person.token.as_deref().expect("a token");
        let run = Run {
            python: &python,
            place: &place,
            name,
            url: &up.url,
            token,
            document: &document,
            known: &known,
            more: &[],
        };
        let (report, said) = run.to_end();
        println!("schemathesis, {name}: {}", figures(&report));
        if report["exit_code"] != 0 {
            wrong.push(format!("{name}: {said}"));
        }
        let (selected, tested) = (&report["operations"]["selected"], &report["operations"]["tested"]);
        assert!(selected.as_u64() > Some(50) && selected == tested, "{name}: not everything was tried: {said}");
        assert!(report["test_cases"]["generated"].as_u64() > Some(500), "{name}: hardly anything was tried: {said}");
        all.insert(name.to_owned(), figures(&report));
    }
    all.insert("seed".into(), number("ORLOP_TEST_SEED", SEED).into());
    all.insert("leftOut".into(), json!({ "operations": LEFT_OUT, "paths": LEFT_OUT_PATHS }));
    e2e::evidence("schemathesis", &Value::Object(all));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The checker, tried on a document that says what the API does not do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_does_not_tell_the_truth_is_noticed() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => return skip(&format!("schemathesis cannot be installed here: {why}")),
    };
    let place = Installation::new();
    let up = place.up();
    let admin = Api::admin(&up).await;
    let mut document = admin.get("/openapi.json").await.ok();
    let required = document.pointer_mut("/components/schemas/Me/required").and_then(Value::as_array_mut);
    required.expect("an answer with required fields").push("shoeSize".into());
    let spoiled = place.home().join("spoiled.json");
    std::fs::write(&spoiled, document.to_string()).expect("a file");
    let known = json!({});
    let run = Run {
        python: &python,
        place: &place,
        name: "planted",
        url: &up.url,
        token: admin.token.as_deref().expect("a token"),
        document: &spoiled.display().to_string(),
        known: &known,
        more: &["--include-operation-id", "whoami"],
    };
    let (report, said) = run.to_end();
    assert_eq!(report["exit_code"], 1, "{said}");
    let operations: Vec<&Value> = report["failures"].as_array().expect("a list").iter().collect();
    assert!(said.contains("shoeSize") && operations.len() == 1, "{report}\n{said}");
    println!("schemathesis, planted: {}", report["failures"]);
}
