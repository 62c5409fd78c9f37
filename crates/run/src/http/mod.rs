//! Endpoint bodies.

mod instances;
mod logs;
mod scale;

use api::run::{ListInstances, Scale, SearchLogs, WatchLogs};
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .on::<ListInstances, _, _>(instances::list)
        .on_events::<WatchLogs, _, _>(logs::watch)
        .on::<SearchLogs, _, _>(logs::search)
        .on::<Scale, _, _>(scale::scale)
}
