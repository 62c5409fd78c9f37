//! The control plane as a running thing: gateway, reconcilers, API, and their end.

use access::first_sign_in;
use base::Result;
use kernel::{Config, Platform};
use server::Server;

use crate::compose::{Composed, compose};
use crate::gatekeeping;
use crate::installation::{Installation, Lock, Running, SignInFile};

/// Connections to the API at once.
const CONNECTIONS_MAX: usize = 1024;

/// A control plane that has taken its ports and started its work.
pub(crate) struct Control {
    pub platform: Platform,
    pub running: Running,
    pub sign_in: SignInFile,
    server: Server,
    router: server::Router,
    place: Installation,
    _lock: Lock,
}

impl Control {
    /// Starts everything that an installation is made of, or takes it over where it runs already.
    pub(crate) async fn start(place: &Installation, config: Config) -> Result<Self> {
        place.make()?;
        let lock = place.lock()?;
        let options = server::Options { listen: config.listen, connections_max: CONNECTIONS_MAX };
        let server = Server::bind(&options).await?;
        let url = format!("http://{}", server.address()?);
        let mut config = config;
        config.listen = server.address()?;
        config.gateway.listen = gatekeeping::start(place, config.gateway.listen).await?;
        let gateway = format!("http://{}", config.gateway.listen);
        let Composed { platform, endpoints } = compose(place, config, std::env::vars().collect()).await?;
        let first = first_sign_in(&platform.ctx("orlop.up")).await?;
        let sign_in = SignInFile { url: url.clone(), code: first.code, expires: first.expires };
        place.write_sign_in(&sign_in)?;
        platform.driver().start(&platform).await;
        let router = server::router(&platform, endpoints);
        let running = Running {
            pid: std::process::id().cast_signed(),
            url,
            gateway,
            domain: platform.config().domain.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: platform.started(),
        };
        place.write_running(&running)?;
        Ok(Self { platform, running, sign_in, server, router, place: place.clone(), _lock: lock })
    }

    /// Serves until `stop` ends. Instances and gateway go on after it.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        let listen = self.platform.config().gateway.listen;
        let watch = tokio::spawn(gatekeeping::watch(self.place, listen));
        self.server.serve(self.router, stop).await;
        watch.abort();
        self.platform.driver().stop().await;
    }
}
