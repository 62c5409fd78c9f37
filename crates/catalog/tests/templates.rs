//! Each template is really built, tested, started, asked and stopped.

#![expect(clippy::disallowed_methods, reason = "the programs under test are started here")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Every wait in these tests ends.
const LIMIT: Duration = Duration::from_secs(120);

/// A service made from a template, in a folder of its own.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new(template: &str, service: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in catalog::model::template::render(&template.parse().unwrap(), &service.parse().unwrap()).unwrap() {
            let path = folder.path().join("source").join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.content).unwrap();
        }
        Self { folder }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path().join("source"));
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "GREETING", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.env("CARGO_TARGET_DIR", self.folder.path().join("target")).env("CARGO_INCREMENTAL", "0");
        command
    }

    /// Runs to its end, which must be a success.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output: Output = self.command(program, arguments).stdin(Stdio::null()).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
        text
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.folder.path().join("target/debug").join(name)
    }
}

/// A program that runs, and the lines it writes.
struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<serde_json::Value>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a log line with this message. Every line has to be JSON with time and level.
    fn wait_for(&mut self, message: &str) -> serde_json::Value {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no `{message}` in {:#?}", self.seen));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
            json["time"].as_str().unwrap().parse::<base::Time>().unwrap();
            assert!(json["level"].is_string(), "{line}");
            self.seen.push(json.clone());
            if json["message"] == message {
                return json;
            }
        }
    }

    /// SIGTERM; it must end by itself, with success.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.wait_for("stopped");
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it did not end");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a request and reads until the other side closes.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// What every web template does.
fn check_web(mut command: Command, service: &str) {
    let port = free_port();
    command.env("PORT", port.to_string()).env("GREETING", "Good <morning>");
    let mut running = Running::start(command);
    running.wait_for("listening");

    let home = get(port, "/");
    assert!(home.starts_with("HTTP/1.1 200 "), "{home}");
    assert!(home.contains(&format!("Good &lt;morning&gt; from {service}")), "{home}");
    let (head, body) = home.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(get(port, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(get(port, "/nope").starts_with("HTTP/1.1 404 "));

    // Two requests on one connection, the first without a body in its answer.
    let both =
        ask(port, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(both.matches("HTTP/1.1 200 ").count(), 2, "{both}");
    assert!(!both.contains("morning") && both.ends_with("ok\n"), "{both}");
    let line = running.wait_for("request");
    assert_eq!((&line["path"], line["status"].to_string().trim_matches('"')), (&"/".into(), "200"), "{line}");

    // A connection that is open and silent does not keep it from ending.
    let _idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
    running.stop();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "something listens still");
}

fn there_is(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("NOT TESTED: there is no `{program}` on this host");
    }
    found
}

#[test]
fn web_builds_offline_answers_and_stops() {
    let made = Made::new("web", "shop-2");
    let report = made.run(env!("CARGO"), &["test", "--offline", "--locked"]);
    assert!(report.contains("test result: ok.") && !report.contains("warning"), "{report}");
    made.run(env!("CARGO"), &["build", "--offline", "--locked"]);
    check_web(Command::new(made.binary("shop-2")), "shop-2");
}

#[test]
fn web_refuses_a_port_that_is_taken() {
    let made = Made::new("web", "build");
    made.run(env!("CARGO"), &["build", "--offline", "--locked"]);
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut command = Command::new(made.binary("build-service"));
    command.env("PORT", taken.local_addr().unwrap().port().to_string());
    let mut running = Running::start(command);
    let line = running.wait_for("cannot listen");
    assert_eq!(line["level"], "error");
    assert!(!running.child.wait().unwrap().success());
}

#[test]
fn worker_works_and_stops() {
    let made = Made::new("worker", "mailer");
    let report = made.run(env!("CARGO"), &["test", "--offline", "--locked"]);
    assert!(report.contains("test result: ok.") && !report.contains("warning"), "{report}");
    made.run(env!("CARGO"), &["build", "--offline", "--locked"]);
    let mut command = Command::new(made.binary("mailer"));
    command.env("INTERVAL_SECONDS", "1");
    let mut running = Running::start(command);
    running.wait_for("started");
    running.wait_for("worked");
    running.wait_for("worked");
    running.stop();
    let mut command = Command::new(made.binary("mailer"));
    command.env("INTERVAL_SECONDS", "soon");
    let mut running = Running::start(command);
    assert!(running.wait_for("cannot start")["why"].as_str().unwrap().contains("soon"));
    assert!(!running.child.wait().unwrap().success());
}

#[test]
fn python_answers_and_stops() {
    if !there_is("python3") {
        return;
    }
    let made = Made::new("python-web", "shop");
    let report = made.run("python3", &["-B", "-m", "unittest"]);
    assert!(report.contains("Ran 2 tests"), "{report}");
    check_web(made.command("python3", &["-B", "main.py"]), "shop");
}

#[test]
fn node_answers_and_stops() {
    if !there_is("node") {
        return;
    }
    let made = Made::new("node-web", "shop");
    let report = made.run("node", &["--test"]);
    assert!(report.contains("# pass 2") || report.contains("pass 2"), "{report}");
    check_web(made.command("node", &["server.js"]), "shop");
}

/// Links of a page lead to files that are there, and each page can be read by everybody.
#[test]
fn site_is_whole() {
    let made = Made::new("site", "docs");
    let public = made.folder.path().join("source/public");
    for page in ["index.html", "404.html"] {
        let text = std::fs::read_to_string(public.join(page)).unwrap();
        for needed in ["<html lang=", "<title>", "name=\"viewport\"", "<main", "<h1>", "charset=\"utf-8\"", "docs"] {
            assert!(text.contains(needed), "{page} lacks {needed}");
        }
        for link in text.split("href=\"/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let target = if link.is_empty() { "index.html" } else { link };
            assert!(Path::new(&public).join(target).is_file(), "{page} links to /{link}");
        }
        for tag in ["main", "body", "header", "h1", "p", "a", "ul", "li", "dl", "dt", "dd", "nav", "footer"] {
            let opened = text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "{page}: <{tag}>");
        }
    }
    let style = std::fs::read_to_string(public.join("style.css")).unwrap();
    assert!(style.contains("prefers-color-scheme: dark") && style.matches('{').count() == style.matches('}').count());
}
