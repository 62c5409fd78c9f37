use std::sync::Arc;

use base::Time;
use ports::{Clock, Engine, Gateway, Objects, Random, Signals, Sources, Vault};
use store::Store;

use crate::{Admission, Authority, Config, Ctx, Driver, Permit};

/// The outside world, as the platform was given it.
#[derive(Clone)]
pub struct Ports {
    /// Runs instances.
    pub engine: Arc<dyn Engine>,
    /// Carries traffic.
    pub gateway: Arc<dyn Gateway>,
    /// Keeps sources, artifacts, backups.
    pub objects: Arc<dyn Objects>,
    /// Keeps git repositories.
    pub sources: Arc<dyn Sources>,
    /// Opens settings and secrets.
    pub vault: Arc<dyn Vault>,
    /// Keeps recent history of requests and of what instances use.
    pub signals: Arc<dyn Signals>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// One running control plane: what capabilities stand on. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    ports: Ports,
    config: Config,
    authority: Arc<dyn Authority>,
    admission: Admission,
    driver: Driver,
    started: Time,
}

impl Platform {
    /// Puts a control plane together; nothing runs yet. What changes the outside is behind the
    /// fence of the state: it is refused (`stale-controller`) once another one leads.
    pub fn new(
        store: Store,
        ports: Ports,
        config: Config,
        authority: Arc<dyn Authority>,
        admission: Admission,
    ) -> Self {
        let started = ports.clock.now();
        let ports = crate::fence::fenced(ports, &store);
        Self {
            inner: Arc::new(Inner { store, ports, config, authority, admission, driver: Driver::default(), started }),
        }
    }

    /// The state.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The outside world.
    pub fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Who decides about permissions.
    pub fn authority(&self) -> &dyn Authority {
        &*self.inner.authority
    }

    /// The hooks on the wish path.
    pub fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// What runs reconcilers and jobs.
    pub fn driver(&self) -> &Driver {
        &self.inner.driver
    }

    /// When this control plane started.
    pub fn started(&self) -> Time {
        self.inner.started
    }

    /// The context of a part of the platform acting by itself: a reconciler or a job.
    pub fn ctx(&self, part: &str) -> Ctx {
        Ctx::new(self.clone(), Permit::platform(part), None)
    }

    /// The address beneath which services answer: scheme, and port where it is not the usual one.
    pub fn url_of(&self, host: &base::HostName) -> String {
        match self.config().gateway.public_port() {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        }
    }
}
