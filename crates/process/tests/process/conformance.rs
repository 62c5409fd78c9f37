//! The suite that every engine passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::InstanceId;
use ports::conformance::engine::{Act, World, run};
use ports::{Engine, Health, InstanceSpec, Probe, Purpose};

use crate::bench::{Bench, new_id};

#[async_trait]
impl World for Bench {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::clone(&self.engine)
    }

    async fn reopen(&mut self) {
        Bench::reopen(self);
    }

    fn new_id(&self) -> InstanceId {
        new_id()
    }

    async fn spec(&self, id: InstanceId, act: Act) -> InstanceSpec {
        let ms = |span: Duration| span.as_millis().to_string();
        let words: Vec<String> = match &act {
            Act::Serve { late } => vec!["serve".into(), "late".into(), ms(*late)],
            Act::ServeSick { from, to } => {
                vec!["serve".into(), "sick-from".into(), ms(*from), "sick-to".into(), ms(*to)]
            }
            Act::ServeDeaf => vec!["serve".into(), "deaf".into()],
            Act::Sleep => vec!["sleep".into()],
            Act::Stubborn => vec!["stubborn".into()],
            Act::Exit(status) => vec!["exit".into(), status.to_string()],
            Act::Abort => vec!["abort".into()],
            Act::Say(out, err) => vec!["say".into(), out.clone(), err.clone()],
            Act::Count(many, every) => vec!["count".into(), many.to_string(), ms(*every)],
            Act::NoProgram => vec![],
            Act::Build => vec!["tree".into()],
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut spec = if act == Act::Build { self.build(&words) } else { self.task(&words) };
        spec.id = id;
        if act == Act::NoProgram {
            spec.command = vec!["/app/no-such-program".to_owned()];
        }
        if matches!(act, Act::Serve { .. } | Act::ServeSick { .. } | Act::ServeDeaf) {
            spec.purpose = Purpose::Serve;
            spec.port = true;
            spec.deadline = None;
            spec.health =
                Some(Health { probe: Probe::Http { path: "/healthz".into() }, every_ms: 50, timeout_ms: 1000 });
        }
        spec
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_engine_conforms() {
    run(&mut Bench::new()).await;
}
