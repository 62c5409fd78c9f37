//! `orlop backup` and `orlop restore`: they work beside a running control plane, and without one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use access::MasterKey;
use api::platform::{Check, Verdict};
use async_trait::async_trait;
use backup::{House, Keys, Proof, Source, Target, record};
use base::{Problem, Result};
use kernel::{Ctx, DoctorCheck};
use store::Store;

use crate::args::{Backup, BackupAction, Restore};
use crate::compose::{migrations, world};
use crate::installation::Installation;
use crate::up::{finish, load_stored};

/// A newest proved backup that is older than this is worth a word of the doctor.
const OLD: Duration = Duration::from_secs(48 * 3600);

/// `orlop backup`, `orlop backup list`, `orlop backup verify`
pub(crate) fn main(args: &Backup, globals: &cli::Globals) -> ExitCode {
    let outcome = match &args.action {
        None => make(args, globals.json),
        Some(BackupAction::List { place }) => list(place.data.as_deref(), globals.json),
        Some(BackupAction::Verify { file, place, key }) => {
            verify(file, place.data.as_deref(), key.as_deref(), globals.json)
        }
    };
    finish(outcome, globals.json)
}

/// `orlop restore`
pub(crate) fn restore(args: &Restore, globals: &cli::Globals) -> ExitCode {
    finish(bring_back(args, globals.json), globals.json)
}

fn make(args: &Backup, json: bool) -> Result<()> {
    let (place, config) = load_stored(&args.stored, Vec::new())?;
    let key = std::fs::read_to_string(place.key_file()).map_err(|e| {
        Problem::not_found("no-installation", format!("{}: {e}", place.key_file().display()))
            .hint("name the data folder of an installation: --data FOLDER")
    })?;
    let to = match &args.to {
        Some(to) => to.clone(),
        None => default_file(&place)?,
    };
    let proof = with_house(json, async |house| {
        let (clock, _) = world();
        let options = (house.options)(config.database_url(), (house.keys)(&key)?);
        let store = Store::open_unchanged(options).await?;
        let source = Source {
            data: &place.data,
            store: &store,
            key: &key,
            with_key: args.with_key,
            version: env!("CARGO_PKG_VERSION"),
            clock: &*clock,
        };
        let proof = backup::take(&source, &to, house).await;
        store.close().await;
        proof
    })?;
    place.make()?;
    record::add(&place.backup_record(), &proof)?;
    tell(&proof, json)?;
    if !json && !proof.has_key {
        println!(
            "The master key is not in it. Keep a copy of {} elsewhere: without it nothing can be restored.",
            place.key_file().display()
        );
    }
    Ok(())
}

fn default_file(place: &Installation) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = place.backups_dir();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|e| Problem::unavailable("data-folder-unusable", format!("cannot make {}: {e}", folder.display())))?;
    let time: String = world().0.now().to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    Ok(folder.join(format!("orlop-{}Z.tar.gz", time.get(..15).unwrap_or(&time))))
}

fn list(data: Option<&Path>, json: bool) -> Result<()> {
    let known = record::list(&Installation::find(data)?.backup_record())?;
    if json {
        println!("{:#}", serde_json::json!({ "items": known }));
    } else if known.is_empty() {
        println!("No backup was made yet. `orlop backup` makes one.");
    } else {
        println!("{:<20}  {:<20}  {:>10}  {:<5}  FILE", "TAKEN", "PROVED", "MIB", "THERE");
        for one in known {
            let (proof, there) = (&one.proof, if one.is_there { "yes" } else { "NO" });
            let second = |time: base::Time| time.to_string().chars().take(19).collect::<String>();
            let mib = proof.bytes / (1 << 20);
            println!(
                "{:<20}  {:<20}  {mib:>10}  {there:<5}  {}",
                second(proof.taken),
                second(proof.proved),
                proof.file.display()
            );
        }
    }
    Ok(())
}

fn verify(file: &Path, data: Option<&Path>, key: Option<&Path>, json: bool) -> Result<()> {
    let place = Installation::find(data)?;
    let given = match key {
        Some(path) => Some(read_key(path)?),
        None => std::fs::read_to_string(place.key_file()).ok(),
    };
    let proof = with_house(json, async |house| backup::prove(file, given.as_deref(), house, &*world().0).await)?;
    let proof = Proof { file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()), ..proof };
    if place.run_dir().is_dir() {
        record::add(&place.backup_record(), &proof)?;
    }
    tell(&proof, json)
}

