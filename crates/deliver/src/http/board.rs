use api::Page;
use api::deliver::{BoardEntry, GetBoard};
use base::Result;
use kernel::{Answer, Call, Ctx};

use crate::decide::{Standing, differs};
use crate::model::{Place, Release, Rollout, Running};
use crate::{state, work};

/// What each environment runs, and what differs from the one before it.
pub(crate) async fn get(ctx: Ctx, call: Call<GetBoard>) -> Result<Answer<Page<BoardEntry>>> {
    let mut read = ctx.read().await?;
    let mut items = Vec::new();
    let mut before: Option<(base::EnvironmentName, Option<Standing>)> = None;
    for environment in state::environments(&mut read).await? {
        let place = Place { service: call.path.service.clone(), environment: environment.clone() };
        let running = work::running(&mut read, &place).await?;
        let standing = running.as_ref().map(|running| standing(&running.release, &running.rollout));
        let differs = match &before {
            Some((name, before)) => differs(standing.as_ref(), before.as_ref(), name),
            None => Vec::new(),
        };
        let open = state::active_in(&mut read, &place).await?.last().map(|rollout| rollout.id);
        items.push(entry(place, running, differs, open));
        before = Some((environment, standing));
    }
    Ok(Page::whole(items).into())
}

fn standing(release: &Release, rollout: &Rollout) -> Standing {
    let settings = rollout
        .settings
        .iter()
        .map(|setting| (setting.name.to_string(), (setting.version, setting.environment.is_some())))
        .collect();
    Standing { number: release.number, commit: release.commit.clone(), settings }
}

fn entry(place: Place, running: Option<Running>, differs: Vec<String>, rollout: Option<base::RolloutId>) -> BoardEntry {
    let empty = BoardEntry {
        environment: place.environment,
        release: None,
        artifact: None,
        commit: None,
        message: None,
        since: None,
        differs,
        rollout,
    };
    match running {
        None => empty,
        Some(Running { release, since, .. }) => BoardEntry {
            release: Some(release.number),
            artifact: Some(release.artifact),
            commit: release.commit,
            message: Some(release.message).filter(|message| !message.is_empty()),
            since: Some(since),
            ..empty
        },
    }
}
