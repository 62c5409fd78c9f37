//! Puts a control plane together: the only place that names every capability and every driver.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use access::{Gatekeeper, MasterKey, SettingVault};
use aws_lc_rs::rand::SystemRandom;
use base::Result;
use deliver::BuildEnvironment;
use kernel::{Admission, Capability, Config, Mounted, Platform, Ports};
use ports::{Clock, Objects, Random};
use process::ProcessEngine;
use store::{Migration, Store};

use crate::anchor::Anchor;
use crate::backups::Newest;
use crate::clock::{ClockCheck, SystemChance, SystemClock};
use crate::installation::Installation;
use crate::{spawn, toolchain};

/// A control plane that is ready to run.
pub(crate) struct Composed {
    pub platform: Platform,
    pub endpoints: Vec<Mounted>,
    pub clock: Arc<SystemClock>,
}

/// The clock and the chance of this machine.
pub(crate) fn world() -> (Arc<dyn Clock>, Arc<dyn Random>) {
    let (clock, random) = world_after(None);
    (clock, random)
}

/// The same, where the platform's time of an installation goes on.
fn world_after(anchor: Option<&Anchor>) -> (Arc<SystemClock>, Arc<dyn Random>) {
    (Arc::new(SystemClock::after(anchor)), Arc::new(SystemChance(SystemRandom::new())))
}

/// Opens the state and the drivers of an installation, and registers every capability.
pub(crate) async fn compose(
    place: &Installation,
    mut config: Config,
    env: BTreeMap<String, String>,
) -> Result<Composed> {
    let (system, random) = world_after(place.anchor().as_ref());
    let clock: Arc<dyn Clock> = Arc::clone(&system) as _;
    let environment = use_toolchain(&mut config, env);
    let key = MasterKey::load_or_create(&place.key_file(), &*random)?;
    let store = Store::open(store::Options {
        url: config.database_url(),
        migrations: migrations(),
        audit_key: key.audit_key(),
        clock: Arc::clone(&clock),
        random: Arc::clone(&random),
        hook: None,
    })
    .await?;
    if let Some(recorded) = store::last_recorded(&mut store.read().await?).await? {
        system.not_before(recorded);
    }
    store.lead().await?;
    store.keep_anchor_in(&place.anchor_file()).await?;
    let vault = SettingVault::new(store.clone(), key, Arc::clone(&random));
    let objects: Arc<dyn Objects> = Arc::new(cloud::Objects::in_folder(&place.objects_dir())?);
    let ports = Ports {
        engine: engine(place, Arc::clone(&objects), Arc::clone(&clock))?,
        gateway: Arc::new(gateway::Client::new(place.gateway_dir())),
        objects,
        sources: Arc::new(git::Repositories::open(place.git_dir(), program("git", &environment.vars))?),
        vault: Arc::new(vault.clone()),
        signals: Arc::new(signals::Memory::default()),
        clock,
        random,
    };
    let mut capabilities = capabilities(Some(vault), environment);
    capabilities.push(Capability::named("backup").check(Newest::of(place)));
    capabilities.push(Capability::named("orlop").check(ClockCheck(Arc::clone(&system))));
    let hooks = capabilities.iter().flat_map(|c| c.hooks.iter().cloned()).collect();
    let platform = Platform::new(store, ports, config, Arc::new(Gatekeeper), Admission::new(hooks));
    platform.driver().install(&capabilities);
    let doctor = server::Doctor::of(&capabilities);
    let own = server::platform_endpoints(doctor).into_mounted();
    let endpoints = capabilities.into_iter().flat_map(|c| c.endpoints.into_mounted()).chain(own).collect();
    Ok(Composed { platform, endpoints, clock: system })
}

/// The engine of this machine, over the files of an installation.
pub(crate) fn engine(
    place: &Installation,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<ProcessEngine>> {
    let mut options = process::Options::new(place.engine_dir(), objects, clock, spawn::own_binary()?);
    options.gateway = Some(gateway::callers_socket(place.gateway_dir()));
    ProcessEngine::open(options)
}

/// Every capability, in the order in which their tables are made.
fn capabilities(vault: Option<SettingVault>, environment: BuildEnvironment) -> Vec<Capability> {
    let access = vault.map(access::capability);
    let others = [
        kernel::housekeeping(),
        catalog::capability(),
        deliver::capability(environment),
        run::capability(),
        route::capability(),
        observe::capability(),
    ];
    access.into_iter().chain(others).collect()
}

/// The tables of every capability. Known before the store is open, which `access` needs to be made.
pub(crate) fn migrations() -> Vec<Migration> {
    let others = capabilities(None, BuildEnvironment::default()).into_iter().flat_map(|c| c.migrations);
    access::migrations().into_iter().chain(others).collect()
}

/// Fills in what the machine has: where programs are, what may be read, what builds are told.
fn use_toolchain(config: &mut Config, mut env: BTreeMap<String, String>) -> BuildEnvironment {
    let found = toolchain::find(&env, &config.build.pass_env, &config.build.path, &config.data);
    config.build.path = found.path;
    config.instance.host_paths.extend(found.programs.iter().cloned());
    config.build.host_paths.extend(found.programs);
    config.build.host_paths.extend(found.build_only);
    config.build.pass_env.extend(found.variables.keys().cloned());
    env.extend(found.variables);
    BuildEnvironment { vars: env }
}

/// Where a program is, by the `PATH` of the environment.
fn program(name: &str, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let path = env.get("PATH")?;
    std::env::split_paths(path).filter(|p| p.is_absolute()).map(|p| p.join(name)).find(|p| p.is_file())
}
