//! Making an installation of a backup, whole or not at all.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base::{Problem, Result};
use ports::Clock;

use crate::manifest::{CONFIG, KEY, LEDGER};
use crate::pass::{Passed, pass};
use crate::prove::{Proof, keep, ledger_of, prove};
use crate::{House, damaged, disk};

/// The file of the SQLite database in a data folder.
const DATABASE: &str = "orlop.db";

/// Where an installation shall be.
pub struct Target<'a> {
    /// The data folder: absent or empty.
    pub data: &'a Path,
    /// The text of a key file, unless the backup holds it.
    pub key: Option<&'a str>,
    /// Which database the configuration file of the backup means, once it is there: `None` for SQLite
    /// in the data folder.
    pub database: &'a (dyn Fn(Option<&Path>) -> Result<Option<String>> + Sync),
}

/// What was restored.
pub struct Restored {
    /// What was found when the backup was read, before anything was written.
    pub proof: Proof,
    /// Whether the ledger went to a database outside of the data folder.
    pub database: Option<String>,
}

/// Reads the backup back, then makes the data folder beside its place and moves it there in one step.
/// After an error the data folder is as it was, and a database outside of it has no rows.
///
/// # Errors
/// `restore-not-empty`, and those of [`prove`].
pub async fn restore(file: &Path, target: &Target<'_>, house: &House<'_>, clock: &dyn Clock) -> Result<Restored> {
    refuse_used(target.data)?;
    (house.tell)("reading the backup");
    let proof = prove(file, target.key, house, clock).await?;
    let parent = target.data.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|e| disk("making", parent, &e))?;
    let made = tempfile::Builder::new().prefix(".orlop-restore-").tempdir_in(parent);
    let made = made.map_err(|e| disk("making a folder in", parent, &e))?;
    (house.tell)("writing the data folder");
    let lines = made.path().join(LEDGER);
    let passed = unpack(file, target, made.path(), house)?;
    if passed.file.digest != proof.digest {
        return Err(damaged("it was changed while it was read"));
    }
    let config = Some(made.path().join(CONFIG)).filter(|path| path.exists());
    let outside = (target.database)(config.as_deref())?;
    let inside = format!("sqlite:{}", made.path().join(DATABASE).display());
    let url = outside.as_deref().unwrap_or(&inside);
    (house.tell)("writing the ledger");
    ledger_of(&passed.manifest, &lines, url, &passed.key, house).await?.close().await;
    fs::remove_file(&lines).map_err(|e| disk("removing", &lines, &e))?;
    settle(made.path()).map_err(|e| disk("syncing", made.path(), &e))?;
    let made = made.keep();
    if let Err(e) = fs::rename(&made, target.data) {
        // What was made is of no use; failing to remove it changes nothing.
        let _ = fs::remove_dir_all(&made);
        return Err(disk("moving the restored folder to", target.data, &e));
    }
    fs::File::open(parent).and_then(|f| f.sync_all()).map_err(|e| disk("syncing", parent, &e))?;
    Ok(Restored { proof, database: outside })
}

/// A restore never mixes with what is there.
fn refuse_used(data: &Path) -> Result<()> {
    let first = match fs::read_dir(data) {
        Ok(mut entries) => entries.next(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(disk("reading", data, &e)),
    };
    match first {
        None => Ok(()),
        Some(_) => Err(Problem::conflict("restore-not-empty", format!("{} is not empty", data.display()))
            .hint("name a folder that is empty or does not exist yet: --data FOLDER; nothing there was changed")),
    }
}

fn unpack(file: &Path, target: &Target<'_>, to: &Path, house: &House<'_>) -> Result<Passed> {
    let passed = pass(file, target.key, house, &mut |path, content| {
        let place = to.join(path);
        make_parents(&place).map_err(|e| disk("making the folder of", &place, &e))?;
        keep(content, &place)
    })?;
    // A key that was named wins over the one inside: it is the one that was checked.
    let key = to.join(KEY);
    if !key.exists() {
        keep(&mut passed.key.as_bytes(), &key)?;
    }
    Ok(passed)
}

fn make_parents(file: &Path) -> std::io::Result<()> {
    let folder: PathBuf = file.parent().map(Path::to_path_buf).unwrap_or_default();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Brings the names of all folders to the disk.
fn settle(folder: &Path) -> std::io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            settle(&entry.path())?;
        }
    }
    fs::File::open(folder)?.sync_all()
}
