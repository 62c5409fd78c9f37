//! What is installed in the worlds of these tests: every capability.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use access::{Gatekeeper, MasterKey, SettingVault};
use async_trait::async_trait;
use base::{EnvironmentName, Result, RolloutId, ServiceName};
use deliver::BuildEnvironment;
use facts::ServiceState;
use kernel::{Authority, Capability, Ctx};
use ports::{Random, Vault};
use sim::{Chance, Decided, Installation, VirtualClock};
use store::{Migration, Read, Store, args};

/// Every capability of the platform.
#[derive(Default)]
pub struct Installed {
    /// Instead of the one that knows roles.
    pub authority: Option<Arc<dyn Authority>>,
    /// One more capability, for planted faults.
    pub extra: Option<fn() -> Capability>,
}

fn vault_of(store: &Store, random: &Arc<dyn Random>) -> SettingVault {
    SettingVault::new(store.clone(), MasterKey::of([7; 32]), Arc::clone(random))
}

fn all(store: &Store, random: &Arc<dyn Random>) -> Vec<Capability> {
    vec![
        access::capability(vault_of(store, random)),
        kernel::housekeeping(),
        catalog::capability(),
        deliver::capability(BuildEnvironment::default()),
        run::capability(),
        route::capability(),
        observe::capability(),
    ]
}

/// A capability can only be made with a store, and a store only with the capabilities' tables.
static MIGRATIONS: LazyLock<Vec<Migration>> = LazyLock::new(|| {
    let read = || async {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let random: Arc<dyn Random> = Arc::new(Chance::seeded(1));
        let options = store::Options {
            url: format!("sqlite:{}", dir.path().join("empty.db").display()),
            migrations: Vec::new(),
            audit_key: base::Secret::new(vec![7; 32]),
            clock: Arc::new(VirtualClock::at(base::Time::from_micros(1))),
            random: Arc::clone(&random),
            hook: None,
        };
        let store = Store::open(options).await.expect("an empty store can be opened");
        all(&store, &random).into_iter().flat_map(|capability| capability.migrations).collect()
    };
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(read())
    });
    thread.join().expect("the tables are static texts")
});

#[async_trait]
impl Installation for Installed {
    fn migrations(&self) -> Vec<Migration> {
        MIGRATIONS.clone()
    }

    fn vault(&self, store: &Store, random: &Arc<dyn Random>) -> Arc<dyn Vault> {
        Arc::new(vault_of(store, random))
    }

    fn authority(&self) -> Arc<dyn Authority> {
        self.authority.clone().unwrap_or_else(|| Arc::new(Gatekeeper))
    }

    fn capabilities(&self, store: &Store, random: &Arc<dyn Random>) -> Vec<Capability> {
        all(store, random).into_iter().chain(self.extra.map(|make| make())).collect()
    }

    fn seldom(&self) -> &'static [&'static str] {
        &["deliver.garbage", "catalog.services", "kernel.housekeeping", "kernel.promises", "observe.samples"]
    }

    async fn first_code(&self, ctx: &Ctx) -> Result<String> {
        Ok(access::first_sign_in(ctx).await?.code)
    }

    async fn decided(&self, store: &Store) -> Result<Vec<Decided>> {
        let mut read = store.read().await?;
        let mut all = Vec::new();
        for row in read.rows("SELECT id, rollout, process, state FROM run_instance", args![]).await? {
            all.push(Decided {
                id: row.parse("id")?,
                rollout: Some(row.parse("rollout")?),
                process: row.parse("process")?,
                wanted: row.text("state")? == "wanted",
            });
        }
        for row in read.rows("SELECT task FROM deliver_build WHERE task IS NOT NULL", args![]).await? {
            all.push(Decided { id: row.parse("task")?, rollout: None, process: "build".parse()?, wanted: false });
        }
        Ok(all)
    }

    async fn current(&self, store: &Store) -> Result<Vec<(ServiceName, EnvironmentName, RolloutId)>> {
        const SQL: &str = "SELECT service, environment, rollout FROM deliver_current WHERE stopped = 0";
        let rows = store.read().await?.rows(SQL, args![]).await?;
        rows.iter().map(|row| Ok((row.parse("service")?, row.parse("environment")?, row.parse("rollout")?))).collect()
    }

    async fn removed(&self, store: &Store) -> Result<BTreeSet<ServiceName>> {
        let all = kernel::all_latest::<ServiceState>(&mut store.read().await?).await?;
        Ok(all.into_iter().filter(|(state, _)| state.removed).map(|(state, _)| state.service).collect())
    }
}
