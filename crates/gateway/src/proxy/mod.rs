//! One request's way: route, backend, instance, answer.

mod body;
mod exchange;
mod forward;
mod line;
mod page;
mod reach;
mod send;
mod strict;
mod trace;
mod tunnel;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::RolloutId;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;

pub(crate) use body::{Body, UpBody};
pub(crate) use exchange::{Client, Exchange};
pub(crate) use page::Fault;

use crate::gate::{REFUSED_METHOD, Shared, Upgrade};
use crate::host::Authority;
use crate::table::Backend;

/// Which backend a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// By weight.
    Any,
    /// A probe of one rollout.
    Rollout(RolloutId),
}

/// Answers a request of a client connection.
pub(crate) async fn answer(client: Arc<Client>, mut request: Request<Incoming>) -> Response<Body> {
    let is_http1 = request.version() <= Version::HTTP_11;
    if request.method().as_str() == REFUSED_METHOD && is_http1 {
        return refused(client, request.uri().path() == "/head");
    }
    let mut exchange = Exchange::begin(client, &request, false);
    if !is_http1 && let Err(refusal) = strict::check(&request, &exchange.client.worker.core.limits) {
        return exchange.fail(&Fault::refused(&refusal), request.headers());
    }
    if exchange.client.worker.running.load(Ordering::Relaxed) > exchange.client.worker.core.limits.requests {
        return exchange.fail(&Fault::busy(), request.headers());
    }
    let asked = forward::asks_upgrade(&request);
    let switch = Switch {
        waiting: asked.then(|| Arc::clone(&exchange.client.shared)),
        on_client: forward::upgrade_of(&request).map(|_| hyper::upgrade::on(&mut request)),
    };
    let limits = exchange.client.worker.core.limits;
    let request = request.map(|body| UpBody::new(body, limits.body_timeout, limits.slow_bytes));
    exchange.uploads(request.body().progress());
    let core = Arc::clone(&exchange.client.worker.core);
    let mut response = carry(exchange, request, switch, Aim::Any).await;
    let is_last = is_http1 && core.is_ending.load(Ordering::Relaxed);
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The page for what the gate refused. Its request was never read by anything but the gate.
fn refused(client: Arc<Client>, is_head: bool) -> Response<Body> {
    let refusal = client.shared.refusal();
    let exchange = Exchange::begin_refused(client, is_head);
    let fault = refusal.map_or_else(Fault::lost_refusal, |r| Fault::refused(&r));
    let mut response = exchange.fail(&fault, &http::HeaderMap::new());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Takes a checked request to an instance and brings its answer.
pub(crate) async fn carry(
    mut exchange: Box<Exchange>,
    mut request: Request<UpBody>,
    mut switch: Switch,
    aim: Aim,
) -> Response<Body> {
    let Some(place) = authority(&request) else {
        return exchange.fail(&Fault::bad_host(), request.headers());
    };
    if let Some(caller) = exchange.client.caller.as_ref().filter(|caller| !caller.may_ask(place.host())) {
        let fault = Fault::not_declared(place.host(), &caller.told.service, &caller.told.environment);
        return exchange.fail(&fault, request.headers());
    }
    let upgrade = if switch.on_client.is_some() { forward::upgrade_of(&request) } else { None };
    let backend = match find(&mut exchange, place.host(), aim) {
        Ok(found) => found,
        Err(fault) => return exchange.fail(&fault, request.headers()),
    };
    let wanted = request.headers().get(header::ACCEPT).cloned();
    forward::prepare(&mut request, &exchange, upgrade);
    let sent = send::send(&mut exchange, place.host(), aim, backend, &mut request).await;
    let (mut response, link) = match sent {
        Ok(answer) => answer,
        Err(fault) => return exchange.fail_as(&fault, wanted.as_ref()),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(on_client) = switch.on_client.take() else {
            return exchange.fail_as(&Fault::bad_answer(), wanted.as_ref());
        };
        let protocol = response.headers().get(header::UPGRADE).cloned();
        forward::finish_answer(&mut response, &exchange);
        switch.accept();
        return tunnel::start(exchange, response, link, on_client, protocol);
    }
    drop(switch);
    forward::finish_answer(&mut response, &exchange);
    exchange.answered(response.status().as_u16());
    response.map(|incoming| Body::stream(incoming, link, exchange))
}

/// The one host of a checked request.
fn authority<B>(request: &Request<B>) -> Option<Authority> {
    match request.uri().authority() {
        Some(authority) => Authority::read(authority.as_str().as_bytes()),
        None => Authority::read(request.headers().get(header::HOST)?.as_bytes()),
    }
}

/// Looks up where a request goes now and notes it.
fn find(exchange: &mut Exchange, host: &str, aim: Aim) -> Result<Arc<Backend>, Fault> {
    let Some(route) = exchange.client.worker.core.table.load().route(host) else {
        return Err(Fault::unknown_host(host));
    };
    let backend = match aim {
        Aim::Any => route.backend(),
        Aim::Rollout(rollout) => route.backend_of(rollout),
    };
    let backend = backend.filter(|b| !b.instances.is_empty()).cloned();
    let backend = backend.ok_or_else(|| Fault::nothing_runs(&route.service, &route.environment));
    exchange.routed(route);
    backend
}

/// A request to upgrade, if it is one. The gate holds back what follows it; whatever happens, it
/// must be told what became of it.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    waiting: Option<Arc<Shared>>,
    /// The client's side, where the upgrade is one that can be carried.
    on_client: Option<hyper::upgrade::OnUpgrade>,
}

impl Switch {
    fn accept(mut self) {
        if let Some(shared) = self.waiting.take() {
            shared.decide(Upgrade::Accepted);
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(shared) = self.waiting.take() {
            shared.decide(Upgrade::Declined);
        }
    }
}
