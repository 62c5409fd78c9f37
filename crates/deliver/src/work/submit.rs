//! An uploaded source.

use api::deliver::UploadQuery;
use base::{Problem, Result, ServiceName, SourceId};
use facts::ServiceState;
use kernel::{Ctx, Wish};
use ports::ByteStream;

use super::archive::{Packed, store};
use crate::model::{Submission, one_line};
use crate::state;

/// Longest line kept of a message.
const MESSAGE_CHARS_MAX: usize = 200;
/// Longest name kept of a commit.
const COMMIT_CHARS_MAX: usize = 64;

/// Stores an upload after checking it. What it becomes is recorded by [`super::submit`].
pub(crate) async fn upload(
    ctx: &Ctx,
    service: ServiceName,
    query: UploadQuery,
    body: ByteStream,
) -> Result<Submission> {
    let began = ctx.now();
    let mut read = ctx.read().await?;
    require_service(&mut read, &service).await?;
    let known = state::environments(&mut read).await?;
    drop(read);
    let environment = match query.environment {
        Some(wanted) => super::require_environment(&known, &wanted)?,
        None => first(&known)?,
    };
    admit(ctx, &service).await?;
    let source = ctx.new_id(SourceId::new);
    let bytes = store(ctx, source, body, Packed::Gzip).await?;
    Ok(Submission {
        source,
        service,
        environment,
        commit: query.commit.map(|commit| one_line(&commit, COMMIT_CHARS_MAX)).filter(|commit| !commit.is_empty()),
        message: one_line(&query.message.unwrap_or_default(), MESSAGE_CHARS_MAX),
        author: String::new(),
        bytes,
        began,
        actor: ctx.actor().clone(),
    })
}

/// The environment where a deploy goes when none is named.
pub(super) fn first(known: &[base::EnvironmentName]) -> Result<base::EnvironmentName> {
    known.first().cloned().ok_or_else(|| {
        Problem::conflict("no-environment", "there is no environment").hint("add one: `orlop env add dev`")
    })
}

/// Asks whether a new source is welcome.
pub(super) async fn admit(ctx: &Ctx, service: &ServiceName) -> Result<()> {
    let wish = Wish { kind: "deliver.source", subject: service.to_string(), body: serde_json::Value::Null };
    ctx.platform().admission().admit(ctx, &wish).await
}

/// The service, if it is there.
pub(super) async fn require_service(read: &mut impl store::Read, service: &ServiceName) -> Result<ServiceState> {
    let known: Option<ServiceState> = kernel::latest(read, service.as_str()).await?;
    match known {
        Some(state) if !state.removed => Ok(state),
        Some(_) => Err(Problem::conflict("service-removed", format!("the service `{service}` was removed"))
            .hint(format!("bring it back: `orlop service restore {service}`"))),
        None => Err(Problem::not_found("service-not-found", format!("there is no service `{service}`"))
            .hint(format!("make it: `orlop service create {service} --team TEAM`"))),
    }
}
