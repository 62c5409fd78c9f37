//! Endpoint bodies.

mod board;
mod services;
mod status;
mod templates;
mod topology;
mod why;

use std::sync::Arc;

use api::catalog::*;
use kernel::Endpoints;

/// A handler that reads the board.
macro_rules! with {
    ($board:ident, $handler:path) => {{
        let board = Arc::clone(&$board);
        move |ctx, call| {
            let board = Arc::clone(&board);
            async move { $handler(&board, ctx, call).await }
        }
    }};
}

pub(crate) fn endpoints() -> Endpoints {
    let board = Arc::new(board::Board::default());
    Endpoints::new()
        .on::<ListServices, _, _>(services::list)
        .on::<CreateService, _, _>(services::create)
        .on::<GetService, _, _>(services::get)
        .on::<ChangeService, _, _>(services::change)
        .on::<RemoveService, _, _>(services::remove)
        .on::<RestoreService, _, _>(services::restore)
        .on::<ListStatus, _, _>(with!(board, status::list))
        .on::<CountStatus, _, _>(with!(board, status::count))
        .on::<GetStatus, _, _>(status::get)
        .on::<WhyService, _, _>(why::why)
        .on::<GetTopology, _, _>(with!(board, topology::get))
        .on::<GetImpact, _, _>(with!(board, topology::impact))
        .on::<ListTemplates, _, _>(templates::list)
        .on::<RenderTemplate, _, _>(templates::render)
}