fn read_key(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Problem::not_found("key-unreadable", format!("{}: {e}", path.display())))
}

fn bring_back(args: &Restore, json: bool) -> Result<()> {
    let place = Installation::find(args.stored.place.data.as_deref())?;
    let key = args.key.as_deref().map(read_key).transpose()?;
    let database = |config: Option<&Path>| {
        let named = args.stored.config.clone().or(config.map(Path::to_path_buf));
        let stored = crate::args::Stored {
            place: crate::args::Where { data: Some(place.data.clone()) },
            config: named,
            database: args.stored.database.clone(),
        };
        let (_, config) = load_stored(&stored, Vec::new())?;
        Ok(Some(config.database).filter(|url| !url.is_empty()))
    };
    let target = Target { data: &place.data, key: key.as_deref(), database: &database };
    let restored = with_house(json, async |house| backup::restore(&args.file, &target, house, &*world().0).await)?;
    if json {
        println!("{:#}", serde_json::json!({ "data": place.data, "restored": restored.proof }));
        return Ok(());
    }
    let proof = &restored.proof;
    println!(
        "Restored the installation as it was at {}: {} facts, {} objects, {} repositories.",
        proof.taken, proof.facts, proof.objects, proof.repositories
    );
    println!("Its data folder is {}. Start it with:", place.data.display());
    let database = args.stored.database.as_ref().map(|_| " --database URL").unwrap_or_default();
    println!("  orlop up --data {}{database}", place.data.display());
    Ok(())
}

/// Runs something with what this crate knows of the platform.
fn with_house<T>(json: bool, run: impl AsyncFnOnce(&House<'_>) -> Result<T>) -> Result<T> {
    let (clock, random) = world();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| Problem::internal("no-runtime", e))?;
    let house = House {
        keys: &|text| {
            let key = MasterKey::parse(text)?;
            Ok(Keys { backup: key.backup_key(), audit: key.audit_key() })
        },
        options: &|url, keys: Keys| store::Options {
            url,
            migrations: migrations(),
            audit_key: keys.audit,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            hook: None,
        },
        needed: &|reader| Box::pin(deliver::needed_objects(reader)),
        tell: &|what| {
            if !json {
                eprintln!("{what} …");
            }
        },
    };
    runtime.block_on(run(&house))
}

fn tell(proof: &Proof, json: bool) -> Result<()> {
    if json {
        let text = serde_json::to_string_pretty(proof).map_err(|e| Problem::internal("value-not-json", e))?;
        println!("{text}");
        return Ok(());
    }
    println!(
        "Proved: {} ({} KiB) was read back whole. It shows {}: {} facts, {} objects, {} repositories.",
        proof.file.display(),
        proof.bytes.div_ceil(1024),
        proof.taken,
        proof.facts,
        proof.objects,
        proof.repositories
    );
    Ok(())
}

/// Asks for the newest backup that was proved and is still there.
pub(crate) struct Newest(PathBuf);

impl Newest {
    pub(crate) fn of(place: &Installation) -> Self {
        Self(place.backup_record())
    }
}

#[async_trait]
impl DoctorCheck for Newest {
    async fn check(&self, ctx: &Ctx) -> Vec<Check> {
        let (verdict, found) = match record::list(&self.0) {
            Err(problem) => (Verdict::Broken, problem.to_string()),
            Ok(known) => match known.iter().filter(|one| one.is_there).max_by_key(|one| one.proof.taken) {
                None if known.is_empty() => (Verdict::Limited, "no backup was made yet".to_owned()),
                None => (Verdict::Limited, format!("none of {} proved backups is there any more", known.len())),
                Some(one) => {
                    let is_old = ctx.now().since(one.proof.taken) > OLD;
                    let verdict = if is_old { Verdict::Limited } else { Verdict::Ok };
                    (verdict, format!("the newest proved one is of {}: {}", one.proof.taken, one.proof.file.display()))
                }
            },
        };
        let fix = (verdict != Verdict::Ok).then(|| "orlop backup --to FILE-ON-ANOTHER-DISK, once a day".to_owned());
        vec![Check { name: "backup".to_owned(), verdict, found, fix }]
    }
}
