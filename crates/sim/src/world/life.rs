//! One life of the control plane: from its start to its death.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Result, Secret};
use kernel::{Admission, DoctorCheck, Mounted, Platform, Ports};
use ports::Random;
use store::Store;

use super::{Ended, World};
use crate::depot::DepotHandle;
use crate::gate::{Commits, Signal};
use crate::objects::ObjectHandle;
use crate::{EdgeHandle, MachineHandle};

/// Connections that a death has left behind may take so long to close, in real time.
const CLOSING: Duration = Duration::from_secs(5);

/// Codes that a person who signs in asks for at most.
const SIGN_INS_MAX: u32 = 5;

pub(super) struct Life {
    pub platform: Platform,
    pub checks: Vec<Arc<dyn DoctorCheck>>,
    pub handlers: BTreeMap<&'static str, Arc<Mounted>>,
}

impl World {
    /// The state of the life that is under way.
    pub fn store(&self) -> &Store {
        self.platform().store()
    }

    /// The control plane that is under way.
    pub fn platform(&self) -> &Platform {
        &self.life.as_ref().expect("a world has a control plane unless it is being started").platform
    }

    /// Starts the control plane; if it dies on the way, again.
    pub async fn boot(&mut self) {
        loop {
            self.lives += 1;
            self.gate.begin(self.lives);
            let start = start(self.parts(), self.lives);
            match self.run(start).await {
                Ended::Done(life) => {
                    self.life =
                        Some(life.unwrap_or_else(|problem| panic!("seed {}: cannot start: {problem}", self.seed)));
                    // Its clock may show something else than the one of the life before.
                    self.disturbed();
                    return;
                }
                Ended::Killed(_) => self.clock.advance(Duration::from_millis(100)),
            }
        }
    }

    /// The control plane is stopped where it stands, as a machine that hangs would; another one
    /// starts, and then the first goes on. It comes back as a ghost.
    pub async fn replace(&mut self) -> Platform {
        let ghost = self.platform().clone();
        self.gate.haunt(self.lives);
        self.life = None;
        self.boot().await;
        ghost
    }

    /// The control plane dies here and now, and another one starts.
    pub async fn restart(&mut self) {
        self.bury().await;
        self.boot().await;
    }

    /// The control plane dies, and for so long there is none.
    pub async fn away(&mut self, span: Duration) {
        self.bury().await;
        self.clock.advance(span);
        self.boot().await;
    }

    /// Ends the life that is under way, if any, and waits until the database is free.
    pub(crate) async fn bury(&mut self) {
        self.gate.end();
        self.disturbed();
        if let Some(life) = self.life.take() {
            let store = life.platform.store().clone();
            drop(life);
            // Tasks that the dead had spawned may hold a connection for ever; the file is usable all the same.
            let _ = tokio::time::timeout(CLOSING, store.close()).await;
        }
    }

    /// Lets the control plane do something, until it is done or dies.
    pub(super) async fn run<T>(&mut self, work: impl Future<Output = T>) -> Ended<T> {
        let mut work = Box::pin(work);
        loop {
            let gate = Arc::clone(&self.gate);
            let signal = tokio::select! {
                biased;
                signal = gate.signal() => signal,
                done = &mut work => return Ended::Done(done),
            };
            match signal {
                Signal::Killed(at) => {
                    drop(work);
                    self.deaths.push(at.clone());
                    return Ended::Killed(at);
                }
                Signal::Paused => {
                    for request in std::mem::take(&mut self.interrupts) {
                        let killed = tokio::select! {
                            biased;
                            signal = gate.signal() => Some(signal),
                            // What becomes of it is seen in the ledger.
                            _ = Box::pin(self.interrupt(request)) => None,
                        };
                        if let Some(Signal::Killed(at)) = killed {
                            drop(work);
                            self.deaths.push(at.clone());
                            return Ended::Killed(at);
                        }
                    }
                    self.gate.resume();
                }
            }
        }
    }

    /// What the doctor asks the life that is under way.
    pub fn checks(&self) -> Vec<Arc<dyn DoctorCheck>> {
        self.life.as_ref().map(|life| life.checks.clone()).unwrap_or_default()
    }

    /// One run of a reconciler. After a death the next life has begun.
    pub async fn reconcile(&mut self, name: &str) -> Ended<Result<serde_json::Value>> {
        let (platform, name, sweeps) = (self.platform().clone(), name.to_owned(), self.sweeps);
        let run = async move {
            match sweeps {
                true => platform.driver().run_once(&platform, &name).await,
                false => platform.driver().run_due(&platform, &name).await,
            }
        };
        let ended = self.run(run).await;
        self.after(ended).await
    }

    /// One attempt at one due job. After a death the next life has begun.
    pub async fn work(&mut self) -> Ended<Result<bool>> {
        let (platform, worker) = (self.platform().clone(), format!("worker-{}", self.lives));
        let ended = self.run(async move { platform.driver().work_once(&platform, &worker).await }).await;
        self.after(ended).await
    }

