use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use parking_lot::Mutex;

use super::body::Progress;
use super::{Body, Fault, line, page, trace};
use crate::callers::Caller;
use crate::gate::Shared;
use crate::table::{Backend, Done, Instance, Route};
use crate::worker::{Peer, Worker};

/// The client went away before the end of its answer.
pub(super) const CLIENT_GONE: &str = "client-gone";

/// The client's side of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Arc<Worker>,
    pub(crate) peer: SocketAddr,
    /// Where it is an instance that calls a service that it needs.
    pub(crate) caller: Option<Arc<Caller>>,
    /// Whether the peer's `Forwarded` and `X-Forwarded-*` are believed.
    pub(crate) is_trusted: bool,
    /// The peer as `X-Forwarded-For` has it.
    pub(crate) address: HeaderValue,
    pub(crate) shared: Arc<Shared>,
    /// The last `Forwarded` value and the host it was made for: most connections have one host.
    pub(crate) forwarded: Mutex<Option<(HeaderValue, HeaderValue)>>,
}

impl Client {
    pub(crate) fn new(worker: Arc<Worker>, peer: Peer, shared: Arc<Shared>) -> Self {
        let Peer { address: peer, caller } = peer;
        let ip = peer.ip().to_canonical();
        Self {
            is_trusted: caller.is_none() && worker.core.trusted.contains(&ip),
            address: HeaderValue::try_from(ip.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            worker,
            peer,
            caller,
            shared,
            forwarded: Mutex::new(None),
        }
    }
}

/// One request and what became of it. When it is dropped it is over: it is logged and counted.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) client: Arc<Client>,
    pub(crate) id: HeaderValue,
    pub(crate) traceparent: HeaderValue,
    pub(crate) is_probe: bool,
    pub(super) started: Instant,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) host: Option<HeaderValue>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) backend: Option<Arc<Backend>>,
    pub(super) instance: Option<Arc<Instance>>,
    pub(super) attempts: u32,
    /// 0 until there is an answer.
    pub(super) status: u16,
    pub(super) head: Duration,
    /// What went wrong, if something did.
    pub(super) code: Option<&'static str>,
    is_fault: bool,
    upload: Option<Arc<Progress>>,
    pub(super) bytes_out: u64,
}

impl Exchange {
    /// Boxed: it goes through many hands until the answer ends.
    pub(crate) fn begin<B>(client: Arc<Client>, request: &Request<B>, is_probe: bool) -> Box<Self> {
        let host = request.headers().get(header::HOST).cloned();
        client.worker.running.fetch_add(1, Ordering::Relaxed);
        client.shared.begin_one();
        let host = host.or_else(|| HeaderValue::from_str(request.uri().authority()?.as_str()).ok());
        Box::new(Self {
            client,
            id: trace::request_id(),
            traceparent: trace::traceparent(request.headers()),
            is_probe,
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host,
            route: None,
            backend: None,
            instance: None,
            attempts: 0,
            status: 0,
            head: Duration::ZERO,
            code: None,
            is_fault: false,
            upload: None,
            bytes_out: 0,
        })
    }

    /// For a request that the gate refused: nothing of it is believed.
    pub(crate) fn begin_refused(client: Arc<Client>, is_head: bool) -> Box<Self> {
        let mut request = Request::new(());
        if is_head {
            *request.method_mut() = Method::HEAD;
        }
        Self::begin(client, &request, false)
    }

    /// The request has a body.
    pub(crate) fn uploads(&mut self, progress: Option<Arc<Progress>>) {
        self.upload = progress;
    }

    pub(crate) fn upload(&self) -> Option<&Arc<Progress>> {
        self.upload.as_ref()
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.upload.as_ref().map_or(0, |p| p.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn routed(&mut self, route: Arc<Route>) {
        self.route = Some(route);
    }

    /// This instance is tried now.
    pub(crate) fn tries(&mut self, backend: &Arc<Backend>, instance: &Arc<Instance>) {
        self.backend = Some(Arc::clone(backend));
        self.instance = Some(Arc::clone(instance));
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.head = self.started.elapsed();
    }

    /// So much of the answer's body went to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out = self.bytes_out.saturating_add(bytes as u64);
    }

    /// Bytes of an upgraded connection.
    pub(crate) fn tunnelled(&mut self, bytes_in: u64, bytes_out: u64) {
        let progress = Progress::default();
        progress.bytes.store(bytes_in, Ordering::Relaxed);
        self.upload = Some(Arc::new(progress));
        self.bytes_out = bytes_out;
    }

    /// The instance did not bring its answer to the end.
    pub(crate) fn cut(&mut self, code: &'static str) {
        self.code = Some(code);
        self.is_fault = true;
    }

    /// The client went away before the end.
    pub(crate) fn left(&mut self) {
        self.code.get_or_insert(CLIENT_GONE);
    }

    /// The gateway's own answer, in the form that the client prefers.
    pub(crate) fn fail(self: Box<Self>, fault: &Fault, headers: &HeaderMap) -> Response<Body> {
        let accept = headers.get(header::ACCEPT).cloned();
        self.fail_as(fault, accept.as_ref())
    }

    pub(crate) fn fail_as(mut self: Box<Self>, fault: &Fault, accept: Option<&HeaderValue>) -> Response<Body> {
        self.answered(fault.status.as_u16());
        self.code = Some(fault.code);
        self.is_fault = fault.is_gateways();
        page::response(self, fault, accept)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.status == 0 {
            // Dropped before there was an answer: the client went away. 499 is nginx's word for it.
            self.status = 499;
            self.code.get_or_insert(CLIENT_GONE);
        }
        let worker = &self.client.worker;
        worker.core.log.append(worker.index, |out| line::write(out, self));
        self.client.shared.finish_one();
        worker.running.fetch_sub(1, Ordering::Relaxed);
        let Some(route) = self.route.as_ref().filter(|_| !self.is_probe && self.status != 499) else { return };
        let counters = self.backend.as_ref().map_or(&route.none, |b| &b.counters);
        let done = Done {
            status: self.status,
            fault: self.is_fault,
            head: self.head,
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out,
        };
        counters.count(worker.index, done);
    }
}
