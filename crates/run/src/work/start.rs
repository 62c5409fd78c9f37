use std::collections::BTreeMap;

use base::{InstanceId, Problem, Result, Secret, SettingName};
use facts::InstanceSet;
use kernel::{Config, Ctx};

use super::instances::View;
use crate::decide::{Launch, Site, spec};
use crate::model::Key;

/// Starts an instance that was decided upon. Harmless when it runs already.
pub(crate) async fn start(ctx: &Ctx, view: &View, key: &Key, id: InstanceId) -> Result<()> {
    let Some((set, process, generation)) = view.wanted(key) else {
        return Err(Problem::internal("no-wish", format!("nobody wants instance {id} any more")));
    };
    let settings = open(ctx, set).await?;
    let site = site(ctx.platform().config());
    let spec = spec(&Launch { id, key, set, process, settings: &settings, site: &site })?;
    ctx.platform().ports().engine.ensure(&spec, generation).await?;
    Ok(())
}

/// The values of the set's settings, at the versions that were decided when its rollout began.
async fn open(ctx: &Ctx, set: &InstanceSet) -> Result<BTreeMap<SettingName, Secret<String>>> {
    let vault = &ctx.platform().ports().vault;
    let mut values = BTreeMap::new();
    for setting in &set.settings {
        values.insert(setting.name.clone(), vault.open(setting).await?);
    }
    Ok(values)
}

fn site(config: &Config) -> Site {
    Site {
        path: config.build.path.clone(),
        host_paths: config.instance.host_paths.clone(),
        disk: config.instance.disk,
        tasks: config.instance.tasks,
        release_deadline: config.rollout.release_deadline.0,
    }
}
