use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base::{Bytes, InstanceId, Problem, Result, Secret, SettingName};
use facts::{InstanceSet, NeedKind, ProcessWanted, ServiceKind};
use ports::{Base, Connect, Health, InstanceSpec, Mount, Network, Probe, Purpose, Way};

use crate::model::Key;

/// Where the platform's own binary is seen inside an instance of a site.
const PLATFORM_INSIDE: &str = "/orlop/orlop";
/// Between two probes of an instance that answers; one that does not is asked sooner.
const PROBE_EVERY_MS: u64 = 2_000;
/// One probe may take this long.
const PROBE_TIMEOUT_MS: u64 = 2_000;

/// What the installation adds to every instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub path: String,
    pub host_paths: Vec<PathBuf>,
    pub disk: Bytes,
    pub tasks: u32,
    pub release_deadline: Duration,
}

/// An instance to start.
pub(crate) struct Launch<'a> {
    pub id: InstanceId,
    pub key: &'a Key,
    pub set: &'a InstanceSet,
    pub process: &'a ProcessWanted,
    pub settings: &'a BTreeMap<SettingName, Secret<String>>,
    pub site: &'a Site,
}

/// The complete specification of an instance.
pub(crate) fn spec(launch: &Launch<'_>) -> Result<InstanceSpec> {
    let Launch { id, key, set, process, site, .. } = launch;
    let port = !process.task && process.kind != ServiceKind::Worker;
    let mut mounts: Vec<Mount> = site.host_paths.iter().map(|path| Mount::Host { path: path.clone() }).collect();
    let command = if process.kind == ServiceKind::Site && !process.task {
        mounts.push(Mount::Platform { target: PLATFORM_INSIDE.to_owned() });
        [PLATFORM_INSIDE, "site", "/app"].map(str::to_owned).to_vec()
    } else {
        process.command.clone()
    };
    if command.is_empty() {
        return Err(Problem::unprocessable("no-command", format!("process `{}` has no command", process.process))
            .hint("add `run: { command: [\"./program\"] }` to orlop.yaml"));
    }
    Ok(InstanceSpec {
        id: *id,
        service: key.service.clone(),
        environment: Some(key.environment.clone()),
        release: Some(set.release),
        process: key.process.clone(),
        purpose: if process.task { Purpose::Task } else { Purpose::Serve },
        base: Base::Artifact(set.artifact),
        mounts,
        workdir: "/app".to_owned(),
        command,
        env: variables(launch)?,
        hidden: hidden(set, launch.settings),
        port,
        health: port.then(|| health(process)),
        network: Network::Only(connects(set)),
        cpu: process.cpu,
        cpu_weight: 100,
        memory: process.memory,
        tasks_max: site.tasks,
        disk_max: site.disk,
        deadline: process.task.then_some(site.release_deadline),
        stop_grace: process.stop.0,
    })
}

fn health(process: &ProcessWanted) -> Health {
    let probe = match process.health.as_ref().and_then(|h| h.path.clone()) {
        Some(path) => Probe::Http { path },
        None => Probe::Port,
    };
    Health { probe, every_ms: PROBE_EVERY_MS, timeout_ms: PROBE_TIMEOUT_MS }
}

fn connects(set: &InstanceSet) -> Vec<Connect> {
    let way = |kind: &NeedKind| match kind {
        NeedKind::Service(_) => Way::Gateway,
        NeedKind::External => Way::Direct,
    };
    set.needs.values().map(|need| Connect { host: need.host.clone(), port: need.port, way: way(&need.kind) }).collect()
}

/// The environment: the manifest's settings, the platform's settings (they win: they can differ by
/// environment), the URLs of needs, what the recipe says (it may refer to all of these), and who
/// the instance is.
pub(crate) fn variables(launch: &Launch<'_>) -> Result<BTreeMap<String, Secret<String>>> {
    let Launch { id, key, set, process, settings, site } = launch;
    let mut out: BTreeMap<String, Secret<String>> = BTreeMap::new();
    let mut put = |name: &str, value: String| out.insert(name.to_owned(), Secret::new(value));
    put("PATH", site.path.clone());
    put("HOME", "/tmp".to_owned());
    put("TMPDIR", "/tmp".to_owned());
    put("LANG", "C.UTF-8".to_owned());
    for (name, template) in &set.variables {
        put(name.as_str(), expand(template, set, settings).map_err(|p| p.at(format!("settings.{name}")))?);
    }
    for (name, value) in settings.iter() {
        put(name.as_str(), value.expose().clone());
    }
    for need in set.needs.values() {
        put(need.variable.as_str(), need.url.clone());
    }
    for (name, value) in from_recipe(process, &out)? {
        out.insert(name, value);
    }
    let mut put = |name: &str, value: String| out.insert(name.to_owned(), Secret::new(value));
    put("ORLOP_SERVICE", key.service.to_string());
    put("ORLOP_ENVIRONMENT", key.environment.to_string());
    put("ORLOP_PROCESS", key.process.to_string());
    put("ORLOP_RELEASE", set.number.to_string());
    put("ORLOP_INSTANCE", id.to_string());
    Ok(out)
}

