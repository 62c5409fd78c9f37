use api::catalog::{EnvironmentStatus, Health};
use base::ServiceName;
use serde_json::Value;

use crate::StoredFact;

/// A fact in one line for people; nothing for facts that explain nothing.
pub(crate) fn line(fact: &StoredFact) -> Option<String> {
    let body = &fact.body;
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| body.get(key).and_then(Value::as_i64).unwrap_or_default();
    let place = || text("environment");
    Some(match fact.kind.as_str() {
        "deliver.rollout" => {
            format!("rollout of release {} in {}: {}: {}", number("number"), place(), text("state"), text("reason"))
        }
        "deliver.release" => format!("release {} was made", number("number")),
        "deliver.build" => format!("build {}: {}", text("state"), text("reason")),
        "access.setting" if body.get("removed") == Some(&Value::Bool(true)) => {
            format!("setting {} was removed", text("name"))
        }
        "access.setting" => format!("setting {} got version {}", text("name"), number("version")),
        "run.replicas" => format!("the number of instances in {} was set: {}", place(), body.get("processes")?),
        "run.instances" => {
            let trouble = body.get("processes")?.as_array()?.iter().find_map(|p| {
                let trouble = p.get("trouble")?.as_str()?;
                (!trouble.is_empty())
                    .then(|| format!("{}: {trouble}", p.get("process").and_then(Value::as_str).unwrap_or("")))
            })?;
            format!("in {}: {trouble}", place())
        }
        "route.served" if !text("problem").is_empty() => format!("route in {}: {}", place(), text("problem")),
        "catalog.service" => format!("service of team {}", text("team")),
        _ => return None,
    })
}

/// What a person can do about it.
pub(crate) fn advice(service: &ServiceName, status: &[EnvironmentStatus]) -> Vec<String> {
    let mut out = Vec::new();
    for one in status {
        let env = &one.environment;
        match one.health {
            Health::Down | Health::Degraded => {
                out.push(format!("see its output: `orlop logs --service {service} --env {env}`"));
                out.push(format!("go back to what worked: `orlop rollback --service {service} --env {env}`"));
            }
            Health::Empty => out.push(format!("deploy it: `orlop deploy --service {service} --to {env}`")),
            Health::Changing => out.push(format!("stop the rollout: `orlop cancel --service {service} --env {env}`")),
            Health::Healthy | Health::Unknown => {}
        }
    }
    out
}
