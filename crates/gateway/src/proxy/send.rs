use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use tokio::time::Instant;

use super::body::{BadEnd, Progress};
use super::{Aim, Exchange, Fault, UpBody, find, reach};
use crate::table::{Backend, Busy, Instance};
use crate::upstream::{Conn, Lost, Patience, Reply};
use crate::worker::Worker;

/// Connections that were unused for longer are not used for requests that could not be sent again:
/// common servers hang up after 5 s or more of silence, and a request may cross with that.
const FRESH: Duration = Duration::from_secs(1);

/// The way to the instance that an answer came from.
#[derive(Debug)]
pub(crate) struct Link {
    /// Counts the request as under way as long as the link exists.
    busy: Busy,
    worker: Arc<Worker>,
}

impl Link {
    /// The answer has ended: others may use the connection.
    pub(super) fn give_back(self, conn: Box<Conn>) {
        let Self { busy, worker } = self;
        busy.instance.put(worker.index, conn, worker.core.limits.pool);
    }
}

/// What an attempt came to.
enum Attempt {
    Answer(Response<Reply>, Link),
    /// Nothing of the request left the gateway: it can go elsewhere.
    Unsent(Fault),
    /// An old connection broke before an answer; the request may be sent again.
    Again(Fault),
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
    request: &mut Request<UpBody>,
) -> Result<(Response<Reply>, Link), Fault> {
    let worker = Arc::clone(&exchange.client.worker);
    let limits = &worker.core.limits;
    let mut avoid = None;
    let mut reuse = true;
    let mut left = limits.retries;
    loop {
        let Some(instance) = backend.instance(|| worker.core.now_ms(), avoid).cloned() else {
            return Err(Fault::unreachable());
        };
        exchange.tries(&backend, &instance);
        let attempt = match instance.begin() {
            Some(busy) => attempt(exchange, &worker, busy, request, reuse).await,
            None => Attempt::Unsent(Fault::unreachable()),
        };
        let fault = match attempt {
            Attempt::Answer(response, link) => return Ok((response, link)),
            Attempt::Failed(fault) => return Err(fault),
            Attempt::Unsent(fault) => {
                avoid = Some(instance.id);
                fault
            }
            Attempt::Again(fault) => {
                reuse = false;
                fault
            }
        };
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => return Err(fault),
        }
        backend = find(exchange, host, aim).map_err(|_| fault)?;
    }
}

async fn attempt(
    exchange: &Exchange,
    worker: &Arc<Worker>,
    busy: Busy,
    request: &mut Request<UpBody>,
    reuse: bool,
) -> Attempt {
    let limits = &worker.core.limits;
    let may_repeat = exchange.upload().is_none() && is_idempotent(request.method());
    let max_age = if may_repeat { limits.pool_age } else { FRESH.min(limits.pool_age) };
    let pooled = if reuse { busy.instance.take(worker.index, max_age) } else { None };
    let is_old = pooled.is_some();
    let conn = match pooled {
        Some(conn) => conn,
        None => match connect(&busy.instance, limits.connect_timeout).await {
            Some(conn) => conn,
            None => {
                busy.instance.failed(worker.core.now_ms());
                return Attempt::Unsent(Fault::unreachable());
            }
        },
    };
    let upload = exchange.upload().map(Arc::clone);
    let has_moved = || upload.as_deref().is_some_and(Progress::has_moved);
    let patience = Patience { span: limits.answer_timeout, has_moved: &has_moved };
    let lost = match conn.send(request, patience).await {
        Ok(response) => {
            busy.instance.worked();
            return Attempt::Answer(response, Link { busy, worker: Arc::clone(worker) });
        }
        Err(Lost::TooSlow) => return Attempt::Failed(Fault::too_slow(limits.answer_timeout)),
        Err(Lost::Unsent) => return Attempt::Again(Fault::unreachable()),
        Err(lost) => lost,
    };
    if let Some(end) = upload.as_ref().and_then(|p| p.bad_end()) {
        return Attempt::Failed(match (end, exchange.client.shared.refusal()) {
            (BadEnd::Silent, _) => Fault::upload_timeout(),
            (BadEnd::Broken, Some(refusal)) => Fault::refused(&refusal),
            (BadEnd::Broken, None) => Fault::upload_cut(),
        });
    }
    if is_old && may_repeat && matches!(lost, Lost::HungUp) {
        return Attempt::Again(Fault::hung_up());
    }
    busy.instance.failed(worker.core.now_ms());
    let Lost::Invalid(why) = lost else { return Attempt::Failed(Fault::hung_up()) };
    tracing::debug!(why, instance = %busy.instance.id, "not a valid answer");
    Attempt::Failed(Fault::bad_answer())
}

/// Idempotent methods (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE].contains(method)
}

/// Opens a connection.
async fn connect(instance: &Instance, within: Duration) -> Option<Box<Conn>> {
    let deadline = Instant::now().checked_add(within)?;
    let stream = tokio::time::timeout_at(deadline, reach::connect(&instance.address)).await.ok()?.ok()?;
    let _ = stream.set_nodelay(true);
    Some(Box::new(Conn::new(stream)))
}
