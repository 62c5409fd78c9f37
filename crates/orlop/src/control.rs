//! The control plane as a running thing: gateway, reconcilers, API, and their end.

use std::sync::Arc;
use std::time::Duration;

use access::first_sign_in;
use base::{Problem, Result};
use kernel::{Config, Platform};
use server::Server;
use store::Backend;

use crate::clock::{ANCHOR_EVERY, SystemClock};
use crate::compose::{Composed, compose};
use crate::gatekeeping;
use crate::installation::{Installation, Lock, Running, SignInFile};

/// Connections to the API at once.
const CONNECTIONS_MAX: usize = 1024;
/// A control plane looks this often whether another one has taken over.
const LOOK_FOR_SUCCESSOR: Duration = Duration::from_secs(5);
/// How often is looked whether the database still has its reserve of room.
const ROOM_EVERY: Duration = Duration::from_secs(5);

/// A control plane that has taken its ports and started its work.
pub(crate) struct Control {
    pub platform: Platform,
    pub running: Running,
    pub sign_in: SignInFile,
    server: Server,
    router: server::Router,
    place: Installation,
    clock: Arc<SystemClock>,
    _lock: Lock,
}

impl Control {
    /// Starts everything that an installation is made of, or takes it over where it runs already.
    pub(crate) async fn start(place: &Installation, config: Config) -> Result<Self> {
        place.make()?;
        place.spend();
        let lock = place.lock()?;
        let options = server::Options { listen: config.listen, connections_max: CONNECTIONS_MAX };
        let server = Server::bind(&options).await?;
        let url = format!("http://{}", server.address()?);
        let mut config = config;
        config.listen = server.address()?;
        config.gateway.listen = gatekeeping::start(place, config.gateway.listen).await?;
        gatekeeping::bound(place, config.gateway.connections_per_client).await;
        let gateway = format!("http://{}", config.gateway.listen);
        let Composed { platform, endpoints, clock } = compose(place, config, std::env::vars().collect()).await?;
        place.write_anchor(&clock.anchor())?;
        if platform.store().kind() == Backend::Sqlite {
            // Whoever held the lock of this folder before has ended, and its workers with it.
            platform.store().free_jobs().await?;
        }
        platform.driver().take_over(&platform).await?;
        let first = first_sign_in(&platform.ctx("orlop.up")).await?;
        let sign_in = SignInFile { url: url.clone(), code: first.code, expires: first.expires };
        place.write_sign_in(&sign_in)?;
        platform.driver().start(&platform).await;
        let router = crate::pages::over(&platform, server::router(&platform, endpoints));
        let running = Running {
            pid: std::process::id().cast_signed(),
            url,
            gateway,
            domain: platform.config().domain.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: platform.started(),
        };
        place.write_running(&running)?;
        Ok(Self { platform, running, sign_in, server, router, place: place.clone(), clock, _lock: lock })
    }

    /// Serves until `stop` ends. Instances and gateway go on after it.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let listen = self.platform.config().gateway.listen;
        let mut watch = tokio::task::JoinSet::new();
        watch.spawn(gatekeeping::watch(self.place.clone(), listen));
        watch.spawn(keep_time(self.place.clone(), Arc::clone(&self.clock)));
        watch.spawn(keep_room(self.platform.clone(), self.place.clone()));
        let platform = self.platform.clone();
        let stop = async move {
            tokio::select! {
                () = stop => {}
                () = deposed(&platform) => {}
            }
        };
        self.server.serve(self.router, stop).await;
        watch.shutdown().await;
        self.platform.driver().stop().await;
        if let Err(problem) = self.platform.store().renew_anchor().await {
            tracing::warn!(%problem, "the anchor of the audit trail could not be renewed");
        }
        // The next control plane goes on a little behind where this one was: that is harmless.
        let _ = self.place.write_anchor(&self.clock.anchor());
    }
}

/// Writes down where the platform's time is; never ends.
async fn keep_time(place: Installation, clock: Arc<SystemClock>) {
    loop {
        tokio::time::sleep(ANCHOR_EVERY).await;
        if let Err(problem) = place.write_anchor(&clock.anchor()) {
            tracing::warn!(%problem, "the platform's time could not be written down");
        }
    }
}

/// Sees that the database and the next start have room of their own; never ends. Without it everything
/// works as well, until the disk is full.
async fn keep_room(platform: Platform, place: Installation) {
    let mut told = false;
    loop {
        let saved = place.save_up().map_err(|e| Problem::unavailable("storage-full", e));
        match platform.store().hold_room().await.and(saved) {
            Ok(_) => told = false,
            Err(problem) if !told => {
                told = true;
                tracing::warn!(%problem, "there is no room in reserve for a full disk");
            }
            Err(_) => {}
        }
        tokio::time::sleep(ROOM_EVERY).await;
    }
}

/// Ends when another control plane has taken over. Whoever is replaced changes nothing any more
/// anyway; there is no use in going on.
async fn deposed(platform: &Platform) {
    loop {
        platform.ports().clock.sleep(LOOK_FOR_SUCCESSOR).await;
        match platform.store().leads().await {
            Err(problem) if problem.code == "stale-controller" => {
                tracing::error!(%problem, "this control plane ends");
                return;
            }
            _ => {}
        }
    }
}
