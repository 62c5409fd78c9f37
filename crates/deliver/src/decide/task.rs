use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base::{Bytes, InstanceId, MilliCpu, ProcessName, Secret};
use ports::{Base, InstanceSpec, Mount, Network, Purpose};

use crate::model::{Build, Marker, source_key};
use crate::recipe::{Plan, WORKSPACE};

/// Where the platform's own binary is seen inside a build: it runs the steps.
const PLATFORM_INSIDE: &str = "/orlop/orlop";
/// Builds give way to what serves; instances have 100.
const CPU_WEIGHT: u16 = 10;
/// SIGTERM to SIGKILL of a build that is stopped.
const STOP: Duration = Duration::from_secs(5);

/// What the installation gives every build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildSite {
    pub path: String,
    /// Variables of the platform's own environment that are handed on, by the operator's leave.
    pub passed: BTreeMap<String, String>,
    pub host_paths: Vec<PathBuf>,
    pub cpu: MilliCpu,
    pub memory: Bytes,
    pub disk: Bytes,
    pub tasks: u32,
    pub deadline: Duration,
}

impl BuildSite {
    /// The variables whose names fit a pattern; `*` at the end of a pattern is any text.
    pub(crate) fn passed(vars: &BTreeMap<String, String>, patterns: &[String]) -> BTreeMap<String, String> {
        let fits = |name: &str, pattern: &str| match pattern.strip_suffix('*') {
            Some(head) => name.starts_with(head),
            None => name == pattern,
        };
        // Our own variables may hold secrets of the platform, whatever the patterns say.
        vars.iter()
            .filter(|(name, _)| !name.starts_with("ORLOP_") && patterns.iter().any(|pattern| fits(name, pattern)))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// All steps of a build as one task of the engine, so that they share one workspace.
pub(crate) fn task(build: &Build, id: InstanceId, plan: &Plan, site: &BuildSite) -> InstanceSpec {
    let steps = serde_json::to_string(&plan.steps).unwrap_or_default();
    let mut mounts = vec![Mount::Platform { target: PLATFORM_INSIDE.to_owned() }];
    mounts.extend(
        plan.caches.iter().map(|cache| Mount::Cache {
            name: format!("{}/{}", build.service, cache.name),
            target: cache.target.clone(),
        }),
    );
    mounts.extend(site.host_paths.iter().map(|path| Mount::Host { path: path.clone() }));
    InstanceSpec {
        id,
        service: build.service.clone(),
        environment: None,
        release: None,
        process: "build".parse().unwrap_or_else(|_| ProcessName::worker()),
        purpose: Purpose::Task,
        base: Base::Workspace { source: source_key(build.source) },
        mounts,
        workdir: WORKSPACE.to_owned(),
        command: [PLATFORM_INSIDE, "steps", &Marker::nonce(id), &base::placeholder::escape(&steps)]
            .map(str::to_owned)
            .to_vec(),
        env: variables(site),
        hidden: hidden(site),
        port: false,
        health: None,
        network: Network::Host,
        cpu: site.cpu,
        cpu_weight: CPU_WEIGHT,
        memory: site.memory,
        tasks_max: site.tasks,
        disk_max: site.disk,
        deadline: Some(site.deadline),
        stop_grace: STOP,
    }
}

/// What must not be seen in a build's output of the variables that the operator handed on: what the
/// name calls a secret, and the name and password in an address.
fn hidden(site: &BuildSite) -> BTreeMap<String, Secret<String>> {
    let marked = |name: &str| ["TOKEN", "PASSWORD", "SECRET", "KEY", "AUTH"].iter().any(|word| name.contains(word));
    let part = |(name, value): (&String, &String)| {
        let secret = if marked(&name.to_ascii_uppercase()) { value.as_str() } else { user_info(value)? };
        Some((name.clone(), Secret::new(secret.to_owned())))
    };
    site.passed.iter().filter_map(part).collect()
}

/// `ada:secret` of `http://ada:secret@proxy:3128` (RFC 3986 §3.2.1).
fn user_info(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

fn variables(site: &BuildSite) -> BTreeMap<String, Secret<String>> {
    let own =
        [("PATH", site.path.as_str()), ("HOME", "/home/app"), ("TMPDIR", "/tmp"), ("LANG", "C.UTF-8"), ("CI", "1")];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    site.passed.clone().into_iter().chain(own).map(|(name, value)| (name, Secret::new(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_hands_on_in_confidence_is_hidden() {
        let passed = [("HTTP_PROXY", "http://ada:pass@proxy:3128/x@y"), ("NO_PROXY", "a,b@c"), ("NPM_TOKEN", "npm_1")];
        let site = BuildSite {
            path: String::new(),
            passed: passed.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            host_paths: Vec::new(),
            cpu: MilliCpu(1),
            memory: Bytes(1),
            disk: Bytes(1),
            tasks: 1,
            deadline: STOP,
        };
        let hidden = hidden(&site);
        let shown: Vec<_> = hidden.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
        assert_eq!(shown, [("HTTP_PROXY", "ada:pass"), ("NPM_TOKEN", "npm_1")]);
    }

    #[test]
    fn only_what_the_operator_names_is_handed_on() {
        let vars: BTreeMap<String, String> =
            ["HTTP_PROXY", "PIP_INDEX_URL", "AWS_SECRET_ACCESS_KEY", "ORLOP_TOKEN", "XHTTP_PROXY"]
                .map(|name| (name.to_owned(), "v".to_owned()))
                .into();
        let patterns = ["HTTP_PROXY", "PIP_*", "ORLOP_*"].map(str::to_owned);
        let passed = BuildSite::passed(&vars, &patterns);
        assert_eq!(passed.keys().collect::<Vec<_>>(), ["HTTP_PROXY", "PIP_INDEX_URL"]);
    }
}
