//! Endpoint bodies.

mod board;
mod builds;
mod compare;
mod environments;
mod git;
mod releases;
mod rollouts;
mod runs;
mod sources;
mod view;

use api::deliver::{
    CancelBuild, CancelRollout, CompareEnvironments, GetBoard, GetBuild, GetRelease, GetRollout, GitReceivePack,
    GitRefs, GitUploadPack, ListBuilds, ListEnvironments, ListReleases, ListRollouts, ListRuns, PlanRollout,
    PutEnvironment, StartRollout, UploadSource, WatchBuildLog, WatchDeploy, WatchRollout,
};
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .on::<ListEnvironments, _, _>(environments::list)
        .on::<PutEnvironment, _, _>(environments::put)
        .on_upload::<UploadSource, _, _>(sources::upload)
        .on_events::<WatchDeploy, _, _>(sources::watch)
        .on::<ListBuilds, _, _>(builds::list)
        .on::<GetBuild, _, _>(builds::get)
        .on_events::<WatchBuildLog, _, _>(builds::log)
        .on::<CancelBuild, _, _>(builds::cancel)
        .on::<ListReleases, _, _>(releases::list)
        .on::<GetRelease, _, _>(releases::get)
        .on::<StartRollout, _, _>(rollouts::start)
        .on::<ListRollouts, _, _>(rollouts::list)
        .on::<GetRollout, _, _>(rollouts::get)
        .on_events::<WatchRollout, _, _>(rollouts::watch)
        .on::<CancelRollout, _, _>(rollouts::cancel)
        .on::<GetBoard, _, _>(board::get)
        .on::<PlanRollout, _, _>(rollouts::plan)
        .on::<CompareEnvironments, _, _>(compare::compare)
        .on::<ListRuns, _, _>(runs::list)
        .on_raw::<GitRefs, _, _>(git::refs)
        .on_raw::<GitReceivePack, _, _>(git::receive_pack)
        .on_raw::<GitUploadPack, _, _>(git::upload_pack)
}
