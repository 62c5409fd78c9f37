//! A push from its first byte to the reply. The body is read here; then a task of its own carries
//! the push out, so that it ends as it should even if the client goes away.

use std::sync::Arc;
use std::time::Duration;

use base::{Kind, Problem, Result, ServiceName};
use futures_util::StreamExt as _;
use ports::{ByteStream, ReceiveLimits, ReceivePolicy};
use tokio::sync::OwnedSemaphorePermit;

use crate::Shared;
use crate::body::Body;
use crate::commands::{self, Request};
use crate::intake::{self, Spooled};
use crate::land::{self, Push};
use crate::layout::Repository;
use crate::reply::{Reply, Report, reply};

/// Longest time a client is kept waiting for what follows a push. The work goes on after it.
const SHOWN_MAX: Duration = Duration::from_secs(1800);

pub(crate) async fn receive(
    shared: Arc<Shared>,
    service: ServiceName,
    body: ByteStream,
    limits: ReceiveLimits,
    policy: Box<dyn ReceivePolicy>,
) -> Result<ByteStream> {
    let turn = shared.gates.receive().await?;
    let mut body = Body::new(body);
    let Some(request) = commands::read(&mut body, &limits).await? else {
        return Ok(futures_util::stream::empty().boxed());
    };
    let repository = shared.layout.repository(&service);
    let place = repository.clone();
    let lock = shared.locks.of(&service).lock_owned().await;
    shared.gates.blocking(move || place.ensure()).await?;
    drop(lock);
    let pack = if request.has_pack() {
        let pack = intake::spool(&shared, &repository, &mut body, limits).await;
        if pack.is_err() {
            body.drain(limits.pack_bytes_max).await;
        }
        pack.map(Some)
    } else {
        Ok(None)
    };
    let (reply, stream) = reply(&request);
    let push = Push { shared, service, repository, limits, policy };
    tokio::spawn(carry_out(push, request, pack, reply, turn));
    Ok(stream)
}

async fn carry_out(
    push: Push,
    mut request: Request,
    pack: Result<Option<Spooled>>,
    reply: Reply,
    turn: OwnedSemaphorePermit,
) {
    let outcome = reply.alive_while(land::land(&push, &mut request, pack)).await;
    drop(turn);
    let moved = match outcome {
        Ok((moved, notes)) => {
            for note in notes.iter().filter(|_| !moved.is_empty()) {
                let _ = reply.show(&format!("note: {note}")).await;
            }
            let _ = reply.report(&report(Ok(()), &request)).await;
            moved
        }
        Err(problem) => {
            let problem = told(&push.service, problem);
            refuse_all(&mut request, &problem);
            let _ = show(&reply, &problem).await;
            let _ = reply.report(&report(Err(problem.message), &request)).await;
            Vec::new()
        }
    };
    if moved.is_empty() {
        let _ = reply.end().await;
        return;
    }
    tokio::spawn(tidy(Arc::clone(&push.shared), push.repository.clone()));
    let voice = reply.voice();
    let mut landed = push.policy.landed(&moved, &voice);
    if tokio::time::timeout(SHOWN_MAX, reply.alive_while(&mut landed)).await.is_ok() {
        let _ = reply.end().await;
        return;
    }
    let _ = reply.show("this takes long and goes on without you; `orlop status` shows it").await;
    let _ = reply.end().await;
    drop(reply);
    landed.await;
}

/// Keeps the packs few; nobody waits for it.
async fn tidy(shared: Arc<Shared>, repository: Repository) {
    let own = Arc::clone(&shared);
    if let Err(problem) = shared.gates.blocking(move || own.tidy.run(&repository)).await {
        tracing::warn!(%problem, "packs could not be merged");
    }
}

/// The problem as the person may see it: faults of the server go to its log.
fn told(service: &ServiceName, problem: Problem) -> Problem {
    if problem.kind != Kind::Internal {
        tracing::info!(%service, code = %problem.code, %problem, "a push is refused");
        return problem;
    }
    tracing::error!(%service, %problem, "a push failed");
    Problem::internal("git-failed", "the server could not keep the push; nothing has changed")
        .hint("push again; if it fails again, the server's log tells why")
}

/// The problem with its advice, for the person.
async fn show(reply: &Reply, problem: &Problem) -> Result<()> {
    reply.show(&format!("error: {}", problem.message)).await?;
    match &problem.hint {
        Some(hint) => reply.show(&format!(" hint: {hint}")).await,
        None => Ok(()),
    }
}

fn refuse_all(request: &mut Request, problem: &Problem) {
    let why = if problem.code == "bad-pack" || problem.code == "push-too-large" || problem.code == "repository-full" {
        "unpacker error"
    } else {
        "the push failed"
    };
    for command in &mut request.commands {
        command.refused.get_or_insert_with(|| why.to_owned());
    }
}

fn report(unpack: std::result::Result<(), String>, request: &Request) -> Report<'_> {
    let refs = request.commands.iter().map(|c| (c.name.as_str(), c.refused.as_deref())).collect();
    Report { unpack, refs }
}
