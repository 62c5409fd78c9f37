//! Facts in words.

use api::access::AuditRecord;
use base::Time;
use serde_json::Value;

use crate::components::{Text, When, say_actor};

/// A fact as people read it.
pub(crate) struct Told {
    pub seq: i64,
    pub when: When,
    pub who: String,
    pub what: Text,
    /// Why, where the fact says so.
    pub more: Text,
    pub kind: String,
    /// The page about it.
    pub path: Option<String>,
    pub hash: String,
}

impl Told {
    pub(crate) fn of(record: AuditRecord, now: Time) -> Self {
        let (what, more) = words(&record.kind, &record.subject, &record.body);
        Self {
            seq: record.seq.0,
            when: When::new(record.at, now),
            who: say_actor(&record.actor),
            what: Text(what),
            more: Text(more),
            path: path(&record.kind, &record.body),
            kind: record.kind,
            hash: record.hash,
        }
    }
}

fn words(kind: &str, subject: &str, body: &Value) -> (String, String) {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| body.get(key).and_then(Value::as_i64).unwrap_or_default();
    let yes = |key: &str| body.get(key).and_then(Value::as_bool).unwrap_or_default();
    match kind {
        "deliver.rollout" => (
            format!("rollout of release {} in {}: {}", number("number"), text("environment"), text("state")),
            text("reason"),
        ),
        "deliver.build" => (format!("build {}", text("state")), text("reason")),
        "deliver.release" => (format!("release {} made", number("number")), text("commit")),
        "access.setting" => {
            let place = body.get("environment").and_then(Value::as_str).unwrap_or("all environments");
            let secret = if yes("secret") { "secret" } else { "setting" };
            let what = if yes("removed") { "removed" } else { "set" };
            (format!("{secret} {} {what} in {place}", text("name")), format!("version {}", number("version")))
        }
        "catalog.service" if yes("removed") => ("taken out of use".to_owned(), String::new()),
        "catalog.service" => (format!("belongs to team {}", text("team")), text("description")),
        "catalog.service.wanted" => (format!("wanted for team {}", text("team")), String::new()),
        "run.instances.wanted" => ("instances wanted".to_owned(), sets(body)),
        "run.replicas" => ("scaled".to_owned(), processes(body)),
        "run.instances" => ("instances seen".to_owned(), seen(body)),
        "route.traffic.wanted" => ("traffic wanted".to_owned(), String::new()),
        "route.served" => ("route served".to_owned(), text("problem")),
        "access.team" if yes("removed") => (format!("team {} removed", text("team")), String::new()),
        "access.team" => (format!("team {} changed", text("team")), members(body)),
        "access.person" if yes("removed") => (format!("account {} removed", text("person")), String::new()),
        "access.person" => (format!("account {} made", text("person")), String::new()),
        "access.token" => {
            let what = if yes("revoked") { "revoked" } else { "issued" };
            (format!("credential of {} {what}", text("person")), text("name"))
        }
        "access.view" => {
            let what = if yes("removed") { "forgotten" } else { "kept" };
            (format!("view {} {what} by {}", text("view"), text("person")), String::new())
        }
        _ => (format!("{kind} of {subject}"), String::new()),
    }
}

fn list(body: &Value, key: &str) -> Vec<Value> {
    body.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn sets(body: &Value) -> String {
    let numbers = list(body, "sets")
        .iter()
        .filter_map(|set| set.get("number")?.as_i64())
        .map(|n| format!("release {n}"))
        .collect::<Vec<_>>();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

fn seen(body: &Value) -> String {
    let processes = list(body, "processes");
    let count = processes.iter().filter_map(|p| p.get("instances")?.as_array()).map(Vec::len).sum::<usize>();
    let trouble =
        processes.iter().filter_map(|p| p.get("trouble")?.as_str()).find(|t| !t.is_empty()).map(str::to_owned);
    let count = format!("{count} known");
    trouble.map_or(count.clone(), |trouble| format!("{count}: {trouble}"))
}

fn processes(body: &Value) -> String {
    let all = body.get("processes").and_then(Value::as_object).cloned().unwrap_or_default();
    all.iter().map(|(name, n)| format!("{name} to {n}")).collect::<Vec<_>>().join(", ")
}

fn members(body: &Value) -> String {
    let all = body.get("members").and_then(Value::as_object).cloned().unwrap_or_default();
    let roles = all.iter().map(|(name, role)| format!("{name}: {}", role.as_str().unwrap_or_default()));
    roles.collect::<Vec<_>>().join(", ")
}

fn path(kind: &str, body: &Value) -> Option<String> {
    let service = body.get("service").and_then(Value::as_str).filter(|s| s.parse::<base::ServiceName>().is_ok());
    let id = |key: &str| {
        body.get(key).and_then(Value::as_str).filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
    };
    match (kind, service) {
        ("deliver.rollout", Some(service)) => Some(format!("/services/{service}/rollouts/{}", id("rollout")?)),
        ("deliver.build", Some(service)) => Some(format!("/services/{service}/builds/{}", id("build")?)),
        ("deliver.release", Some(service)) => Some(format!("/services/{service}/releases")),
        ("access.setting", Some(service)) => Some(format!("/services/{service}/settings")),
        (_, Some(service)) => Some(format!("/services/{service}")),
        ("access.team", None) => {
            let team = body.get("team")?.as_str().filter(|t| t.parse::<base::TeamName>().is_ok())?;
            Some(format!("/teams/{team}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, body: Value, what: &str, more: &str, to: Option<&str>) {
        assert_eq!(words(kind, "subject", &body), (what.to_owned(), more.to_owned()));
        assert_eq!(path(kind, &body).as_deref(), to);
    }

    #[test]
    fn facts_are_told_in_words_and_lead_only_to_pages() {
        let body = json!({"service": "shop", "rollout": "ro_1", "environment": "dev", "number": 3, "state": "failed", "reason": "no"});
        check(
            "deliver.rollout",
            body,
            "rollout of release 3 in dev: failed",
            "no",
            Some("/services/shop/rollouts/ro_1"),
        );
        let body = json!({"service": "shop", "environment": null, "name": "A", "version": 2, "secret": true, "removed": false});
        check("access.setting", body, "secret A set in all environments", "version 2", Some("/services/shop/settings"));
        check("other.kind", json!({"service": "../evil"}), "other.kind of subject", "", None);
        check(
            "deliver.rollout",
            json!({"service": "shop", "rollout": "\"><x"}),
            "rollout of release 0 in : ",
            "",
            None,
        );
    }
}
