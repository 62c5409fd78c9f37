//! The pages. Each is a file here with its handlers, a template of the same name in `templates/`, and a
//! line below. A handler reads through [`Visit::api`](crate::visit::Visit), makes a plain value, and renders it.

mod actions;
mod audit;
pub(crate) mod build;
mod compare;
mod environments;
pub(crate) mod help;
mod home;
mod logs;
mod metrics;
mod palette;
mod people;
mod platform;
pub(crate) mod rollout;
mod runs;
#[cfg(test)]
pub(crate) mod samples;
mod service;
mod services;
mod settings;
mod sign_in;
mod start;
mod style;
mod teams;
mod telling;
mod theme;
mod tokens;
mod topology;
mod why;

use axum::Router;
use axum::response::Response;

use crate::fault::Fault;
use crate::site::Site;

/// What a handler comes to.
pub(crate) type Outcome = Result<Response, Fault>;

/// Every page.
pub(crate) fn routes() -> Router<Site> {
    Router::new()
        .merge(build::routes())
        .merge(compare::routes())
        .merge(environments::routes())
        .merge(help::routes())
        .merge(home::routes())
        .merge(metrics::routes())
        .merge(palette::routes())
        .merge(platform::routes())
        .merge(rollout::routes())
        .merge(runs::routes())
        .merge(actions::routes())
        .merge(audit::routes())
        .merge(logs::routes())
        .merge(people::routes())
        .merge(service::routes())
        .merge(services::routes())
        .merge(settings::routes())
        .merge(sign_in::routes())
        .merge(start::routes())
        .merge(style::routes())
        .merge(teams::routes())
        .merge(theme::routes())
        .merge(topology::routes())
        .merge(why::routes())
        .merge(tokens::routes())
}

/// The head of every page of one service.
pub(crate) use service::Head;
