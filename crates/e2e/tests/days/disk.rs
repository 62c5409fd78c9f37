//! The disk of the data directory is full, or can only be read. The disk is a file system in memory,
//! of a size of its own, that the test mounts and unmounts.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Problem, Result};
use e2e::{Answered, Body, Installation, Options, Source, Steady, ensure, evidence, target};
use reqwest::Method;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use serde_json::{Value, json};

use crate::load::{Kind, Load};

/// The size of the disk.
const DISK: u64 = 320 << 20;
/// Builds and sources are refused when less is free: `build.disk_reserve` of this installation.
const RESERVE: u64 = 64 << 20;
/// Once there is room everything works again within this span, without anybody's help.
const RECOVERY_TARGET: Duration = Duration::from_secs(10);
/// Services that are removed while the disk is full: each is a transaction that must be written.
const REMOVED: usize = 40;

#[test]
fn a_full_disk_stops_changes_and_nothing_else() {
    if crate::has("a full disk", &["python3"]) {
        crate::run(async {
            match Disk::mounted() {
                Ok(disk) => full(disk).await,
                Err(why) => {
                    crate::skip("a full disk", &why);
                    Ok(())
                }
            }
        });
    }
}

#[test]
fn a_disk_that_can_only_be_read_stops_changes_and_nothing_else() {
    crate::run(async {
        match Disk::mounted() {
            Ok(disk) => read_only(disk).await,
            Err(why) => {
                crate::skip("a disk that can only be read", &why);
                Ok(())
            }
        }
    });
}

/// A mounted file system; unmounted and removed at the end.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn mounted() -> std::result::Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("orlop-e2e-disk-").tempdir().map_err(|e| e.to_string())?;
        let size = std::ffi::CString::new(format!("size={DISK},mode=0700")).map_err(|e| e.to_string())?;
        mount("orlop-e2e", folder.path(), "tmpfs", MountFlags::empty(), size.as_c_str())
            .map_err(|e| format!("nothing can be mounted here: {e}"))?;
        Ok(Self { folder })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn free(&self) -> u64 {
        rustix::fs::statvfs(self.folder.path()).map_or(0, |found| found.f_bavail * found.f_frsize)
    }

    /// Fills it until so much is left.
    fn fill(&self, left: u64) -> Result<()> {
        let failed = |e: std::io::Error| Problem::unavailable("disk", e);
        let mut file = File::options().create(true).append(true).open(self.ballast()).map_err(failed)?;
        let piece = vec![1u8; 64 << 10];
        while self.free() > left {
            let most = usize::try_from(self.free() - left).unwrap_or(usize::MAX).min(piece.len());
            match file.write_all(&piece[..most]) {
                Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                written => written.map_err(failed)?,
            }
        }
        Ok(())
    }

    /// Makes room again.
    fn empty(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).map_err(|e| Problem::unavailable("disk", e))
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.folder.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.folder.path().display());
        }
    }
}

/// The installation ends before its disk goes.
struct Place {
    place: Installation,
    disk: Disk,
}

impl Place {
    async fn on(disk: Disk) -> Result<Self> {
        let set = vec![format!("build.disk_reserve={RESERVE}")];
        let options = Options { set, data: Some(disk.data()), ..Options::default() };
        Ok(Self { place: Installation::with(options).await?, disk })
    }
}

/// One attempt, whatever comes of it.
async fn try_once(place: &Installation, method: Method, path: &str, body: &Value) -> Result<Answered> {
    let body = if body.is_null() { Body::None } else { Body::Json(body) };
    Steady::of(&place.client)?.attempt(method, path, body).await
}

async fn refused(place: &Installation, code: &str) -> Result<()> {
    let rollback = json!({ "environment": "dev", "restart": true });
    let value = json!({ "value": "1" });
    let team = json!({ "team": "late" });
    let calls = [
        (Method::POST, "/v1/services/shop/rollouts", &rollback),
        (Method::PUT, "/v1/services/shop/settings/A", &value),
        (Method::POST, "/v1/teams", &team),
    ];
    for (method, path, body) in calls {
        let answered = try_once(place, method, path, body).await?;
        let hint = answered.body["hint"].as_str().unwrap_or_default();
        ensure!((answered.status, answered.code()) == (503, code) && !hint.is_empty(), "{path}: {answered:?}");
    }
    let read = try_once(place, Method::GET, "/v1/services", &Value::Null).await?;
    ensure!(read.status == 200, "reading goes on: {read:?}");
    Ok(())
}

/// Services that are there to be removed.
async fn make_spares(steady: &Steady) -> Result<()> {
    for n in 0..REMOVED {
        let body = json!({ "service": format!("spare-{n}") });
        let made = steady.call(Method::POST, "/v1/teams/main/services", None, Body::Json(&body)).await?;
        ensure!(made.status == 200, "{made:?}");
    }
    Ok(())
}

/// What makes room is taken on a full disk.
async fn remove_spares(place: &Installation, disk: &Disk) -> Result<()> {
    for n in 0..REMOVED {
        let path = format!("/v1/services/spare-{n}");
        let gone = try_once(place, Method::DELETE, &path, &Value::Null).await?;
        let free = disk.free();
        ensure!(gone.status == 200, "it is written into the reserve: {gone:?}, {free} bytes free");
        disk.fill(0)?;
    }
    Ok(())
}

