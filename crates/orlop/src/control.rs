//! The control plane as a running thing: gateway, reconcilers, API, and their end.

use std::net::SocketAddr;
use std::process::Child;
use std::time::Duration;

use access::first_sign_in;
use base::{Problem, Result};
use kernel::{Config, Platform};
use ports::Gateway as _;
use server::Server;

use crate::compose::{Composed, compose};
use crate::installation::{Installation, Lock, Running, SignInFile};
use crate::spawn;

/// Connections to the API at once.
const CONNECTIONS_MAX: usize = 1024;
/// A gateway that was started must answer within this span.
const GATEWAY_READY: Duration = Duration::from_secs(10);

/// A control plane that has taken its ports and started its work.
pub(crate) struct Control {
    pub platform: Platform,
    pub running: Running,
    pub sign_in: SignInFile,
    server: Server,
    router: server::Router,
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
        config.gateway.listen = start_gateway(place, config.gateway.listen).await?;
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
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: platform.started(),
        };
        place.write_running(&running)?;
        Ok(Self { platform, running, sign_in, server, router, _lock: lock })
    }

    /// Serves until `stop` ends. Instances and gateway go on after it.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        self.server.serve(self.router, stop).await;
        self.platform.driver().stop().await;
    }
}

/// Sees that a gateway runs; returns where it listens.
async fn start_gateway(place: &Installation, listen: SocketAddr) -> Result<SocketAddr> {
    let client = gateway::Client::new(place.gateway_dir());
    if let Ok(status) = client.status().await
        && let Some(first) = status.listeners.first()
        && (listen.port() == 0 || status.listeners.iter().any(|l| l.address == listen))
        && status.version == env!("CARGO_PKG_VERSION")
    {
        return Ok(first.address);
    }
    let log = place.log_file("gateway");
    let folder = place.gateway_dir();
    let mut child = spawn::role(["gateway".as_ref(), folder.as_os_str(), listen.to_string().as_ref()], &log)?;
    let waited = tokio::time::timeout(GATEWAY_READY, answering(&client, &mut child)).await;
    let Ok(Some(address)) = waited else { return Err(not_started(&log, listen)) };
    // Somebody must take note of the end of a child, or it stays as a zombie.
    std::thread::spawn(move || child.wait());
    Ok(address)
}

/// Waits until the gateway that was started answers; nothing when it ended instead.
async fn answering(client: &gateway::Client, child: &mut Child) -> Option<SocketAddr> {
    loop {
        if let Ok(status) = client.status().await
            && status.pid == child.id()
        {
            return status.listeners.first().map(|l| l.address);
        }
        if child.try_wait().ok().flatten().is_some() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn not_started(log: &std::path::Path, listen: SocketAddr) -> Problem {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().last().unwrap_or("it said nothing").to_owned();
    Problem::unavailable("gateway-not-started", format!("the gateway did not start on {listen}: {last}"))
        .hint(format!("choose another address: `orlop up --gateway-listen {}:0`; its log is {}", listen.ip(), log.display()))
}
