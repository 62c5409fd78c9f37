//! The engine: what the platform talks to. It keeps nothing in memory that the data directory does
//! not say as well.

mod news;
mod order;
mod start;
mod taken;
mod usage;
mod view;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use base::{Generation, InstanceId, Problem, Result};
use ports::{ByteStream, Engine, Feature, InstanceSeen, InstanceSpec, LogCursor, LogEnd, LogLine, Purpose};
use tokio::sync::OwnedMutexGuard;

use crate::cgroup::{self, Group};
use crate::files::{self, DataDir, META, Meta};
use crate::launch::Walls;
use crate::options::Options;
use crate::pack::{self, blocking, io_problem};
use crate::shim::{self, Answer, Request};
use crate::{log, probe};
use news::News;
use taken::Taken;

/// How often [`Engine::changed`] looks for keepers that died without a word.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the generation of a removed instance is remembered.
const REMOVED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Runs instances as processes of this machine. See [`ports::Engine`] for what each call promises.
pub struct ProcessEngine {
    options: Options,
    data: DataDir,
    walls: Walls,
    /// Why nothing can run here, where that is so.
    no_sandbox: Option<String>,
    groups: Vec<Group>,
    features: Vec<Feature>,
    /// Whether the platform is root and gives each instance a user of its own.
    root: bool,
    instances: Locks<InstanceId>,
    images: Locks<base::Digest>,
    taken: Taken,
    /// Held while something is claimed that others could claim as well.
    claims: tokio::sync::Mutex<()>,
    news: Arc<News>,
    listener: tokio::task::AbortHandle,
}

impl ProcessEngine {
    /// Opens the engine on its data directory, finds all instances that are there, and tries what
    /// this host can isolate. Must be called inside a Tokio runtime.
    ///
    /// Fails where the data directory cannot be used or the platform's binary cannot be run again.
    /// A host without some feature is no failure: see [`Engine::features`].
    pub fn open(options: Options) -> Result<Arc<Self>> {
        let said = |what: &'static str| move |e: std::io::Error| io_problem(what, &e);
        let data = DataDir::open(&options.data).map_err(said("open the engine's data directory"))?;
        view::sweep(&data, options.clock.now()).map_err(said("clear up the engine's data directory"))?;
        let root = rustix::process::geteuid().is_root();
        let mut answer = start::probe(&options, &data, root)?;
        if !options.own_network {
            answer.share_network();
        }
        let (groups, no_groups) = cgroup::usable();
        let features = probe::features(&answer, &groups, &no_groups);
        for feature in &features {
            if let ports::Availability::Missing { why, .. } = &feature.availability {
                tracing::info!(feature = feature.name, why, "this host does not have it");
            }
        }
        let news = Arc::new(News::default());
        for id in data.ids().map_err(said("read the engine's data directory"))? {
            news.watch(id);
        }
        let listener = listen(&data, Arc::clone(&news)).map_err(said("listen for keepers"))?;
        #[cfg(feature = "testbed")]
        let answer = probe::without(answer, &options.left_out);
        let no_sandbox = answer.missing.iter().find(|(name, _)| name == "sandbox").map(|(_, why)| why.clone());
        Ok(Arc::new(Self {
            taken: Taken::new(&options),
            options,
            data,
            walls: answer.walls,
            no_sandbox,
            groups,
            features,
            root,
            instances: Locks::default(),
            images: Locks::default(),
            claims: tokio::sync::Mutex::new(()),
            news,
            listener,
        }))
    }

    /// Refuses an older generation and remembers a newer one, here and in the keeper.
    async fn fence(&self, meta: &mut Meta, running: bool, generation: Generation) -> Result<()> {
        if generation < meta.generation {
            return Err(stale(meta.id, generation, meta.generation));
        }
        if generation == meta.generation {
            return Ok(());
        }
        if running {
            self.ask(meta.id, Request::Obey { generation }).await?;
        }
        meta.generation = generation;
        let (path, meta) = (self.data.instance(meta.id).join(META), meta.clone());
        blocking(move || match files::write(&path, &meta, true) {
            // The keeper has obeyed and remembers it: a full disk must not keep an instance from ending.
            Err(e) if running && log::is_no_room(&e) => Ok(()),
            written => written.map_err(|e| io_problem("record the generation", &e)),
        })
        .await
    }

