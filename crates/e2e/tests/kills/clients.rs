//! Four people who deploy, promote and roll back, each their own service, and repeat every call under
//! its key until it is answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Problem, Result};
use e2e::history::{Asked, Wish};
use e2e::{Answered, Body, Client, Steady, upload};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::chance::Chance;

/// People at once.
const CLIENTS: usize = 4;
/// A wish that somebody waits for ends within this span, or something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// A wish as its owner remembers it.
#[derive(Debug, Clone)]
pub struct Told {
    pub wish: Wish,
    /// How often it was sent before it was answered.
    pub attempts: u32,
}

/// How many wishes had to be sent more than once.
pub fn repeated(told: &[Told]) -> usize {
    told.iter().filter(|told| told.attempts > 1).count()
}

/// The people at work.
pub struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    broken: Arc<Mutex<Option<Problem>>>,
    tasks: Vec<JoinHandle<Vec<Told>>>,
}

impl Clients {
    /// They begin.
    pub async fn begin(client: &Client, chance: &Chance) -> Result<Self> {
        let mut all =
            Self { stop: Arc::default(), acknowledged: Arc::default(), broken: Arc::default(), tasks: Vec::new() };
        let steady = Steady::of(client)?;
        for n in 0..CLIENTS {
            let service = format!("shop-{n}");
            let body = json!({ "service": service });
            let path = "/v1/teams/main/services";
            let made = steady.call(Method::POST, path, Some(&format!("{service}-new")), Body::Json(&body)).await?;
            if made.status != 200 {
                return Err(Problem::internal("no-service", format!("{made:?}")));
            }
            // The last one builds with a task, which lives through kills; the others' builds are copies.
            let kind =
                if n + 1 == CLIENTS && e2e::missing(&["node", "npm"]).is_none() { Kind::Node } else { Kind::Site };
            let person = Person {
                chance: chance.branch(&service),
                steady: steady.clone(),
                service,
                kind,
                number: 0,
                told: Vec::new(),
            };
            let (stop, count, broken) = (Arc::clone(&all.stop), Arc::clone(&all.acknowledged), Arc::clone(&all.broken));
            all.tasks.push(tokio::spawn(async move {
                let mut person = person;
                while !stop.load(Ordering::Relaxed) {
                    if let Err(problem) = person.act().await {
                        broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
                        break;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
                person.told
            }));
        }
        Ok(all)
    }

    /// Answered calls so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What made one of them give up, if one did.
    pub fn fail_early(&self) -> Result<()> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    /// They finish what they are at, and tell what they were promised.
    pub async fn leave(self) -> Result<Vec<Told>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = Vec::new();
        for task in self.tasks {
            told.extend(task.await.map_err(|e| Problem::internal("client-broken", e))?);
        }
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
        broken.map_or(Ok(told), Err)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Site,
    Node,
}

struct Person {
    chance: Chance,
    steady: Steady,
    service: String,
    kind: Kind,
    number: u64,
    told: Vec<Told>,
}

impl Person {
    /// One wish, and most of the time its end.
    async fn act(&mut self) -> Result<()> {
        self.number += 1;
        let made = match self.chance.below(8) {
            _ if self.number == 1 => self.deploy().await?,
            0..4 => self.deploy().await?,
            4..6 => self.roll(&json!({ "environment": "staging", "from": "dev" })).await?,
            _ => self.roll(&json!({ "environment": "dev", "rollback": true })).await?,
        };
        match made {
            Some(path) if self.chance.below(10) < 7 => self.await_end(&path).await,
            _ => Ok(()),
        }
    }

    async fn deploy(&mut self) -> Result<Option<String>> {
        let text = format!("{} {}", self.service, self.number);
        let packed = match self.kind {
            Kind::Site => upload(&[("index.html", &text)])?,
            Kind::Node => upload(&[
                (
                    "package.json",
                    r#"{"name":"shop","version":"1.0.0","private":true,"scripts":{"build":"node build.js","start":"node server.js"}}"#,
                ),
                ("build.js", "setTimeout(() => console.log('built'), 700);\n"),
                ("server.js", &SERVER.replace("TEXT", &text)),
            ])?,
        };
        let path = format!("/v1/services/{}/sources?environment=dev", self.service);
        let key = format!("{}-{}", self.service, self.number);
        let answered = self.steady.call(Method::POST, &path, Some(&key), Body::Bytes(&packed)).await?;
        let made = self.promised(key, Asked::Deploy, "build", &answered)?;
        Ok(made.map(|id| format!("/v1/services/{}/builds/{id}", self.service)))
    }

    async fn roll(&mut self, body: &Value) -> Result<Option<String>> {
        let path = format!("/v1/services/{}/rollouts", self.service);
        let key = format!("{}-{}", self.service, self.number);
        let answered = self.steady.call(Method::POST, &path, Some(&key), Body::Json(body)).await?;
        let made = self.promised(key, Asked::Rollout, "rollout", &answered)?;
        Ok(made.map(|id| format!("/v1/services/{}/rollouts/{id}", self.service)))
    }

    /// Remembers what an answer promises. A refusal for a reason promises nothing.
    fn promised(&mut self, key: String, asked: Asked, field: &str, answered: &Answered) -> Result<Option<String>> {
        match (answered.status, answered.body[field].as_str()) {
            (200, Some(id)) => {
                let wish = Wish { key, asked, service: self.service.clone(), made: id.to_owned() };
                self.told.push(Told { wish, attempts: answered.attempts });
                Ok(Some(id.to_owned()))
            }
            (409, _) if ["nothing-before", "nothing-runs"].contains(&answered.code()) => Ok(None),
            _ => Err(Problem::internal("unexpected-answer", format!("{key}: {answered:?}"))),
        }
    }

    async fn await_end(&self, path: &str) -> Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let seen = self.steady.get(path).await?;
            if !seen["ended"].is_null() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Problem::timeout("no-end", format!("{path} does not end: {seen}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

const SERVER: &str = "const server = require('http').createServer((_, answer) => answer.end('TEXT'));
server.listen(process.env.PORT, '127.0.0.1');
process.on('SIGTERM', () => { server.close(() => process.exit(0)); server.closeAllConnections(); });
";
