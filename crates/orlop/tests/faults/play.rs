//! What each writer does while calls fail, and what must be true of its files afterwards.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use access::MasterKey;
use async_trait::async_trait;
use base::{Actor, Generation, Problem, Result, Secret, ServiceName, Time};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use ports::{Objects as _, Progress, PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy, Sources as _};
use sim::{Chance, VirtualClock};
use store::{NewFact, Options, Store};

/// One writer of the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Play {
    Store,
    Objects,
    Key,
    Git,
    Gateway,
    /// The engine, with keepers that are well.
    Engine,
    /// A keeper, started by an engine that is well.
    Keeper,
}

/// Things that each play does.
const MANY: usize = 4;

impl Play {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Objects => "objects",
            Self::Key => "master key",
            Self::Git => "git",
            Self::Gateway => "gateway",
            Self::Engine => "engine",
            Self::Keeper => "keeper",
        }
    }

    /// How many acknowledgements there are without a fault.
    pub const fn acks(self) -> usize {
        match self {
            Self::Store | Self::Objects => MANY,
            Self::Key => 1,
            Self::Git => 2,
            Self::Gateway => crate::gateway::LAST as usize,
            Self::Engine | Self::Keeper => 3,
        }
    }

    /// Whether the calls fail in what this program starts, and not in itself.
    pub const fn is_elsewhere(self) -> bool {
        matches!(self, Self::Keeper)
    }

    async fn act(self, data: &Path) {
        match self {
            Self::Store => store(data).await,
            Self::Objects => objects(data).await,
            Self::Key => key(data),
            Self::Git => git(data).await,
            Self::Gateway => crate::gateway::act(data).await,
            Self::Engine | Self::Keeper => crate::engine::act(data).await,
        }
    }

    /// Looks at the files as the next start would find them.
    pub async fn verify(self, data: &Path, acked: &[&str]) -> Result<()> {
        match self {
            Self::Store => verify_store(data, acked).await,
            Self::Objects => verify_objects(data, acked).await,
            Self::Key => verify_key(data, acked),
            Self::Git => verify_git(data, acked),
            Self::Gateway => crate::gateway::verify(data, acked).await,
            Self::Engine | Self::Keeper => crate::engine::verify(data, acked).await,
        }
    }
}

/// The child's side.
#[tokio::test]
#[ignore = "is started by the other tests, behind the library that fails calls"]
async fn child() {
    let variable = |name: &str| std::env::var(name).ok();
    let (Some(name), Some(data)) = (variable("FAULT_PLAY"), variable("FAULT_DATA")) else { return };
    let plays = [Play::Store, Play::Objects, Play::Key, Play::Git, Play::Gateway, Play::Engine, Play::Keeper];
    let play = plays.into_iter().find(|play| play.name() == name).expect("the name of a play");
    play.act(Path::new(&data)).await;
}

/// A line in the log, in the order of what happens.
pub fn say(word: &str, what: impl std::fmt::Display) {
    let path = std::env::var("FAULT_LOG").expect("a child has a log");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("the log can be opened");
    writeln!(file, "{word} {what}").expect("the log is not below the folder where calls fail");
}

pub fn tell<T>(what: impl std::fmt::Display, outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => {
            say("ack", what);
            Some(value)
        }
        Err(problem) => {
            say("refused", format!("{what} {problem}").replace('\n', " "));
            None
        }
    }
}

pub fn broken(what: impl Into<String>) -> Problem {
    Problem::internal("broken", what.into())
}

async fn open(data: &Path) -> Result<Store> {
    Store::open(Options {
        url: format!("sqlite:{}", data.join("orlop.db").display()),
        migrations: Vec::new(),
        audit_key: Secret::new(vec![7; 32]),
        clock: Arc::new(VirtualClock::at(Time::from_micros(1))),
        random: Arc::new(Chance::seeded(1)),
        hook: None,
    })
    .await
}

async fn store(data: &Path) {
    say("begin", "open");
    let store = match open(data).await {
        Ok(store) => store,
        Err(problem) => return say("refused", format!("open {problem}").replace('\n', " ")),
    };
    for number in 0..MANY {
        say("begin", number);
        let append = async {
            let mut tx = store.begin().await?;
            let fact = NewFact {
                kind: "a.b".to_owned(),
                subject: number.to_string(),
                generation: Generation(1),
                actor: Actor::platform("faults"),
                cause: None,
                body: serde_json::json!({ "filling": "x".repeat(9_000) }),
            };
            tx.append(fact).await?;
            tx.commit().await
        };
        tell(number, append.await);
    }
    say("begin", "close");
    store.close().await;
}

async fn verify_store(data: &Path, acked: &[&str]) -> Result<()> {
    let store = open(data).await?;
    let found = store.verify_facts().await?;
    if let Some((seq, what)) = found.first_bad {
        return Err(broken(format!("fact {seq}: {what}")));
    }
    for subject in acked {
        if store::fact_latest(&mut store.read().await?, "a.b", subject).await?.is_none() {
            return Err(broken(format!("{subject} was acknowledged and is lost")));
        }
    }
    store.close().await;
    Ok(())
}

fn content(number: usize) -> Vec<u8> {
    vec![u8::try_from(number).unwrap_or(0); 30_000 + number]
}

