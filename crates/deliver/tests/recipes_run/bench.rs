//! A workbench: a temporary folder in which a plan is carried out.
#![expect(clippy::disallowed_methods, reason = "the steps of a plan are carried out here without the platform")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deliver::recipe::{self, Entry, Plan, ProcessKind, Tree};

/// How long a program may take to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/fixtures")
}

/// The files of a folder as detection sees them.
pub fn tree(folder: &Path) -> Tree {
    let mut files = BTreeMap::new();
    for (path, full) in walk(folder) {
        let size = fs::symlink_metadata(&full).unwrap().len();
        let content = Tree::wants(&path, size).then(|| fs::read(&full).unwrap());
        files.insert(path, Entry { size, executable: false, content });
    }
    Tree::new(files)
}

/// Every file and link beneath a folder: relative and whole path.
fn walk(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                let relative = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.push((relative, entry.path()));
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    match fs::read_link(from) {
        Ok(target) => std::os::unix::fs::symlink(target, to).unwrap(),
        Err(_) => drop(fs::copy(from, to).unwrap()),
    }
}

pub struct Bench {
    folder: tempfile::TempDir,
    pub plan: Plan,
}

impl Bench {
    /// A fixture in its workspace with its plan; `None` if this machine lacks a tool.
    pub fn planned(fixture: &str) -> Option<Self> {
        let source = fixtures().join(fixture);
        let plan = recipe::detect(&tree(&source), None).unwrap();
        let missing: Vec<_> = plan.tools.iter().chain(&plan.runtime_tools).filter(|tool| !is_there(tool)).collect();
        if !missing.is_empty() {
            eprintln!("SKIPPED: {fixture} needs {missing:?}, which this machine does not have");
            return None;
        }
        let bench = Self { folder: tempfile::tempdir().unwrap(), plan };
        bench.unpack(&source);
        Some(bench)
    }

    fn unpack(&self, source: &Path) {
        for (path, full) in walk(source) {
            copy(&full, &self.folder.path().join("w").join(path));
        }
        for folder in ["w", "c", "a"] {
            fs::create_dir_all(self.folder.path().join(folder)).unwrap();
        }
    }

    /// A fixture, built, collected, and its workspace thrown away.
    pub fn built(fixture: &str) -> Option<Self> {
        Some(Self::planned(fixture)?.finished(fixture))
    }

    /// The same once more, in the same places, with nothing left of the first time.
    pub fn again(self, fixture: &str) -> Self {
        for folder in ["c", "a"] {
            fs::remove_dir_all(self.folder.path().join(folder)).unwrap();
        }
        self.unpack(&fixtures().join(fixture));
        self.finished(fixture)
    }

    fn finished(self, fixture: &str) -> Self {
        if let Err((step, status, log)) = self.build() {
            panic!("{fixture}: step `{step}` ended with {status:?}\n{log}\n{}", self.plan);
        }
        self.collect();
        fs::remove_dir_all(self.folder.path().join("w")).unwrap();
        self
    }

    /// Runs the steps; the first that fails with its status and what it said.
    pub fn build(&self) -> Result<(), (String, Option<i32>, String)> {
        for step in &self.plan.steps {
            let words: Vec<String> = step.command.iter().map(|word| self.here(word)).collect();
            let output = Command::new(&words[0])
                .args(&words[1..])
                .envs(step.env.iter().map(|(name, value)| (name, self.here(value))))
                .current_dir(self.folder.path().join("w").join(&step.workdir))
                .stdin(Stdio::null())
                .output()
                .unwrap();
            if !output.status.success() {
                let log = [output.stdout, output.stderr].concat();
                return Err((step.name.clone(), output.status.code(), String::from_utf8_lossy(&log).into_owned()));
            }
        }
        Ok(())
    }

