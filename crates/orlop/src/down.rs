//! `orlop down`: ends the control plane, every instance and the gateway, in this order, so that
//! nothing is started again meanwhile. What is wanted stays recorded: `orlop up` brings it back.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base::{Generation, Problem, Result};
use ports::{Engine as _, Gateway as _};
use rustix::process::{Pid, Signal, kill_process};

use crate::args::Down;
use crate::compose::{engine, world};
use crate::guard;
use crate::installation::Installation;
use crate::up::finish;

/// The control plane must have ended within this span.
const CONTROL_ENDS: Duration = Duration::from_secs(20);
/// Instances get this long to finish.
const GRACE: Duration = Duration::from_secs(15);
/// The gateway must have ended within this span.
const GATEWAY_ENDS: Duration = Duration::from_secs(35);

/// `orlop down`
pub(crate) fn main(args: &Down, globals: &cli::Globals) -> ExitCode {
    let outcome = Installation::find(args.place.data.as_deref()).and_then(|place| {
        let stopped = stop(&place, args.keep_running)?;
        if globals.json {
            println!("{}", serde_json::json!({ "control": stopped.control, "instances": stopped.instances, "gateway": stopped.gateway }));
        } else {
            println!("{}", stopped.sentence());
        }
        Ok(())
    });
    finish(outcome, globals.json)
}

/// What was stopped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub control: bool,
    pub instances: usize,
    pub gateway: bool,
    /// Whether everything but the control plane was left running on purpose.
    pub kept: bool,
}

impl Stopped {
    fn sentence(&self) -> String {
        match self {
            Self { control: true, kept: true, .. } => "Control plane stopped; services and gateway go on.".to_owned(),
            Self { control: false, kept: true, .. } => "No control plane ran.".to_owned(),
            Self { control: false, instances: 0, gateway: false, .. } => "Nothing was running.".to_owned(),
            Self { instances, .. } => {
                let which =
                    |was: bool, what: &str| if was { format!("{what} stopped") } else { format!("no {what} ran") };
                format!(
                    "{}, {instances} instances stopped, {}.",
                    which(self.control, "control plane"),
                    which(self.gateway, "gateway")
                )
            }
        }
    }
}

/// Stops an installation.
pub(crate) fn stop(place: &Installation, keep_running: bool) -> Result<Stopped> {
    if !place.data.exists() {
        return Ok(Stopped::default());
    }
    let control = match place.holder() {
        Some(pid) => {
            end(pid);
            wait(CONTROL_ENDS, || place.holder().is_none(), "the control plane")?;
            true
        }
        None => false,
    };
    if keep_running {
        return Ok(Stopped { control, kept: keep_running, ..Stopped::default() });
    }
    // A start that failed half-way leaves a gateway and no engine.
    place.make()?;
    let _lock = place.lock()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Problem::internal("no-runtime", e))?;
    runtime.block_on(async {
        let instances = if place.engine_dir().exists() { stop_instances(place).await? } else { 0 };
        let gateway = stop_gateway(place).await?;
        Ok(Stopped { control, instances, gateway, kept: false })
    })
}

fn end(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may end by itself at this very moment.
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn wait(span: Duration, done: impl Fn() -> bool, what: &str) -> Result<()> {
    for _ in 0..span.as_millis() / 20 {
        if done() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(Problem::timeout("does-not-end", format!("{what} has not ended after {} s", span.as_secs()))
        .hint("look at its log in the folder `run` of the data folder; ending it by force loses nothing that was acknowledged"))
}

async fn stop_instances(place: &Installation) -> Result<usize> {
    let (clock, _) = world();
    let objects = Arc::new(cloud::Objects::in_folder(&place.objects_dir())?);
    let engine = engine(place, objects, clock)?;
    let running: Vec<_> = engine.list().await?.into_iter().filter(|i| i.state.is_running()).collect();
    for one in &running {
        engine.stop(one.id, Generation(i64::MAX), GRACE).await?;
    }
    let deadline = GRACE + Duration::from_secs(5);
    let mut waited = Duration::ZERO;
    while engine.list().await?.iter().any(|i| i.state.is_running()) {
        if waited > deadline {
            return Err(
                Problem::timeout("does-not-end", "some instances have not ended").hint("run `orlop down` again")
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += Duration::from_millis(50);
    }
    Ok(running.len())
}

/// Ends the gateway, also one that is just being started again by its guard, and the guard.
async fn stop_gateway(place: &Installation) -> Result<bool> {
    let folder = place.gateway_dir();
    let client = gateway::Client::new(folder.clone());
    let _farewell = guard::Farewell::say(&folder);
    let (mut told, mut waited) = (None, Duration::ZERO);
    loop {
        if let Ok(status) = client.status().await
            && told != Some(status.pid)
        {
            end(status.pid.cast_signed());
            told = Some(status.pid);
        }
        if guard::all_gone(&folder) {
            return Ok(told.is_some());
        }
        if waited > GATEWAY_ENDS {
            return Err(Problem::timeout("does-not-end", "the gateway has not ended"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        waited += Duration::from_millis(20);
    }
}
