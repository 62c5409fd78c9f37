//! The pages. Each is a file here with its handlers, a template of the same name in `templates/`, and a
//! line below. A handler reads through [`Visit::api`](crate::visit::Visit), makes a plain value, and renders it.

mod home;
mod services;
mod sign_in;
mod style;
mod theme;

use axum::Router;
use axum::response::Response;

use crate::fault::Fault;
use crate::site::Site;

/// What a handler comes to.
pub(crate) type Outcome = Result<Response, Fault>;

/// Every page.
pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .merge(home::routes())
        .merge(services::routes())
        .merge(sign_in::routes())
        .merge(style::routes())
        .merge(theme::routes())
}
