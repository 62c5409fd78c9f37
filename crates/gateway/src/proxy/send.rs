use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};

use super::body::BadEnd;
use super::{Aim, Exchange, Fault, UpBody, find, reach};
use crate::table::{Backend, Busy, Instance, Sender};
use crate::worker::Worker;

/// Connections that were unused for longer are not used for requests that could not be sent again:
/// common servers hang up after 5 s or more of silence, and a request may cross with that.
const FRESH: Duration = Duration::from_secs(1);

/// The way to the instance that an answer came from.
#[derive(Debug)]
pub(crate) struct Link {
    /// Counts the request as under way as long as the link exists.
    busy: Busy,
    sender: Sender,
    worker: Arc<Worker>,
}

impl Link {
    /// The answer has ended: others may use the connection.
    pub(super) fn give_back(self) {
        let Self { busy, sender, worker } = self;
        busy.instance.put(worker.index, sender, worker.core.limits.pool);
    }
}

/// What an attempt came to.
enum Attempt {
    Answer(Response<Incoming>, Link),
    /// Nothing of the request left the gateway: it can go elsewhere.
    Unsent(Request<UpBody>, Fault),
    /// An old connection broke before an answer; the request may be sent again.
    Again(Request<UpBody>, Fault),
    Failed(Fault),
}

/// Sends a request to an instance; to another one, or again, where that is safe (RFC 9110 §9.2.2,
/// RFC 9112 §9.3.1): nothing was sent, or it is idempotent without a body and an old connection
/// broke. The table is looked at anew before each attempt.
pub(super) async fn send(
    exchange: &mut Exchange,
    host: &str,
    aim: Aim,
    mut backend: Arc<Backend>,
    mut request: Request<UpBody>,
) -> Result<(Response<Incoming>, Link), Fault> {
    let worker = Arc::clone(&exchange.client.worker);
    let limits = &worker.core.limits;
    let mut avoid = None;
    let mut reuse = true;
    let mut left = limits.retries;
    loop {
        let Some(instance) = backend.instance(worker.core.now_ms(), avoid).cloned() else {
            return Err(Fault::unreachable());
        };
        exchange.tries(&backend, instance.id);
        let attempt = match instance.begin() {
            Some(busy) => attempt(exchange, &worker, busy, request, reuse).await,
            None => Attempt::Unsent(request, Fault::unreachable()),
        };
        let fault = match attempt {
            Attempt::Answer(response, link) => return Ok((response, link)),
            Attempt::Failed(fault) => return Err(fault),
            Attempt::Unsent(back, fault) => {
                request = back;
                avoid = Some(instance.id);
                fault
            }
            Attempt::Again(back, fault) => {
                request = back;
                reuse = false;
                fault
            }
        };
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => return Err(fault),
        }
        backend = find(exchange, host, aim).map_err(|_| fault)?.1;
    }
}

async fn attempt(
    exchange: &Exchange,
    worker: &Arc<Worker>,
    busy: Busy,
    request: Request<UpBody>,
    reuse: bool,
) -> Attempt {
    let limits = &worker.core.limits;
    let may_repeat = exchange.upload().is_none() && is_idempotent(request.method());
    let max_age = if may_repeat { limits.pool_age } else { FRESH.min(limits.pool_age) };
    let pooled = if reuse { busy.instance.take(worker.index, max_age) } else { None };
    let is_old = pooled.is_some();
    let mut sender = match pooled {
        Some(sender) => sender,
        None => match connect(&busy.instance, limits.connect_timeout).await {
            Some(sender) => sender,
            None => {
                busy.instance.failed(worker.core.now_ms());
                return Attempt::Unsent(request, Fault::unreachable());
            }
        },
    };
    let copy = (is_old && may_repeat).then(|| Copy::of(&request));
    let sent = sender.try_send_request(request);
    let outcome = match exchange.upload() {
        None => timeout(limits.answer_timeout, sent).await.ok(),
        Some(progress) => {
            // The clock runs anew as long as the client still sends.
            let mut sent = std::pin::pin!(sent);
            loop {
                match timeout(limits.answer_timeout, &mut sent).await {
                    Ok(outcome) => break Some(outcome),
                    Err(_) if progress.has_moved() => {}
                    Err(_) => break None,
                }
            }
        }
    };
    let mut error = match outcome {
        Some(Ok(response)) => {
            busy.instance.worked();
            return Attempt::Answer(response, Link { busy, sender, worker: Arc::clone(worker) });
        }
        None => return Attempt::Failed(Fault::too_slow(limits.answer_timeout)),
        Some(Err(error)) => error,
    };
    if let Some(request) = error.take_message() {
        return Attempt::Again(request, Fault::unreachable());
    }
    if let Some(end) = exchange.upload().and_then(|p| p.bad_end()) {
        return Attempt::Failed(match (end, exchange.client.shared.refusal()) {
            (BadEnd::Silent, _) => Fault::upload_timeout(),
            (BadEnd::Broken, Some(refusal)) => Fault::refused(&refusal),
            (BadEnd::Broken, None) => Fault::upload_cut(),
        });
    }
    if let Some(copy) = copy {
        return Attempt::Again(copy.into_request(), Fault::hung_up());
    }
    busy.instance.failed(worker.core.now_ms());
    tracing::debug!(error = %error.error(), instance = %busy.instance.id, "no answer");
    Attempt::Failed(if error.error().is_parse() { Fault::bad_answer() } else { Fault::hung_up() })
}

/// Idempotent methods (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// A request without a body, kept in case it must be sent again.
struct Copy {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Copy {
    fn of(request: &Request<UpBody>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
    }

    fn into_request(self) -> Request<UpBody> {
        let mut request = Request::new(UpBody::empty());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        *request.version_mut() = Version::HTTP_11;
        request
    }
}

/// Opens a connection; its other end lives in a task of this worker.
async fn connect(instance: &Instance, within: Duration) -> Option<Sender> {
    let deadline = Instant::now().checked_add(within)?;
    let stream = tokio::time::timeout_at(deadline, reach::connect(&instance.address)).await.ok()?.ok()?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        http1::Builder::new().max_buf_size(256 << 10).handshake::<_, UpBody>(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::trace!(%error, "connection to an instance ended");
        }
    });
    Some(sender)
}
