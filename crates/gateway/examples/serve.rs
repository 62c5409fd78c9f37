//! A gateway in front of given instances, for measurements: `serve DIR LISTEN WORKERS INSTANCE…`
//! answers for `app.localhost` until SIGTERM.

use base::{Generation, InstanceId, Problem, ReleaseId, Result, RolloutId, Time};
use gateway::{Client, Options};
use ports::{Backend, Gateway as _, Instance, Route, SNAPSHOT_FORMAT, Snapshot};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let usage = || Problem::invalid("usage", "serve DIR LISTEN WORKERS INSTANCE…");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, listen, workers, addresses @ ..] = args.as_slice() else { return Err(usage()) };
    let mut options = Options::new(dir);
    options.listen = vec![listen.parse().map_err(|_| usage())?];
    options.workers = workers.parse().map_err(|_| usage())?;
    let now = Time::from_micros(1);
    let mut instances = Vec::new();
    for (n, address) in (0u8..).zip(addresses) {
        let address = address.parse().map_err(|_| usage())?;
        instances.push(Instance { id: InstanceId::new(now, [n; 10]), address });
    }
    let backend =
        Backend { rollout: RolloutId::new(now, [1; 10]), release: ReleaseId::new(now, [1; 10]), weight: 1, instances };
    let snapshot = Snapshot {
        format: SNAPSHOT_FORMAT,
        generation: Generation(1),
        routes: vec![Route {
            service: "app".parse()?,
            environment: "dev".parse()?,
            hosts: vec!["app.localhost".parse()?],
            backends: vec![backend],
        }],
    };
    let client = Client::new(dir);
    let serving = tokio::spawn(gateway::run(options, |_| {}));
    while client.apply(&snapshot).await.is_err() && !serving.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    serving.await.map_err(|e| Problem::internal("gateway", e))?
}
