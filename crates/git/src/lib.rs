//! The git driver: bare repositories of services, git's smart HTTP protocol for pushes spoken in
//! this process, clone and fetch through the host's git, and export of a commit as a tar stream.

mod advertise;
mod body;
mod check;
mod commands;
mod commit;
mod delta;
mod export;
mod fault;
mod gzip;
mod idx;
mod intake;
mod land;
mod layout;
mod modules;
mod pack;
mod packet;
mod program;
mod quarantine;
mod receive;
mod refs;
mod reply;
mod resolve;
mod scan;
mod store;
mod tidy;
mod tree;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Problem, Result, ServiceName};
use ports::{ByteStream, ReceiveLimits, ReceivePolicy, Sources};

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub use gzip::gunzip;
use layout::Layout;
use program::Program;

/// The repositories of all services beneath one directory. One process owns the directory.
pub struct Repositories {
    shared: Arc<Shared>,
    program: Option<Program>,
}

/// What every operation needs: where things are, and how much may happen at once.
struct Shared {
    layout: Layout,
    locks: layout::Locks,
    gates: fault::Gates,
    tidy: tidy::Tidy,
}

impl Repositories {
    /// Opens the directory (made if absent) and cleans up what a crash may have left: quarantine
    /// of unfinished pushes, locks of refs, half-made and half-removed repositories.
    /// `git_program` is the absolute path of git for clone and fetch; pushes do not need it.
    ///
    /// # Errors
    /// The directory cannot be made or read, or the program's path is not absolute.
    pub fn open(dir: PathBuf, git_program: Option<PathBuf>) -> Result<Self> {
        let layout = Layout::open(dir)?;
        let program = git_program.map(Program::new).transpose()?;
        Ok(Self {
            shared: Arc::new(Shared {
                layout,
                locks: layout::Locks::default(),
                gates: fault::Gates::default(),
                tidy: tidy::Tidy::default(),
            }),
            program,
        })
    }
}

#[async_trait]
impl Sources for Repositories {
    async fn advertise_receive(&self, service: &ServiceName) -> Result<Vec<u8>> {
        let repository = self.shared.layout.repository(service);
        self.shared.gates.blocking(move || advertise::receive(&repository)).await
    }

    async fn receive(
        &self,
        service: &ServiceName,
        body: ByteStream,
        limits: ReceiveLimits,
        policy: Box<dyn ReceivePolicy>,
    ) -> Result<ByteStream> {
        receive::receive(Arc::clone(&self.shared), service.clone(), body, limits, policy).await
    }

    async fn upload_pack(
        &self,
        service: &ServiceName,
        body: Option<ByteStream>,
        protocol: Option<&str>,
    ) -> Result<ByteStream> {
        let program = self.program.clone().ok_or_else(fault::git_missing)?;
        let repository = self.shared.layout.repository(service);
        if !repository.exists() {
            return Err(fault::nothing_pushed(service));
        }
        upload::serve(&self.shared.gates, program, &repository, body, protocol).await
    }

    async fn head(&self, service: &ServiceName, reference: &str) -> Result<Option<String>> {
        let (repository, reference) = (self.shared.layout.repository(service), reference.to_owned());
        let find = move || match repository.exists() {
            true => Ok(refs::find(&refs::list(&repository.open()?)?, &reference).map(|id| id.to_string())),
            false => Ok(None),
        };
        self.shared.gates.blocking(find).await
    }

    async fn export(&self, service: &ServiceName, commit: &str) -> Result<ByteStream> {
        let repository = self.shared.layout.repository(service);
        if !repository.exists() {
            return Err(fault::nothing_pushed(service));
        }
        let id = commit::parse_id(commit)?;
        export::export(&self.shared.gates, repository, id).await
    }

    async fn remove(&self, service: &ServiceName) -> Result<()> {
        let lock = self.shared.locks.of(service);
        let held = lock.lock_owned().await;
        let repository = self.shared.layout.repository(service);
        self.shared
            .gates
            .blocking(move || {
                let _held = held;
                layout::remove(&repository)
            })
            .await
    }
}

/// A failure of the disk or of a library beneath this crate.
fn internal(what: &str, error: impl std::fmt::Display) -> Problem {
    Problem::internal("git-failed", format!("{what}: {error}"))
}
