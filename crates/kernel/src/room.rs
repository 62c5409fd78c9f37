//! Room on the disk of the data directory.

use std::path::Path;

use api::{Access, Action, Method, Row};
use base::{Bytes, Problem, Result};

/// Below this nothing new is accepted: what is left is for what runs and for writing down what becomes
/// of it. Builds and sources are refused long before (`build.disk_reserve`).
pub const FLOOR: Bytes = Bytes(16 << 20);

/// What is free on the disk of a folder.
///
/// # Errors
/// `disk-unknown`
pub fn free(folder: &Path) -> Result<Bytes> {
    let found = rustix::fs::statvfs(folder).map_err(|e| Problem::unavailable("disk-unknown", e))?;
    Ok(Bytes(found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Refuses a call that would change something when the disk is full or can only be read. What makes
/// room (removals), what only reads and signing in are let through.
///
/// # Errors
/// `disk-full`, `disk-read-only`
pub fn admit(row: &Row, data: &Path) -> Result<()> {
    let reads = matches!(
        row.access,
        Access::Public | Access::Team(Action::Read) | Access::Service(Action::Read) | Access::Platform(Action::Read)
    );
    if !row.method.is_mutating() || row.method == Method::Delete || reads {
        return Ok(());
    }
    let Ok(found) = rustix::fs::statvfs(data) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        return Err(Problem::unavailable(
            "disk-read-only",
            "the platform's disk can only be read: nothing can be changed",
        )
        .hint("what runs serves on; an operator has to look at the kernel's log for that disk and make it writable")
        .retry_after(10));
    }
    if free < FLOOR.0 {
        let (free, floor) = (free >> 20, FLOOR.0 >> 20);
        return Err(Problem::unavailable(
            "disk-full",
            format!(
                "the platform's disk is full: {free} MiB are left, and the last {floor} MiB are kept for what runs"
            ),
        )
        .hint(
            "what runs serves on; an operator has to make room in the data directory, for example by removing services",
        )
        .retry_after(10));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_with_room_refuses_nothing_and_proc_has_none() {
        let row = |id: &str| *api::TABLE.iter().find(|row| row.id == id).unwrap();
        let here = std::env::temp_dir();
        assert!(admit(&row("startRollout"), &here).is_ok());
        assert!(free(&here).unwrap().0 > 0);
        // The file system of processes has no blocks at all.
        let full = Path::new("/proc");
        let code = |id: &str| admit(&row(id), full).err().map(|p| p.code.into_owned());
        for refused in ["startRollout", "uploadSource", "gitReceivePack", "scale"] {
            assert_eq!(code(refused).as_deref(), Some("disk-full"), "{refused}");
        }
        for passes in ["listReleases", "gitUploadPack", "signIn", "removeService"] {
            assert_eq!(code(passes), None, "{passes}");
        }
    }
}
