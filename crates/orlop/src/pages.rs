//! Joins the portal to the API that it is a client of.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, Response};
use kernel::{Credential, Platform};
use portal::{Options, Session, Transport};
use server::Router;
use tower::ServiceExt as _;

/// The API's router in this process.
struct InProcess(Router);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, session: Option<Session>, mut request: Request<Body>) -> Response<Body> {
        if let Some(Session { secret, attended }) = session {
            request.extensions_mut().insert(Credential::Session { secret, attended });
        }
        // A router takes every request, and no error can come of it.
        match self.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// The portal, and behind its pages the API.
pub(crate) fn over(platform: &Platform, api: Router) -> Router {
    let (clock, random) = (Arc::clone(&platform.ports().clock), Arc::clone(&platform.ports().random));
    portal::router(Options {
        transport: Arc::new(InProcess(api)),
        now: Arc::new(move || clock.now()),
        random: Arc::new(move |bytes| random.fill(bytes)),
        hosts: platform.config().hosts.iter().map(ToString::to_string).collect(),
    })
}
