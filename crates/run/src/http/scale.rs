use api::run::{Scale, Scaled};
use base::limits::INSTANCES_MAX;
use base::{Problem, ProcessName, Result};
use facts::{InstancesWanted, Replicas, place};
use kernel::{Answer, Call, Ctx, Wish};

/// Sets how many instances of a process run. Holds over rollouts until it is set again.
pub(crate) async fn scale(ctx: Ctx, call: Call<Scale>) -> Result<Answer<Scaled>> {
    let service = call.path.service;
    let environment = call.body.environment;
    let instances = call.body.instances;
    if instances > INSTANCES_MAX {
        return Err(Problem::unprocessable(
            "too-many-instances",
            format!("{instances} instances are more than {INSTANCES_MAX}"),
        )
        .at("body.instances"));
    }
    let subject = place(&service, &environment);
    let wish =
        Wish { kind: "run.scale", subject: subject.clone(), body: serde_json::json!({ "instances": instances }) };
    ctx.platform().admission().admit(&ctx, &wish).await?;
    let mut tx = ctx.begin().await?;
    let wanted: Option<InstancesWanted> = kernel::latest(&mut tx, &subject).await?;
    let (process, least) = choose(wanted.as_ref(), call.body.process, &subject)?;
    let mut replicas = kernel::latest::<Replicas>(&mut tx, &subject).await?.unwrap_or_else(|| Replicas {
        service: service.clone(),
        environment: environment.clone(),
        processes: std::collections::BTreeMap::new(),
    });
    let before = replicas.processes.insert(process.clone(), instances).unwrap_or(least);
    ctx.publish(&mut tx, &replicas).await?;
    ctx.commit(tx, Scaled { service, environment, process, instances, before }).await
}

/// The process that is meant, and how many of it the manifest asks for.
fn choose(wanted: Option<&InstancesWanted>, named: Option<ProcessName>, subject: &str) -> Result<(ProcessName, u32)> {
    let newest = wanted.and_then(|w| w.sets.last()).filter(|set| !set.processes.is_empty()).ok_or_else(|| {
        Problem::conflict("nothing-runs", format!("nothing runs in {subject}")).hint("deploy first: `orlop deploy`")
    })?;
    let all: Vec<_> = newest.processes.iter().filter(|p| !p.task).collect();
    let names = || all.iter().map(|p| p.process.to_string()).collect::<Vec<_>>().join(", ");
    let found = match &named {
        Some(name) => all.iter().find(|p| p.process == *name),
        None => all.iter().find(|p| p.process == ProcessName::web()).or(match all.as_slice() {
            [only] => Some(only),
            _ => None,
        }),
    };
    found.map(|p| (p.process.clone(), p.instances_min)).ok_or_else(|| match named {
        Some(name) => {
            Problem::not_found("process-not-found", format!("there is no process `{name}`; there are: {}", names()))
        }
        None => Problem::unprocessable("which-process", format!("there are several processes: {}", names()))
            .hint("name one: `orlop scale worker=2`"),
    })
}
