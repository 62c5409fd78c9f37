//! Endpoint bodies.

mod services;
mod status;
mod templates;
mod topology;
mod why;

use api::catalog::*;
use kernel::Endpoints;

pub(crate) fn endpoints() -> Endpoints {
    let board = std::sync::Arc::new(status::Board::default());
    let (listed, counted) = (std::sync::Arc::clone(&board), board);
    Endpoints::new()
        .on::<ListServices, _, _>(services::list)
        .on::<CreateService, _, _>(services::create)
        .on::<GetService, _, _>(services::get)
        .on::<ChangeService, _, _>(services::change)
        .on::<RemoveService, _, _>(services::remove)
        .on::<RestoreService, _, _>(services::restore)
        .on::<ListStatus, _, _>(move |ctx, call| {
            let board = std::sync::Arc::clone(&listed);
            async move { status::list(&board, ctx, call).await }
        })
        .on::<CountStatus, _, _>(move |ctx, _| {
            let board = std::sync::Arc::clone(&counted);
            async move { status::count(&board, ctx).await }
        })
        .on::<GetStatus, _, _>(status::get)
        .on::<WhyService, _, _>(why::why)
        .on::<GetTopology, _, _>(topology::get)
        .on::<GetImpact, _, _>(topology::impact)
        .on::<ListTemplates, _, _>(templates::list)
        .on::<RenderTemplate, _, _>(templates::render)
}
