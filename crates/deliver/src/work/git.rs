//! git's smart HTTP protocol (gitprotocol-http) through [`ports::Sources`].

use base::limits::SOURCE_BYTES_MAX;
use base::{Problem, Result, ServiceName};
use kernel::{Ctx, Target};
use ports::{ByteStream, ReceiveLimits};

use super::push::Push;
use super::stream::{bytes_stream, gunzip};

/// Commands and push options come before the pack.
const COMMANDS_BYTES_MAX: u64 = 4 << 20;
/// Largest request of a fetch: wants and haves.
const FETCH_BYTES_MAX: u64 = 32 << 20;

/// Which of the two services of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    ReceivePack,
    UploadPack,
}

impl Service {
    /// Reads the name.
    ///
    /// # Errors
    /// `dumb-git` for clients that do not speak the smart protocol.
    pub(crate) fn of(name: &str) -> Result<Self> {
        match name {
            "git-receive-pack" => Ok(Self::ReceivePack),
            "git-upload-pack" => Ok(Self::UploadPack),
            _ => Err(Problem::forbidden("dumb-git", "only git's smart HTTP protocol is spoken here")
                .hint("use git 1.6.6 or newer")),
        }
    }

    /// The name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ReceivePack => "git-receive-pack",
            Self::UploadPack => "git-upload-pack",
        }
    }
}

/// The refs of a repository.
pub(crate) async fn advertise(
    ctx: &Ctx,
    service: &ServiceName,
    which: Service,
    protocol: Option<&str>,
) -> Result<ByteStream> {
    let sources = &ctx.platform().ports().sources;
    match which {
        Service::ReceivePack => Ok(bytes_stream(sources.advertise_receive(service).await?)),
        Service::UploadPack if matches!(ctx.permit().target(), Target::NoService(_)) => {
            Err(Problem::not_found("service-not-found", format!("there is no service `{service}`"))
                .hint("push to it once, or make it: `orlop service create`"))
        }
        Service::UploadPack => sources.upload_pack(service, None, protocol).await,
    }
}

/// Receives a push and deploys what it brought.
pub(crate) async fn receive(ctx: &Ctx, service: &ServiceName, body: ByteStream, gzip: bool) -> Result<ByteStream> {
    let body = if gzip { gunzip(body, SOURCE_BYTES_MAX.saturating_add(COMMANDS_BYTES_MAX)) } else { body };
    let policy = Box::new(Push::new(ctx, service));
    ctx.platform().ports().sources.receive(service, body, ReceiveLimits::default(), policy).await
}

/// One round of a fetch.
pub(crate) async fn upload_pack(
    ctx: &Ctx,
    service: &ServiceName,
    body: ByteStream,
    gzip: bool,
    protocol: Option<&str>,
) -> Result<ByteStream> {
    let body = if gzip { gunzip(body, FETCH_BYTES_MAX) } else { body };
    ctx.platform().ports().sources.upload_pack(service, Some(body), protocol).await
}