    /// Asks the keeper. One that has just gone is no failure: its instance has ended.
    async fn ask(&self, id: InstanceId, request: Request) -> Result<()> {
        let (Request::Stop { generation, .. } | Request::Obey { generation }) = request;
        let dir = self.data.instance(id);
        blocking(move || match shim::ask(&dir, &request) {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Stale { seen }) => Err(stale(id, generation, seen)),
            Err(_) if !files::is_locked(&dir).unwrap_or(true) => Ok(()),
            Err(e) => Err(Problem::unavailable("keeper-silent", format!("the keeper of {id} does not answer: {e}"))
                .hint("it is asked again; if it stays silent, end the process named in its state.json")
                .retry_after(1)),
        })
        .await
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    fn features(&self) -> Vec<Feature> {
        self.features.clone()
    }

    async fn ensure(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        let _guard = self.instances.lock(spec.id).await;
        match self.look(spec.id).await? {
            Some(mut found) => {
                let running = found.is_running();
                self.fence(&mut found.meta, running, generation).await?;
                Ok(self.look(spec.id).await?.unwrap_or(found).seen(&self.data))
            }
            None => self.start(spec, generation).await,
        }
    }

    async fn stop(&self, id: InstanceId, generation: Generation, grace: Duration) -> Result<()> {
        let _guard = self.instances.lock(id).await;
        let Some(mut found) = self.look(id).await? else { return Ok(()) };
        let running = found.is_running();
        self.fence(&mut found.meta, running, generation).await?;
        if running {
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            self.ask(id, Request::Stop { generation, grace_ms }).await?;
        }
        Ok(())
    }

    async fn remove(&self, id: InstanceId, generation: Generation) -> Result<()> {
        let _guard = self.instances.lock(id).await;
        let Some(mut found) = self.look(id).await? else { return Ok(()) };
        if found.is_running() && generation >= found.meta.generation {
            return Err(Problem::conflict("instance-running", format!("{id} runs and cannot be removed"))
                .hint("stop it first and wait until it has ended"));
        }
        self.fence(&mut found.meta, false, generation).await?;
        let data = self.data.clone();
        blocking(move || view::remove(&data, id, generation).map_err(|e| io_problem("remove the instance", &e)))
            .await?;
        self.sweep_images().await;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<InstanceSeen>> {
        let data = self.data.clone();
        blocking(move || {
            let found = view::all(&data).map_err(|e| io_problem("read the instances", &e))?;
            Ok(found.into_iter().map(|found| found.seen(&data)).collect())
        })
        .await
    }

    async fn get(&self, id: InstanceId) -> Result<Option<InstanceSeen>> {
        Ok(self.look(id).await?.map(|found| found.seen(&self.data)))
    }

    async fn changed(&self, at_most: Duration) {
        let began = self.options.clock.elapsed();
        loop {
            let left = at_most.saturating_sub(self.options.clock.elapsed().saturating_sub(began));
            tokio::select! {
                () = self.news.come() => return,
                () = self.options.clock.sleep(left.min(LOOK_EVERY)) => {}
            }
            let has_news = self.look_around().await.unwrap_or(true);
            if has_news || left <= LOOK_EVERY {
                return;
            }
        }
    }

    async fn news(&self, mark: u64) -> Result<(u64, Option<BTreeSet<InstanceId>>)> {
        Ok(self.news.since(mark))
    }

    async fn logs(&self, id: InstanceId, from: Option<LogCursor>, max: usize) -> Result<Vec<LogLine>> {
        let dir = self.log_dir(id).await?;
        blocking(move || log::after(&dir, from, max).map_err(|e| io_problem("read the log", &e))).await
    }

    async fn log_tail(&self, id: InstanceId, max: usize) -> Result<Vec<LogLine>> {
        let dir = self.log_dir(id).await?;
        blocking(move || log::tail(&dir, max).map_err(|e| io_problem("read the log", &e))).await
    }

    async fn log_back(&self, id: InstanceId, until: LogEnd, max: usize) -> Result<Vec<LogLine>> {
        let dir = self.log_dir(id).await?;
        blocking(move || log::back(&dir, until, max).map_err(|e| io_problem("read the log", &e))).await
    }

    async fn export(&self, id: InstanceId, path: &str) -> Result<ByteStream> {
        let found = self.look(id).await?.ok_or_else(|| unknown(id))?;
        if found.is_running() || found.meta.purpose != Purpose::Task {
            return Err(Problem::conflict("not-an-ended-task", format!("{id} is not a task that has ended"))
                .hint("files are taken from builds and other tasks once they have ended"));
        }
        pack::export(self.data.instance(id).join("workspace"), path.to_owned()).await
    }
}

impl ProcessEngine {
    async fn log_dir(&self, id: InstanceId) -> Result<std::path::PathBuf> {
        let dir = self.data.instance(id);
        if !tokio::fs::try_exists(dir.join(META)).await.unwrap_or(false) {
            return Err(unknown(id));
        }
        Ok(dir.join(files::LOG))
    }

