//! Where the objects of a push are until they are accepted: `objects/incoming-…`, with the
//! repository's objects as alternates. Dropping it removes it.

use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Result;

use crate::layout::{QUARANTINE_PREFIX, Repository, delete_tree, sync_dir};
use crate::resolve::Resolved;
use crate::store::Store;
use crate::{idx, internal};

pub(crate) struct Quarantine {
    dir: PathBuf,
    objects: PathBuf,
    /// The name of the pack without its ending, once it is indexed.
    name: Option<String>,
}

/// Tells quarantines of this process apart; those of former processes are removed when it starts.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Quarantine {
    pub(crate) fn create(repository: &Repository) -> Result<Self> {
        let objects = repository.objects();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = objects.join(format!("{QUARANTINE_PREFIX}{}-{number}", std::process::id()));
        let make = || -> std::io::Result<()> {
            fs::create_dir(&dir)?;
            fs::create_dir(dir.join("pack"))?;
            fs::create_dir(dir.join("info"))?;
            // Relative paths are relative to the directory of objects (gitrepository-layout).
            fs::write(dir.join("info/alternates"), "..\n")
        };
        let quarantine = Self { dir: dir.clone(), objects, name: None };
        make().map_err(|e| internal("making a quarantine", e))?;
        Ok(quarantine)
    }

    /// The file into which the pack streams.
    pub(crate) fn file(&self) -> Result<File> {
        let path = self.dir.join("pack/incoming");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        file.map_err(|e| internal("making a pack", e))
    }

    /// Gives the pack its name and its index; both are on the disk then.
    pub(crate) fn index(&mut self, file: &File, resolved: &Resolved) -> Result<()> {
        let name = format!("pack-{}", resolved.checksum);
        let folder = self.dir.join("pack");
        let run = || -> std::io::Result<()> {
            file.sync_all()?;
            let index = File::create(folder.join(format!("{name}.idx")))?;
            idx::write(BufWriter::new(&index), &resolved.rows, &resolved.checksum)?;
            index.sync_all()?;
            fs::rename(folder.join("incoming"), folder.join(format!("{name}.pack")))
        };
        run().map_err(|e| internal("indexing a pack", e))?;
        self.name = Some(name);
        Ok(())
    }

    /// The repository as it would be with these objects.
    pub(crate) fn store(&self) -> Result<Store> {
        Store::open(self.dir.clone())
    }

    /// Bytes of the pack and its index.
    pub(crate) fn bytes(&self) -> u64 {
        let entries = fs::read_dir(self.dir.join("pack")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum()
    }

    /// Moves the objects into the repository for good.
    pub(crate) fn migrate(&self) -> Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        let run = || -> std::io::Result<()> {
            let (from, to) = (self.dir.join("pack"), self.objects.join("pack"));
            // The index last: a pack without one is not seen, an index without its pack is a fault.
            for ending in ["pack", "idx"] {
                let file = format!("{name}.{ending}");
                let mut permissions = fs::metadata(from.join(&file))?.permissions();
                permissions.set_readonly(true);
                fs::set_permissions(from.join(&file), permissions)?;
                fs::rename(from.join(&file), to.join(&file))?;
            }
            sync_dir(&to)
        };
        run().map_err(|e| internal("keeping a pack", e))
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Err(problem) = delete_tree(&self.dir) {
            tracing::warn!(%problem, "a quarantine is left; it is removed at the next start");
        }
    }
}
