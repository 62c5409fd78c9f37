//! Endpoint bodies.

mod services;
mod status;
mod templates;
mod topology;
mod why;

use api::catalog::*;
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    Endpoints::new()
        .on::<ListServices, _, _>(services::list)
        .on::<CreateService, _, _>(services::create)
        .on::<GetService, _, _>(services::get)
        .on::<ChangeService, _, _>(services::change)
        .on::<RemoveService, _, _>(services::remove)
        .on::<RestoreService, _, _>(services::restore)
        .on::<ListStatus, _, _>(status::list)
        .on::<GetStatus, _, _>(status::get)
        .on::<WhyService, _, _>(why::why)
        .on::<GetTopology, _, _>(topology::get)
        .on::<GetImpact, _, _>(topology::impact)
        .on::<ListTemplates, _, _>(templates::list)
        .on::<RenderTemplate, _, _>(templates::render)
}