async fn objects(data: &Path) {
    say("begin", "open");
    let objects = match cloud::Objects::in_folder(&data.join("objects")) {
        Ok(objects) => objects,
        Err(problem) => return say("refused", format!("open {problem}")),
    };
    for number in 0..MANY {
        say("begin", number);
        let pieces: Vec<Result<Bytes>> =
            content(number).chunks(7_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        tell(number, objects.put(&format!("a/{number}"), Box::pin(stream::iter(pieces))).await);
    }
}

async fn verify_objects(data: &Path, acked: &[&str]) -> Result<()> {
    let objects = cloud::Objects::in_folder(&data.join("objects"))?;
    for number in 0..MANY {
        let is_acked = acked.contains(&&*number.to_string());
        let key = format!("a/{number}");
        match objects.get(&key).await {
            Ok(read) => {
                let all: Vec<Bytes> = read.try_collect().await?;
                if all.concat() != content(number) {
                    return Err(broken(format!("{key} is not what was written")));
                }
            }
            Err(problem) if is_acked => return Err(broken(format!("{key} was acknowledged: {problem}"))),
            Err(_) => {}
        }
    }
    // What is half there is not listed as an object.
    let listed = objects.list("a/").await?;
    match listed.iter().find(|(key, _)| !(0..MANY).any(|n| *key == format!("a/{n}"))) {
        Some((key, _)) => Err(broken(format!("there is an object {key}"))),
        None => Ok(()),
    }
}

fn load(data: &Path) -> Result<String> {
    let key = MasterKey::load_or_create(&data.join("master.key"), &Chance::seeded(3))?;
    Ok(base::Digest::of(key.audit_key().expose()).to_string())
}

fn key(data: &Path) {
    say("begin", "key");
    let loaded = load(data);
    match &loaded {
        Ok(digest) => say("ack", digest),
        Err(problem) => say("refused", problem.to_string().replace('\n', " ")),
    }
}

fn verify_key(data: &Path, acked: &[&str]) -> Result<()> {
    let again = load(data)?;
    match acked.iter().find(|digest| **digest != again) {
        Some(_) => Err(broken("the key that was acknowledged is another one now")),
        None => Ok(()),
    }
}

/// Runs git where the files do not count, and gives its output.
fn run_git(folder: &Path, args: &[&str], input: &str) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env_remove("LD_PRELOAD")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("git is there");
    child.stdin.take().expect("it has an input").write_all(input.as_bytes()).expect("git reads");
    let output = child.wait_with_output().expect("git ends");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

struct Welcome;

#[async_trait]
impl ReceivePolicy for Welcome {
    async fn judge(&self, _: &PushUpdate) -> PushVerdict {
        PushVerdict::Accept
    }

    async fn landed(&self, _: &[PushUpdate], _: &dyn Progress) {}
}

/// The body of a push (gitprotocol-pack, "Reference Update Request"): one command and a pack.
fn push_body(clone: &Path, old: &str, new: &str) -> Vec<u8> {
    let command = format!("{old} {new} refs/heads/main\0report-status");
    let mut body = format!("{:04x}{command}0000", command.len() + 4).into_bytes();
    let not = if old.chars().all(|c| c == '0') { String::new() } else { format!("^{old}\n") };
    body.extend(run_git(clone, &["pack-objects", "--revs", "--stdout", "-q"], &format!("{new}\n{not}")));
    body
}

async fn git(data: &Path) {
    say("begin", "open");
    let clone = tempfile::tempdir().expect("there is a place for temporary files");
    let text = |args: &[&str]| String::from_utf8(run_git(clone.path(), args, "")).expect("UTF-8").trim().to_owned();
    text(&["init", "-q", "-b", "main"]);
    let service: ServiceName = "shop".parse().expect("a name");
    let repositories = match git::Repositories::open(data.join("git"), None) {
        Ok(repositories) => repositories,
        Err(problem) => return say("refused", format!("open {problem}")),
    };
    let mut old = "0".repeat(40);
    for number in 0..2 {
        std::fs::write(clone.path().join("file"), content(number)).expect("a file can be written");
        text(&["add", "."]);
        text(&["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "change"]);
        let new = text(&["rev-parse", "HEAD"]);
        let body = push_body(clone.path(), &old, &new);
        say("begin", &new);
        let body = Box::pin(stream::iter([Ok(Bytes::from(body))]));
        let pushed = async {
            let mut reply = repositories.receive(&service, body, ReceiveLimits::default(), Box::new(Welcome)).await?;
            let mut all = Vec::new();
            while let Some(piece) = reply.next().await {
                all.extend_from_slice(&piece?);
            }
            let said = String::from_utf8_lossy(&all).into_owned();
            if said.contains("ok refs/heads/main") { Ok(()) } else { Err(broken(said)) }
        };
        if tell(&new, pushed.await).is_none() {
            return;
        }
        old = new;
    }
}

fn verify_git(data: &Path, acked: &[&str]) -> Result<()> {
    let Some(newest) = acked.last() else { return Ok(()) };
    let repository: PathBuf = data.join("git/shop.git");
    let here = String::from_utf8_lossy(&run_git(&repository, &["rev-parse", "refs/heads/main"], "")).trim().to_owned();
    // A push behind it was refused, and may have moved the ref all the same.
    let contains = run_git(&repository, &["rev-list", "refs/heads/main"], "");
    if !String::from_utf8_lossy(&contains).lines().any(|commit| commit == *newest) {
        return Err(broken(format!("{newest} was acknowledged, main is {here}")));
    }
    run_git(&repository, &["fsck", "--full", "--strict", "--no-dangling"], "");
    Ok(())
}
