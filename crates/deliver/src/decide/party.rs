use std::collections::BTreeMap;

use api::manifest;
use base::{HostName, NeedName, ProcessName, SettingName};
use facts::{InstanceSet, Need, NeedKind, ProcessWanted};

use crate::model::{Place, Release, Rollout, Spec};

/// Where services of the installation answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub domain: HostName,
    /// The gateway's port as clients see it.
    pub port: u16,
}

impl Site {
    /// The address of a host of a service.
    pub(crate) fn url_of(&self, host: &HostName) -> String {
        match self.port {
            80 => format!("http://{host}"),
            port => format!("http://{host}:{port}"),
        }
    }
}

/// One side of a rollout: everything to run it and to send traffic to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    pub set: InstanceSet,
    pub task: Option<ProcessWanted>,
    pub takes_traffic: bool,
    pub hosts: Vec<HostName>,
}

impl Party {
    /// The set that runs the release command and nothing else.
    pub(crate) fn task_set(&self) -> Option<InstanceSet> {
        let task = self.task.clone()?;
        Some(InstanceSet { processes: vec![task], ..self.set.clone() })
    }
}

/// What a rollout of a release runs.
pub(crate) fn party(rollout: &Rollout, release: &Release, site: &Site) -> Party {
    let spec = &release.spec;
    Party {
        set: InstanceSet {
            rollout: rollout.id,
            release: release.id,
            number: release.number,
            artifact: release.artifact,
            processes: spec.processes.clone(),
            settings: rollout.settings.clone(),
            variables: spec.variables.clone(),
            needs: needs(spec, &rollout.place, site),
        },
        task: spec.release.clone(),
        takes_traffic: spec.takes_traffic(),
        hosts: spec.hosts.clone(),
    }
}

/// The needs of a release as they are in one environment.
pub(crate) fn needs(spec: &Spec, place: &Place, site: &Site) -> BTreeMap<NeedName, Need> {
    spec.needs.iter().map(|(name, wanted)| (name.clone(), need(name, wanted, place, site))).collect()
}

fn need(name: &NeedName, wanted: &manifest::Need, place: &Place, site: &Site) -> Need {
    let variable = SettingName::of_need(name, "URL");
    match wanted {
        manifest::Need::Service(service) => {
            let host = HostName::of_service(service, &place.environment, &site.domain);
            Need {
                kind: NeedKind::Service(service.clone()),
                variable,
                url: site.url_of(&host),
                host: host.to_string(),
                port: site.port,
            }
        }
        manifest::Need::External(url) => Need {
            kind: NeedKind::External,
            variable,
            url: url.as_str().to_owned(),
            host: url.host().to_owned(),
            port: url.port(),
        },
    }
}

/// The process that gets the traffic, or the only one.
pub(super) fn is_main(name: &ProcessName, count: usize) -> bool {
    *name == ProcessName::web() || count == 1
}