    fn collect(&self) {
        let workspace = self.folder.path().join("w");
        for expected in self.plan.output.expected() {
            assert!(workspace.join(expected).exists(), "the build made no {expected}\n{}", self.plan);
        }
        for (path, full) in walk(&workspace) {
            if let Some(place) = self.plan.output.place(&path) {
                copy(&full, &self.app(&place));
            }
        }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path of the artifact.
    pub fn app(&self, path: &str) -> PathBuf {
        self.folder.path().join("a").join(path)
    }

    /// The places of a plan, here.
    fn here(&self, text: &str) -> String {
        let root = self.folder.path().to_str().unwrap();
        [("/workspace", "w"), ("/cache", "c"), ("/app", "a")]
            .iter()
            .fold(text.to_owned(), |text, (place, here)| text.replace(place, &format!("{root}/{here}")))
    }

    /// A command in the artifact as the platform would start it: nothing of this process'
    /// environment but the path, loopback instead of every address.
    fn command(&self, command: &[String], env: &BTreeMap<String, String>, port: Option<u16>) -> Command {
        let path = std::env::var("PATH").unwrap();
        let port = port.map(|port| port.to_string());
        let mut all = BTreeMap::from([
            ("PATH".to_owned(), path.clone()),
            ("HOME".to_owned(), "/tmp".to_owned()),
            ("GREETING".to_owned(), "from the test".to_owned()),
            ("MOST".to_owned(), (32 << 20).to_string()),
        ]);
        all.extend(port.map(|port| ("PORT".to_owned(), port)));
        let given = all.clone();
        let fill = |text: &str, from: &BTreeMap<String, String>| {
            base::placeholder::expand(&self.here(text), |name| from.get(name).map(String::as_str)).unwrap()
        };
        for (name, value) in env {
            all.insert(name.clone(), fill(value, &given));
        }
        let words: Vec<String> = command.iter().map(|word| fill(&word.replace("0.0.0.0", "127.0.0.1"), &all)).collect();
        let program = find(&words[0], &all["PATH"], &self.app("")).unwrap_or_else(|| panic!("no program {}", words[0]));
        let mut command = Command::new(program);
        command.args(&words[1..]).env_clear().envs(&all).current_dir(self.app(""));
        command
    }

    pub fn release(&self) {
        if let Some(release) = &self.plan.release {
            let output = self.command(release, &self.plan.env, None).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    pub fn start(&self, process: &str) -> Running {
        let runs = &self.plan.processes[&process.parse().unwrap()];
        let port = (runs.kind == ProcessKind::Web).then(free_port);
        let mut command = self.command(&runs.command, &runs.env, port);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    *log.lock().unwrap() += &format!("{line}\n");
                }
            });
        }
        Running { child: RefCell::new(child), port, log }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Ended,
    StillRuns,
}

/// A program that runs; ended by force when dropped.
pub struct Running {
    child: RefCell<Child>,
    port: Option<u16>,
    log: Arc<Mutex<String>>,
}

impl Running {
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn listens(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.unwrap())).is_ok()
    }

    /// Asks for a page once the port is open.
    pub fn get(&self, path: &str) -> (u16, String) {
        wait(|| {
            assert!(self.child.borrow_mut().try_wait().unwrap().is_none(), "it ended\n{}", self.log());
            self.listens().then_some(())
        })
        .unwrap_or_else(|| panic!("the port was never opened\n{}", self.log()));
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    pub fn wait_for_line(&self, part: &str) {
        wait(|| self.log().contains(part).then_some(())).unwrap_or_else(|| panic!("no `{part}` in\n{}", self.log()));
    }

    /// Waits until it ends by itself.
    pub fn end(&self) -> Option<i32> {
        let status = wait(|| self.child.borrow_mut().try_wait().unwrap()).expect("it ends");
        wait(|| (!self.log().is_empty()).then_some(()));
        status.code()
    }

    /// Sends SIGTERM.
    pub fn stop(&self) -> Outcome {
        let pid = self.child.borrow().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let patience = if self.log().contains("going on") { 1 } else { 20 };
        let until = Instant::now() + Duration::from_secs(patience);
        while Instant::now() < until {
            if self.child.borrow_mut().try_wait().unwrap().is_some() {
                return Outcome::Ended;
            }
            if self.log().contains("going on") {
                return Outcome::StillRuns;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Outcome::StillRuns
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.borrow_mut().kill();
        let _ = self.child.borrow_mut().wait();
    }
}

fn wait<T>(mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(found) = ready() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn is_there(tool: &str) -> bool {
    find(tool, &std::env::var("PATH").unwrap(), Path::new("/")).is_some()
}

/// A program by name on a path, or by its own path from the working directory.
fn find(program: &str, path: &str, workdir: &Path) -> Option<PathBuf> {
    let candidates: Vec<PathBuf> = match program.contains('/') {
        true => vec![workdir.join(program)],
        false => path.split(':').map(|folder| Path::new(folder).join(program)).collect(),
    };
    candidates.into_iter().find(|candidate| candidate.is_file())
}
