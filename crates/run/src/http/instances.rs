use std::collections::BTreeMap;

use api::Page;
use api::run::{Instance, ListInstances};
use base::{InstanceId, Result};
use facts::InstancesSeen;
use kernel::{Answer, Call, Ctx};
use ports::InstanceState;

use crate::state;

/// The instances of a service, as last published.
pub(crate) async fn list(ctx: Ctx, call: Call<ListInstances>) -> Result<Answer<Page<Instance>>> {
    let mut read = ctx.read().await?;
    let created: BTreeMap<InstanceId, _> =
        state::instances_of(&mut read, &call.path.service).await?.into_iter().map(|k| (k.id, k.created)).collect();
    let mut items = Vec::new();
    for (fact, _) in kernel::latest_of::<InstancesSeen>(&mut read, &call.path.service).await? {
        if call.query.environment.as_ref().is_some_and(|wanted| *wanted != fact.environment) {
            continue;
        }
        for process in &fact.processes {
            for view in &process.instances {
                items.push(Instance {
                    instance: view.id,
                    environment: fact.environment.clone(),
                    process: process.process.clone(),
                    release: process.release,
                    number: None,
                    state: word(&view.state).to_owned(),
                    evidence: view.evidence.clone(),
                    since: view.since,
                    started: created.get(&view.id).copied().unwrap_or(view.since),
                    address: view.address.as_ref().map(ToString::to_string),
                    memory: None,
                    cpu_us: None,
                });
            }
        }
    }
    Ok(Page::whole(items).into())
}

fn word(state: &InstanceState) -> &'static str {
    match state {
        InstanceState::Starting => "starting",
        InstanceState::Ready => "ready",
        InstanceState::Unready => "unready",
        InstanceState::Stopping => "stopping",
        InstanceState::Exited { .. } => "exited",
    }
}