/// What must not be seen in the output: the values of secrets.
fn hidden(set: &InstanceSet, settings: &BTreeMap<SettingName, Secret<String>>) -> BTreeMap<String, Secret<String>> {
    let secrets = set.settings.iter().filter(|setting| setting.secret);
    secrets.filter_map(|s| Some((s.name.to_string(), settings.get(&s.name)?.clone()))).collect()
}

/// The recipe's variables, with what they refer to put in: `/app/bin:${PATH}`.
fn from_recipe(
    process: &ProcessWanted,
    known: &BTreeMap<String, Secret<String>>,
) -> Result<Vec<(String, Secret<String>)>> {
    let value = |name: &str| known.get(name).map(|v| v.expose().as_str());
    let expanded = process.env.iter().map(|(name, text)| {
        Ok((name.clone(), Secret::new(base::placeholder::expand(text, value).map_err(|p| p.at(name))?)))
    });
    expanded.collect()
}

fn expand(template: &str, set: &InstanceSet, settings: &BTreeMap<SettingName, Secret<String>>) -> Result<String> {
    use api::manifest::Reference;
    api::manifest::expand(template, |reference| match reference {
        Reference::Need { need: name, part } => {
            let need = set.needs.get(name)?;
            Some(match part {
                api::manifest::NeedPart::Url => need.url.clone(),
                api::manifest::NeedPart::Host => need.host.clone(),
                api::manifest::NeedPart::Port => need.port.to_string(),
            })
        }
        Reference::Setting(name) => settings.get(name).map(|value| value.expose().clone()),
    })
}

#[cfg(test)]
mod tests {
    use base::{Digest, MilliCpu, ReleaseId, RolloutId, Span, Time};
    use ports::SettingRef;

    use super::*;

    /// `recipe`, `manifest` and `platform` are variables as each of them gives them.
    fn check(recipe: &[(&str, &str)], manifest: &[(&str, &str)], platform: &[(&str, &str)], expect: &[(&str, &str)]) {
        let process = ProcessWanted {
            process: "web".parse().unwrap(),
            kind: ServiceKind::Web,
            task: false,
            command: vec!["x".into()],
            env: recipe.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            health: None,
            instances_min: 1,
            instances_max: 1,
            cpu: MilliCpu(1),
            memory: Bytes(1),
            stop: Span(Duration::ZERO),
        };
        let set = InstanceSet {
            rollout: RolloutId::new(Time::default(), [0; 10]),
            release: ReleaseId::new(Time::default(), [0; 10]),
            number: 3,
            artifact: Digest::of(b""),
            processes: vec![process.clone()],
            settings: Vec::<SettingRef>::new(),
            variables: manifest.iter().map(|(k, v)| (k.parse().unwrap(), (*v).to_owned())).collect(),
            needs: BTreeMap::new(),
        };
        let settings = platform.iter().map(|(k, v)| (k.parse().unwrap(), Secret::new((*v).to_owned()))).collect();
        let key = Key {
            service: "shop".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            rollout: set.rollout,
            process: process.process.clone(),
        };
        let site = Site {
            path: "/usr/bin".into(),
            host_paths: Vec::new(),
            disk: Bytes(1),
            tasks: 1,
            release_deadline: Duration::ZERO,
        };
        let id = InstanceId::new(Time::default(), [0; 10]);
        let launch = Launch { id, key: &key, set: &set, process: &process, settings: &settings, site: &site };
        let got = variables(&launch).unwrap();
        for (name, value) in expect {
            assert_eq!(got.get(*name).map(|v| v.expose().as_str()), Some(*value), "{name}");
        }
    }

    #[test]
    fn later_layers_win_and_the_recipe_may_refer_to_all() {
        check(
            &[("PATH", "/app/bin:${PATH}"), ("NODE_ENV", "${NODE_ENV:-production}")],
            &[("A", "manifest"), ("B", "b"), ("URL", "x-${settings.A}")],
            &[("A", "platform"), ("NODE_ENV", "test")],
            &[
                ("PATH", "/app/bin:/usr/bin"),
                ("NODE_ENV", "test"),
                ("A", "platform"),
                ("B", "b"),
                ("URL", "x-platform"),
                ("ORLOP_RELEASE", "3"),
            ],
        );
        check(&[("NODE_ENV", "${NODE_ENV:-production}")], &[], &[], &[("NODE_ENV", "production"), ("HOME", "/tmp")]);
    }
}