    pub(super) async fn after<T>(&mut self, ended: Ended<T>) -> Ended<T> {
        if matches!(ended, Ended::Killed(_)) {
            self.restart().await;
        }
        ended
    }

    /// Signs the first admin in.
    pub async fn sign_in(&mut self) {
        for _ in 0..SIGN_INS_MAX {
            let (installation, ctx) = (Arc::clone(&self.installation), self.platform().ctx("sim"));
            let code = self.run(async move { installation.first_code(&ctx).await }).await;
            match self.after(code).await {
                Ended::Done(Ok(code)) => {
                    // A code that is used up is of no use: whoever may start the platform makes another one.
                    if let Ok(token) = self.trade(&code).await {
                        self.token = Some(token);
                        return;
                    }
                }
                Ended::Done(Err(problem)) => panic!("seed {}: nobody can sign in: {problem}", self.seed),
                Ended::Killed(_) => {}
            }
        }
        panic!("seed {}: nobody could sign in", self.seed);
    }

    /// Trades a one-time code for a token.
    pub async fn sign_in_with(&mut self, code: &str) -> Secret<String> {
        match self.trade(code).await {
            Ok(token) => token,
            Err(problem) => panic!("seed {}: the code was not taken: {problem}", self.seed),
        }
    }

    async fn trade(&mut self, code: &str) -> Result<Secret<String>> {
        let request = super::Request::to("signIn").body(serde_json::json!({ "code": code }));
        let answer = self.call_as(&Secret::new(String::new()), request).await?;
        let secret = answer.get("secret").and_then(|secret| secret.as_str());
        secret
            .map(|secret| Secret::new(secret.to_owned()))
            .ok_or_else(|| base::Problem::internal("no-secret", "signing in gave no token"))
    }

    fn parts(&self) -> Parts {
        Parts {
            installation: Arc::clone(&self.installation),
            config: self.config.clone(),
            url: format!("sqlite:{}", self.database().display()),
            random: Arc::clone(&self.random) as Arc<dyn Random>,
            clock: Arc::clone(&self.clock),
            gate: Arc::clone(&self.gate),
            machine: Arc::clone(&self.machine),
            edge: Arc::clone(&self.edge),
            objects: Arc::clone(&self.objects),
            depot: Arc::clone(&self.depot),
        }
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.dir.path().join("orlop.db")
    }
}

struct Parts {
    installation: Arc<dyn super::Installation>,
    config: kernel::Config,
    url: String,
    random: Arc<dyn Random>,
    clock: Arc<crate::VirtualClock>,
    gate: Arc<crate::Gate>,
    machine: Arc<crate::Machine>,
    edge: Arc<crate::Edge>,
    objects: Arc<crate::ObjectMap>,
    depot: Arc<crate::Depot>,
}

async fn start(parts: Parts, life: u64) -> Result<Life> {
    let Parts { installation, config, url, random, clock, gate, machine, edge, objects, depot } = parts;
    let time = Arc::new(crate::LifeClock::begin(Arc::clone(&clock)));
    let store = Store::open(store::Options {
        url,
        migrations: installation.migrations(),
        audit_key: Secret::new(vec![7; 32]),
        clock: Arc::<crate::LifeClock>::clone(&time),
        random: Arc::clone(&random),
        hook: Some(Arc::new(Commits { gate: Arc::clone(&gate), life })),
    })
    .await?;
    if let Some(recorded) = store::last_recorded(&mut store.read().await?).await? {
        time.not_before(recorded);
    }
    store.lead().await?;
    let ports = Ports {
        engine: Arc::new(MachineHandle {
            machine,
            objects: Arc::clone(&objects),
            gate: Arc::clone(&gate),
            clock: Arc::clone(&clock),
            life,
        }),
        gateway: Arc::new(EdgeHandle {
            edge,
            gate: Arc::clone(&gate),
            clock: Arc::<crate::LifeClock>::clone(&time),
            life,
        }),
        objects: Arc::new(ObjectHandle { map: objects, gate: Arc::clone(&gate), life }),
        sources: Arc::new(DepotHandle { depot, gate, life }),
        vault: installation.vault(&store, &random),
        signals: Arc::new(crate::Recent::default()),
        clock: time,
        random: Arc::clone(&random),
    };
    let mut capabilities = installation.capabilities(&store, &random);
    let hooks = capabilities.iter_mut().flat_map(|capability| std::mem::take(&mut capability.hooks)).collect();
    let platform = Platform::new(store, ports, config, installation.authority(), Admission::new(hooks));
    platform.driver().install(&capabilities);
    platform.driver().take_over(&platform).await?;
    let checks = capabilities.iter().flat_map(|capability| capability.checks.iter().cloned()).collect();
    let mounted = capabilities.into_iter().flat_map(|capability| capability.endpoints.into_mounted());
    let handlers = mounted.map(|one| (one.row.id, Arc::new(one))).collect();
    Ok(Life { platform, checks, handlers })
}
