//! The faked machine keeps what every engine promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Bytes, Digest, InstanceId, MilliCpu, Time};
use ports::conformance::engine::{Act, World, run};
use ports::{Base, Clock, Engine, Health, InstanceSpec, Network, Probe, Purpose};
use sim::{Chance, Gate, Machine, MachineHandle, ObjectMap, VirtualClock};

struct Bench {
    clock: Arc<VirtualClock>,
    machine: Arc<Machine>,
    chance: Chance,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(VirtualClock::at(Time::from_micros(1_767_225_600_000_000)));
        let machine = Arc::new(Machine::new(Arc::clone(&clock)));
        machine.listen();
        Self { clock, machine, chance: Chance::seeded(1) }
    }
}

#[async_trait]
impl World for Bench {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(MachineHandle {
            machine: Arc::clone(&self.machine),
            objects: Arc::new(ObjectMap::default()),
            gate: Arc::new(Gate::new(Arc::clone(&self.clock), 1)),
            clock: Arc::clone(&self.clock),
            life: 0,
        })
    }

    async fn reopen(&mut self) {
        self.clock.advance(Duration::from_millis(300));
    }

    fn new_id(&self) -> InstanceId {
        ports::new_id(&*self.clock as &dyn Clock, &self.chance, InstanceId::new)
    }

    async fn spec(&self, id: InstanceId, act: Act) -> InstanceSpec {
        let ms = |span: Duration| span.as_millis();
        let serves = matches!(act, Act::Serve { .. } | Act::ServeSick { .. } | Act::ServeDeaf);
        let words = match &act {
            Act::Serve { late } => format!("ready={}", ms(*late)),
            Act::ServeSick { from, to } => format!("ready=0 sick={}-{}", ms(*from), ms(*to)),
            Act::ServeDeaf => "deaf".to_owned(),
            Act::Sleep | Act::NoProgram => String::new(),
            Act::Stubborn => "stubborn".to_owned(),
            Act::Exit(status) => format!("exit={status}@50"),
            Act::Abort => "signal=6@50".to_owned(),
            Act::Say(..) | Act::Build => "exit=0@50".to_owned(),
            Act::Count(many, every) => format!("count={many}x{}", ms(*every)),
        };
        let program = if act == Act::NoProgram { "missing" } else { "sim" };
        let mut command: Vec<String> =
            [program].into_iter().chain(words.split_whitespace()).map(str::to_owned).collect();
        if let Act::Say(out, err) = &act {
            command.extend([format!("say={out}"), format!("err={err}")]);
        }
        let task =
            matches!(act, Act::Exit(_) | Act::Abort | Act::Say(..) | Act::Count(..) | Act::Build | Act::NoProgram);
        InstanceSpec {
            id,
            service: "shop".parse().expect("a name"),
            environment: None,
            release: None,
            process: "web".parse().expect("a name"),
            purpose: if task { Purpose::Task } else { Purpose::Serve },
            base: match act {
                Act::Build => Base::Workspace { source: "sources/none.tar".to_owned() },
                _ => Base::Artifact(Digest::of(b"artifact")),
            },
            mounts: Vec::new(),
            workdir: "/app".to_owned(),
            command,
            env: Default::default(),
            port: serves,
            health: serves.then(|| Health { probe: Probe::Http { path: "/".into() }, every_ms: 50, timeout_ms: 1000 }),
            network: Network::Only(Vec::new()),
            cpu: MilliCpu(100),
            cpu_weight: 100,
            memory: Bytes(64 << 20),
            tasks_max: 16,
            disk_max: Bytes(1 << 20),
            deadline: None,
            hidden: BTreeMap::new(),
            stop_grace: Duration::from_secs(5),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faked_machine_conforms() {
    run(&mut Bench::new()).await;
}
