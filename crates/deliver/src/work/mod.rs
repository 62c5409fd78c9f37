//! Reconcilers, jobs and everything that talks to the outside: reads, decides, records, acts.

mod archive;
mod begin;
mod build;
mod build_task;
mod builds;
mod buried;
mod garbage;
mod git;
mod landing;
mod layer;
mod log;
mod look;
mod package;
mod progress;
mod push;
mod release;
mod rollouts;
mod start;
pub(crate) mod steps;
mod stream;
mod submit;
mod takeover;
mod triggers;
mod walk;

/// Shows every entry of an uploaded archive: its path, where it links to, its size and its content.
/// Returns how many there are and their bytes; nothing where the archive is refused.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_walk(
    data: &[u8],
    bytes_max: u64,
    mut visit: impl FnMut(&str, Option<&str>, u64, &mut dyn std::io::Read),
) -> Option<(u64, u64)> {
    let walked = walk::walk(data, bytes_max, |item, content| {
        let (link, size) = match &item.kind {
            walk::ItemKind::File { size, .. } => (None, *size),
            walk::ItemKind::Folder => (None, 0),
            walk::ItemKind::Link(target) | walk::ItemKind::Same(target) => (Some(target.as_str()), 0),
        };
        visit(&item.path, link, size, content);
        Ok(())
    });
    walked.ok()
}
mod watch;
mod watermark;

use std::sync::{Arc, OnceLock};

use base::HostName;
use kernel::Ctx;
use tokio::sync::{RwLock, Semaphore};

pub(crate) use build::BuildJob as Build;
pub(crate) use builds::{cancel_build, not_found as build_not_found, stop_work, submit};
pub(crate) use buried::Buried;
pub(crate) use garbage::Garbage;
pub use garbage::needed_objects;
pub(crate) use git::{Service as GitService, advertise, receive, upload_pack};
pub(crate) use landing::Land;
pub(crate) use log::follow as follow_log;
pub(crate) use progress::{Follow, Position, not_found as deploy_not_found};
pub(crate) use rollouts::Rollouts;
pub(crate) use start::{cancel_rollout, plan, prepare, require_environment, running};
pub(crate) use submit::upload;
pub(crate) use takeover::Resume;
pub(crate) use watch::watch as watch_rollout;
pub(crate) use watermark::DiskWatermark;

use crate::BuildEnvironment;
use crate::decide::{Limits, Site};

/// What the parts of this capability share in one process.
pub(crate) struct Shared {
    pub environment: BuildEnvironment,
    /// Builds at once; made when the configuration is first seen.
    slots: OnceLock<Semaphore>,
    /// Held to write while blobs are removed, to read while they are written: a blob that is about
    /// to be used again is never removed under its user's hands.
    pub blobs: RwLock<()>,
}

impl Shared {
    pub(crate) fn new(environment: BuildEnvironment) -> Arc<Self> {
        Arc::new(Self { environment, slots: OnceLock::new(), blobs: RwLock::new(()) })
    }

    /// The places for builds.
    pub(crate) fn slots(&self, at_once: u32) -> &Semaphore {
        self.slots.get_or_init(|| Semaphore::new(usize::try_from(at_once.max(1)).unwrap_or(1)))
    }
}

/// How long the states of a rollout may last.
pub(crate) fn limits(ctx: &Ctx) -> Limits {
    let config = &ctx.platform().config().rollout;
    Limits {
        start: config.start_deadline.0,
        release: config.release_deadline.0,
        shift: config.shift_deadline.0,
        verify: config.verify.0,
        drain: config.drain_deadline.0,
        worker_ready: config.worker_ready.0,
    }
}

/// Where services answer.
pub(crate) fn site(ctx: &Ctx) -> Site {
    let config = ctx.platform().config();
    Site { domain: config.domain.clone(), port: config.gateway.public_port() }
}

/// The address of a service in an environment.
pub(crate) fn url(ctx: &Ctx, place: &crate::model::Place) -> String {
    let site = site(ctx);
    site.url_of(&HostName::of_service(&place.service, &place.environment, &site.domain))
}
