//! Where repositories are, how they come to be, and what is cleaned up after a crash.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base::{Result, ServiceName};

use crate::internal;

/// A quarantine directory begins with this, beneath `objects/` (the name git itself uses, so that
/// `git gc` knows what it is).
pub(crate) const QUARANTINE_PREFIX: &str = "incoming-";
/// Endings of repositories that are being made or removed; no service name has a dot.
const MAKING: &str = "making";
const REMOVING: &str = "removing";

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[gc]\n\tauto = 0\n";

/// The directory of all repositories.
pub(crate) struct Layout {
    dir: PathBuf,
}

/// The place of one repository, which may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    path: PathBuf,
}

impl Layout {
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|e| internal(&format!("making {}", dir.display()), e))?;
        let dir = dir.canonicalize().map_err(|e| internal("finding the directory of repositories", e))?;
        for entry in list(&dir)? {
            match entry.extension().and_then(|e| e.to_str()) {
                Some(MAKING | REMOVING) => delete_tree(&entry)?,
                Some("git") => clean(&Repository { path: entry })?,
                _ => {}
            }
        }
        Ok(Self { dir })
    }

    pub(crate) fn repository(&self, service: &ServiceName) -> Repository {
        Repository { path: self.dir.join(format!("{service}.git")) }
    }
}

impl Repository {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.path.join("objects")
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.join("HEAD").is_file()
    }

    /// Opens it with gix, without any configuration of the host or the user.
    pub(crate) fn open(&self) -> Result<gix::Repository> {
        let options = gix::open::Options::isolated().open_path_as_is(true).with(gix::sec::Trust::Full);
        let repository = options.open(&self.path).map_err(|e| internal("opening a repository", e))?;
        Ok(repository.to_thread_local())
    }

    /// Bytes of all its packs and loose objects; not of packs that were merged and will go.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64> {
        let mut total = 0u64;
        for folder in list(&self.objects())? {
            let quarantine = folder.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"incoming-"));
            if quarantine || !folder.is_dir() {
                continue;
            }
            for file in list(&folder)?.iter().filter(|f| !crate::tidy::is_merged(f)) {
                total = total.saturating_add(fs::metadata(file).map_or(0, |m| m.len()));
            }
        }
        Ok(total)
    }

    /// Makes it if it does not exist: bare, SHA-1, `HEAD` → `refs/heads/main`, nothing else in it.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.exists() {
            return Ok(());
        }
        let making = self.path.with_extension(MAKING);
        delete_tree(&making)?;
        let make = || -> std::io::Result<()> {
            for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
                fs::create_dir_all(making.join(folder))?;
            }
            write_durably(&making.join("config"), CONFIG.as_bytes())?;
            write_durably(&making.join("HEAD"), b"ref: refs/heads/main\n")?;
            sync_dir(&making)?;
            fs::rename(&making, &self.path)?;
            self.path.parent().map_or(Ok(()), sync_dir)
        };
        make().map_err(|e| internal("making a repository", e))
    }
}

/// Removes a repository: out of sight at once, then from the disk.
pub(crate) fn remove(repository: &Repository) -> Result<()> {
    if !repository.path.exists() {
        return Ok(());
    }
    let removing = repository.path.with_extension(REMOVING);
    delete_tree(&removing)?;
    fs::rename(&repository.path, &removing).map_err(|e| internal("removing a repository", e))?;
    delete_tree(&removing)
}

/// Removes what a crash may have left: this process is the only owner, so every lock and every
/// quarantine found when it starts belongs to nobody.
fn clean(repository: &Repository) -> Result<()> {
    for folder in list(&repository.objects())? {
        if folder.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(QUARANTINE_PREFIX)) {
            tracing::info!(quarantine = %folder.display(), "removing the leftovers of an unfinished push");
            delete_tree(&folder)?;
        }
    }
    for file in list(&repository.path)? {
        remove_lock(&file)?;
    }
    crate::tidy::remove_merged(repository)?;
    clean_refs(&repository.path.join("refs"), 0)
}

/// Locks and empty files beneath `refs/`. A ref's content is on the disk before its name is (see
/// `refs::apply`), so an empty one never held a value that was told to anybody.
fn clean_refs(folder: &Path, depth: usize) -> Result<()> {
    if depth > 64 {
        return Ok(());
    }
    for entry in list(folder)? {
        if entry.is_dir() {
            clean_refs(&entry, depth.saturating_add(1))?;
            continue;
        }
        remove_lock(&entry)?;
        if fs::metadata(&entry).is_ok_and(|m| m.len() == 0) {
            fs::remove_file(&entry).map_err(|e| internal("removing an empty ref", e))?;
        }
    }
    Ok(())
}

fn remove_lock(file: &Path) -> Result<()> {
    if file.extension().is_some_and(|e| e == "lock") && file.is_file() {
        tracing::info!(lock = %file.display(), "removing the lock of a process that is gone");
        fs::remove_file(file).map_err(|e| internal("removing a stale lock", e))?;
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(internal(&format!("reading {}", folder.display()), e)),
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    Ok(paths)
}

pub(crate) fn delete_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(internal(&format!("removing {}", path.display()), e)),
        _ => Ok(()),
    }
}

fn write_durably(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> std::io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// One lock for every repository that is being changed; entries nobody holds are dropped.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<ServiceName, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    pub(crate) fn of(&self, service: &ServiceName) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(service.clone()).or_default())
    }
}