    /// Looks at the instances whose turn it is: whether a keeper has gone without leaving a last
    /// state, or could not tell of a new one. Returns whether one has.
    async fn look_around(&self) -> Result<bool> {
        let (data, news) = (self.data.clone(), Arc::clone(&self.news));
        blocking(move || {
            let mut any = false;
            for id in news.next() {
                let saying = match view::one(&data, id) {
                    Ok(found) => found.map(|found| (found.state.state, found.state.since)),
                    // Whoever reads it will say why it cannot be read.
                    Err(_) => continue,
                };
                if news.saw(id, saying) {
                    news.tell(Some(id));
                    any = true;
                }
            }
            Ok(any)
        })
        .await
    }

    async fn look(&self, id: InstanceId) -> Result<Option<view::Found>> {
        let data = self.data.clone();
        blocking(move || view::one(&data, id).map_err(|e| io_problem("read the instance", &e))).await
    }
}

impl Drop for ProcessEngine {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn unknown(id: InstanceId) -> Problem {
    Problem::not_found("instance-not-found", format!("there is no instance {id} on this machine"))
}

fn stale(id: InstanceId, given: Generation, seen: Generation) -> Problem {
    Problem::stale("stale-generation", format!("{id} has seen generation {seen}, this call carries {given}"))
        .hint("read the wanted state again and decide anew")
}

/// Takes the datagrams of keepers.
fn listen(data: &DataDir, news: Arc<News>) -> std::io::Result<tokio::task::AbortHandle> {
    let handle = std::fs::File::open(data.path())?;
    let _ = std::fs::remove_file(data.path().join("notify.sock"));
    // The path of a socket may have 107 bytes only; a descriptor of its directory makes it short.
    let socket = std::os::unix::net::UnixDatagram::bind(format!("/proc/self/fd/{}/notify.sock", handle.as_raw_fd()))?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    let task = tokio::spawn(async move {
        let mut name = [0u8; 64];
        while let Ok(length) = socket.recv(&mut name).await {
            let name = name.get(..length).and_then(|name| std::str::from_utf8(name).ok());
            // Keepers of earlier versions do not say which instance is theirs.
            news.tell(name.and_then(|name| name.parse().ok()));
        }
    });
    Ok(task.abort_handle())
}

/// One lock per key, for as long as somebody wants it.
struct Locks<K>(Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>);

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash> Locks<K> {
    async fn lock(&self, key: K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, lock| lock.strong_count() > 0);
            let known = all.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                all.insert(key, Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}
