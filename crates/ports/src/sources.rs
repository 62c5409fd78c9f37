use async_trait::async_trait;
use base::{Result, ServiceName};

use crate::ByteStream;

/// Keeps the git repositories of services and speaks git's smart HTTP protocol for them.
#[async_trait]
pub trait Sources: Send + Sync {
    /// The body of `GET …/info/refs?service=git-receive-pack` (gitprotocol-http, smart reply),
    /// for a repository that may not exist yet.
    async fn advertise_receive(&self, service: &ServiceName) -> Result<Vec<u8>>;

    /// Handles the body of `POST …/git-receive-pack`: parses the commands, receives the pack into
    /// quarantine, checks it, asks `policy` about each update, moves the refs that were accepted,
    /// and reports. The reply is streamed so that `policy` can show progress on the side band.
    async fn receive(
        &self,
        service: &ServiceName,
        body: ByteStream,
        limits: ReceiveLimits,
        policy: Box<dyn ReceivePolicy>,
    ) -> Result<ByteStream>;

    /// The reply to `git-upload-pack` for clone and fetch: the advertisement (`body` is `None`) or
    /// one stateless round. `git-missing` where the host has no git.
    async fn upload_pack(
        &self,
        service: &ServiceName,
        body: Option<ByteStream>,
        protocol: Option<&str>,
    ) -> Result<ByteStream>;

    /// The commit that a ref points to, hex; `None` where there is no such ref.
    async fn head(&self, service: &ServiceName, reference: &str) -> Result<Option<String>>;

    /// The tree of a commit (40 or 64 hex digits) as an uncompressed tar stream: regular files,
    /// executables, and links that stay inside; deterministic order, times and owners.
    async fn export(&self, service: &ServiceName, commit: &str) -> Result<ByteStream>;

    /// Removes the repository of a service that is gone for good.
    async fn remove(&self, service: &ServiceName) -> Result<()>;
}

/// Bounds for one push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// Largest pack, bytes.
    pub pack_bytes_max: u64,
    /// Most objects in a pack.
    pub objects_max: u32,
    /// Largest single object when unpacked, bytes.
    pub object_bytes_max: u64,
    /// Largest repository on disk after the push, bytes.
    pub repository_bytes_max: u64,
    /// Most refs in a repository.
    pub refs_max: u32,
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        Self {
            pack_bytes_max: base::limits::SOURCE_BYTES_MAX,
            objects_max: 1_000_000,
            object_bytes_max: 256 << 20,
            repository_bytes_max: 4 << 30,
            refs_max: 2_000,
        }
    }
}

/// One ref update that a push asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushUpdate {
    /// Full ref name: `refs/heads/main`.
    pub reference: String,
    /// The commit it pointed to, hex; `None` if it is new.
    pub old: Option<String>,
    /// The commit it shall point to, hex; `None` if it is to be deleted.
    pub new: Option<String>,
    /// First line of the new commit's message.
    pub subject: String,
    /// Author of the new commit, `Name <mail>`.
    pub author: String,
}

/// Whether one update may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushVerdict {
    /// Move the ref.
    Accept,
    /// Refuse with this reason, shown by git beside the ref.
    Refuse(String),
}

/// What is shown to the person who pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// One line on the side band; git shows it behind `remote:`.
    Line(String),
}

/// How a policy talks to the person who pushes. Sending never blocks for long; an error means that
/// nobody listens any more.
#[async_trait]
pub trait Progress: Send + Sync {
    /// Shows one line.
    async fn say(&self, advice: Advice) -> Result<()>;
}

/// Decides about updates and follows them. Called once a push: first `judge` for every update,
/// then the refs move, then `landed` with the updates that took effect.
#[async_trait]
pub trait ReceivePolicy: Send + Sync {
    /// Whether this update may happen. The objects are checked and still in quarantine.
    async fn judge(&self, update: &PushUpdate) -> PushVerdict;
    /// The refs have moved durably. Whatever is said here reaches the person until it returns; the
    /// reply to git ends after it.
    async fn landed(&self, updates: &[PushUpdate], progress: &dyn Progress);
}