async fn full(disk: Disk) -> Result<()> {
    let mut both = Place::on(disk).await?;
    let (place, disk) = (&mut both.place, &both.disk);
    let shop = Source::of(place, "procfile", "shop")?;
    shop.deploy().await?.good()?;
    let (host, folder) = (shop.host("dev"), shop.folder.clone());
    drop(shop);
    let steady = Steady::of(&place.client)?;
    make_spares(&steady).await?;
    let database = place.data().join("orlop.db");
    let reserved = async || {
        std::fs::metadata(&database).is_ok_and(|meta| meta.len() > 16 << 20)
            && place.data().join("run/savings").exists()
    };
    crate::until("the database has its reserve", reserved).await?;
    let load = Load::begin(&place.client, &host, &[Kind::KeepAlive, Kind::NewConnection]);

    // Nearly full: new code is refused, everything else goes on.
    disk.fill(RESERVE - (8 << 20))?;
    Source::at(place, "shop")?.deploy().await?.bad(&["disk-low"])?;
    let setting = try_once(place, Method::PUT, "/v1/services/shop/settings/B", &json!({ "value": "1" })).await?;
    ensure!(setting.status == 200, "a setting is still taken: {setting:?}");
    crate::until("the rollout of the setting ends", async || crate::all_green(place).await).await?;
    load.more(20).await?;

    // Full: not one byte is left.
    disk.fill(0)?;
    refused(place, "disk-full").await?;
    load.more(200).await?;
    remove_spares(place, disk).await?;
    place.kill_control();
    load.more(20).await?;
    place.up().await?;
    refused(place, "disk-full").await?;
    load.more(20).await?;
    ensure!(place.orlop(&["audit", "verify"]).await?.status == Some(0), "the fact log verifies");

    let (accepted, well) = with_room_again(place, disk).await?;
    let shop = Source::at(place, "shop")?;
    ensure!(shop.folder == folder, "the same folder");
    shop.deploy().await?.good()?;
    let logs = shop.logs(&[]).await?;
    drop(shop);
    let seen = load.end().await;
    seen.all_well()?;
    ensure!(logs.contains("lines were not kept"), "what was lost of the logs is said: {logs}");
    let figures = json!({
        "answers": seen.answers.values().sum::<u64>(),
        "failures": seen.failures.len(),
        "writtenIntoTheReserve": REMOVED,
        "acceptsAgain": target(&[accepted], RECOVERY_TARGET),
        "allWellAgain": target(&[well], RECOVERY_TARGET),
    });
    evidence("disk-full", &figures);
    Ok(())
}

/// Makes room, and waits until changes are taken and all is well; says how long each took.
async fn with_room_again(place: &Installation, disk: &Disk) -> Result<(Duration, Duration)> {
    disk.empty()?;
    let begun = tokio::time::Instant::now();
    let works = async || {
        let body = json!({ "value": "2" });
        try_once(place, Method::PUT, "/v1/services/shop/settings/A", &body).await.is_ok_and(|a| a.status == 200)
    };
    let accepted = crate::until("changes are taken again", works).await?;
    crate::until("all is well", async || crate::all_green(place).await).await?;
    Ok((accepted, begun.elapsed()))
}

/// A read-only mount is laid over the data folder. Files that were open before stay writable: the
/// kernel refuses to make a file system read-only (EBUSY) while files are open for writing.
struct Veil(PathBuf);

impl Veil {
    fn over(folder: &Path) -> Result<Self> {
        let failed = |e: rustix::io::Errno| Problem::unavailable("mount", e);
        mount_bind(folder, folder).map_err(failed)?;
        let veil = Self(folder.to_owned());
        mount_remount(folder, MountFlags::BIND | MountFlags::RDONLY, c"").map_err(failed)?;
        Ok(veil)
    }
}

impl Drop for Veil {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("{} stays mounted read-only: {error}", self.0.display());
        }
    }
}

async fn read_only(disk: Disk) -> Result<()> {
    let mut both = Place::on(disk).await?;
    let shop = Source::of(&both.place, "static", "shop")?;
    shop.deploy().await?.good()?;
    let host = shop.host("dev");
    drop(shop);
    let load = Load::begin(&both.place.client, &host, &[Kind::KeepAlive, Kind::NewConnection]);
    load.more(20).await?;

    let veil = Veil::over(&both.disk.data())?;
    refused(&both.place, "disk-read-only").await?;
    load.more(100).await?;
    both.place.kill_control();
    let told = both.place.up().await.err().map(|problem| problem.message).unwrap_or_default();
    ensure!(told.contains("data-folder-unusable") && told.contains("ead-only"), "a start says what is wrong: {told}");
    load.more(20).await?;
    let seen = load.end().await;
    seen.all_well()?;

    // A gateway makes sockets where it starts: one that vanishes now comes back with the disk.
    both.place.playing("gateway").iter().for_each(|pid| both.place.kill(*pid));
    let serves = async || both.place.client.ask(&host, "/").await.is_ok_and(|answer| answer.status == 200);
    crate::until("the gateway is gone", async || !serves().await).await?;
    drop(veil);
    let begun = tokio::time::Instant::now();
    let served = crate::until("the gateway comes back by itself", serves).await?;
    both.place.up().await?;
    crate::until("all is well", async || crate::all_green(&both.place).await).await?;
    let answered = try_once(&both.place, Method::PUT, "/v1/services/shop/settings/A", &json!({ "value": "2" })).await?;
    ensure!(answered.status == 200, "{answered:?}");
    let well = begun.elapsed();
    evidence(
        "disk-read-only",
        &json!({ "answers": seen.answers.values().sum::<u64>(), "failures": seen.failures.len(), "gatewayServesAgain": target(&[served], RECOVERY_TARGET), "allWellAgain": target(&[well], RECOVERY_TARGET) }),
    );
    Ok(())
}
