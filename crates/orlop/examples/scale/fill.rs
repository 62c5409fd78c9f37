//! Makes an installation with many services: one goes through the real pipeline, the others are
//! copies of its rows under names and ids of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::{Problem, Result, Secret};
use ports::{Clock, Random};
use serde_json::{Value, json};
use sim::{Request, World, tarball};
use store::{NewFact, Read, Store, StoredFact, Tx, args};

use crate::clock::{SystemChance, SystemClock};
use crate::fleet::address;
use crate::install::Installed;

/// The service that is copied. Copies have names of the same length.
const MODEL: &str = "svc00000";
/// Rollouts of each place, those of the model included.
const ROLLOUTS: usize = 10;
/// Services written in one transaction.
const AT_ONCE: usize = 50;
/// Characters of base 32 as ids are written.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A column is a text or a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
}

use Kind::{Number as N, Text as T};

/// Rows of a table that belong to one service.
struct TableOf {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    /// The condition that finds the model's rows; `$1` is its name.
    mine: &'static str,
}

const TABLES: &[TableOf] = &[
    TableOf {
        name: "catalog_service",
        columns: &[("service", T), ("team", T), ("description", T), ("version", N), ("created", N), ("removed", N)],
        mine: "service = $1",
    },
    TableOf {
        name: "deliver_source",
        columns: &[
            ("id", T),
            ("service", T),
            ("commit_id", T),
            ("message", T),
            ("author", T),
            ("bytes", N),
            ("created", N),
            ("actor", T),
            ("stored", N),
        ],
        mine: "service = $1",
    },
    TableOf {
        name: "deliver_build",
        columns: &[
            ("id", T),
            ("service", T),
            ("environment", T),
            ("source", T),
            ("job", T),
            ("state", T),
            ("reason", T),
            ("since", N),
            ("recipe", T),
            ("evidence", T),
            ("lines", T),
            ("artifact", T),
            ("release_number", N),
            ("rollout", T),
            ("task", T),
            ("task_kept", N),
            ("log_saved", N),
            ("created", N),
            ("ended", N),
            ("actor", T),
        ],
        mine: "service = $1",
    },
    TableOf {
        name: "deliver_stage",
        columns: &[("build", T), ("place", N), ("stage", T), ("text", T), ("at", N), ("took_ms", N)],
        mine: "build IN (SELECT id FROM deliver_build WHERE service = $1)",
    },
    TableOf {
        name: "deliver_release",
        columns: &[
            ("id", T),
            ("service", T),
            ("number", N),
            ("artifact", T),
            ("source", T),
            ("recipe", T),
            ("manifest", T),
            ("commit_id", T),
            ("message", T),
            ("author", T),
            ("created", N),
            ("actor", T),
        ],
        mine: "service = $1",
    },
    TableOf { name: "deliver_rollout", columns: ROLLOUT, mine: "service = $1" },
    TableOf {
        name: "deliver_rollout_step",
        columns: &[("rollout", T), ("place", N), ("state", T), ("reason", T), ("at", N)],
        mine: "rollout IN (SELECT id FROM deliver_rollout WHERE service = $1)",
    },
    TableOf {
        name: "deliver_current",
        columns: &[("service", T), ("environment", T), ("rollout", T), ("since", N), ("stopped", N)],
        mine: "service = $1",
    },
    TableOf {
        name: "run_instance",
        columns: &[
            ("id", T),
            ("service", T),
            ("environment", T),
            ("rollout", T),
            ("release_id", T),
            ("process", T),
            ("generation", N),
            ("stop_ms", N),
            ("state", T),
            ("crashed", N),
            ("created", N),
            ("stopping", N),
            ("ended", N),
        ],
        mine: "service = $1",
    },
    TableOf {
        name: "route_route",
        columns: &[("service", T), ("environment", T), ("generation", N), ("content", T)],
        mine: "service = $1",
    },
];

const ROLLOUT: &[(&str, Kind)] = &[
    ("id", T),
    ("service", T),
    ("environment", T),
    ("release_id", T),
    ("number", N),
    ("cause", T),
    ("why", T),
    ("state", T),
    ("step", N),
    ("reason", T),
    ("evidence", T),
    ("since", N),
    ("next", T),
    ("deadline", N),
    ("before_rollout", T),
    ("crashes", N),
    ("fault", T),
    ("cancel_by", T),
    ("settings", T),
    ("created", N),
    ("ended", N),
    ("actor", T),
    ("version", N),
];

/// A cell as it was read.
#[derive(Clone)]
enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
}

/// What is copied.
struct Model {
    rows: Vec<(&'static str, Vec<Vec<Cell>>)>,
    /// The facts of each kind and subject that a place keeps for ever: the newest.
    facts: Vec<StoredFact>,
    /// Rollouts that ended, as a year leaves them: row, steps, last facts.
    old: Vec<OldRollout>,
}

/// A rollout that ended: its row, its steps, its last facts.
type OldRollout = (Vec<Cell>, Vec<Vec<Cell>>, Vec<StoredFact>);

/// Fills a folder with an installation of so many services.
pub async fn fill(dir: &Path, services: usize) -> Result<()> {
    let began = std::time::Instant::now();
    let file = dir.join("orlop.db");
    let mut world = World::new(Arc::new(Installed::default()), 2).await;
    story(&mut world).await?;
    let mut dump = Vec::new();
    world.store().read().await?.dump(&mut dump).await?;
    drop(world);
    Store::restore(options(&file), &mut dump.as_slice()).await?;
    let store = open(&file).await?;
    let model = model(&store).await?;
    for first in (1..services).step_by(AT_ONCE) {
        let mut tx = store.begin().await?;
        for number in first..services.min(first + AT_ONCE) {
            copy(&mut tx, &model, number).await?;
        }
        tx.commit().await?;
    }
    let facts = store.read().await?.row("SELECT MAX(seq) AS n FROM fact", args![]).await?;
    let facts = facts.map_or(Ok(0), |row| row.int("n"))?;
    store.close().await;
    let bytes = std::fs::metadata(&file).map_or(0, |meta| meta.len());
    let took = began.elapsed().as_secs();
    println!("{}", json!({ "services": services, "facts": facts, "bytes": bytes, "seconds": took }));
    eprintln!("filled: {services} services, {facts} facts, {} MB, in {took} s", bytes >> 20);
    Ok(())
}

/// Opens the database of an installation with the machine's clock.
pub async fn open(file: &Path) -> Result<Store> {
    Store::open(options(file)).await
}

fn options(file: &Path) -> store::Options {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::after(None));
    let random: Arc<dyn Random> = Arc::new(SystemChance(aws_lc_rs::rand::SystemRandom::new()));
    store::Options {
        url: format!("sqlite:{}", file.display()),
        migrations: sim::Installation::migrations(&Installed::default()),
        audit_key: Secret::new(vec![7; 32]),
        clock,
        random,
        hook: None,
    }
}

/// The life of the model: two versions in dev, both promoted as far as prod.
async fn story(world: &mut World) -> Result<()> {
    let create = Request::to("createService").at("team", "main");
    world.call(create.body(json!({ "service": MODEL, "description": "one of many" }))).await?;
    for version in 1..=2 {
        let procfile = format!("web: sim ready=100 v={version}");
        let bytes = tarball(&[("Procfile", &procfile), ("README", "many")]);
        world.call(Request::about("uploadSource", MODEL).query("environment=dev").upload(bytes)).await?;
        world.come_to_rest(Duration::from_secs(900)).await;
        for (from, to) in [("dev", "staging"), ("staging", "prod")] {
            let body = json!({ "environment": to, "from": from });
            world.call(Request::about("startRollout", MODEL).body(body)).await?;
            world.come_to_rest(Duration::from_secs(900)).await;
        }
    }
    match world.violations.first() {
        None => Ok(()),
        Some(broken) => Err(Problem::internal("model", broken)),
    }
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

async fn read(read: &mut impl Read, table: &TableOf, condition: &str, value: &str) -> Result<Vec<Vec<Cell>>> {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let sql = leaked(format!("SELECT {} FROM {} WHERE {condition}", columns.join(", "), table.name));
    let rows = read.rows(sql, args![value]).await?;
    let cell = |row: &store::Row, (name, kind): &(&str, Kind)| match kind {
        T => row.opt_text(name).map(Cell::Text),
        N => row.opt_int(name).map(Cell::Number),
    };
    rows.iter().map(|row| table.columns.iter().map(|column| cell(row, column)).collect()).collect()
}

/// Each text is made once.
fn insert(table: &TableOf) -> &'static str {
    static MADE: std::sync::LazyLock<BTreeMap<&'static str, &'static str>> =
        std::sync::LazyLock::new(|| TABLES.iter().map(|table| (table.name, insertion(table))).collect());
    MADE.get(table.name).copied().expect("it is one of them")
}

fn insertion(table: &TableOf) -> &'static str {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    leaked(format!("INSERT INTO {} ({}) VALUES ({})", table.name, columns.join(", "), values.join(", ")))
}

fn table(name: &str) -> &'static TableOf {
    TABLES.iter().find(|table| table.name == name).expect("it is one of them")
}

async fn model(store: &Store) -> Result<Model> {
    let mut reader = store.read().await?;
    let mut rows = Vec::new();
    for table in TABLES {
        rows.push((table.name, read(&mut reader, table, table.mine, MODEL).await?));
    }
    let mut newest: BTreeMap<(String, String), StoredFact> = BTreeMap::new();
    let mut told: BTreeMap<String, Vec<StoredFact>> = BTreeMap::new();
    for fact in store::facts_after(&mut reader, base::FactSeq(0), &[], None, 100_000).await? {
        if fact.body.get("service") != Some(&json!(MODEL)) {
            continue;
        }
        if fact.kind == "deliver.rollout" {
            let id = fact.body["rollout"].as_str().unwrap_or_default().to_owned();
            told.entry(id).or_default().push(fact.clone());
        }
        newest.insert((fact.kind.clone(), fact.subject.clone()), fact);
    }
    let mut old = Vec::new();
    for row in read(&mut reader, table("deliver_rollout"), "service = $1 AND number = 1", MODEL).await? {
        let Some(Cell::Text(Some(id))) = row.first().cloned() else { continue };
        let steps = read(&mut reader, table("deliver_rollout_step"), "rollout = $1", &id).await?;
        let mut facts = told.remove(&id).unwrap_or_default();
        let facts = facts.split_off(facts.len().saturating_sub(2));
        old.push((row, steps, facts));
    }
    Ok(Model { rows, facts: newest.into_values().collect(), old })
}

/// A text with the names, ids and addresses of copy `number`; `salt` tells histories apart.
fn rename(text: &str, number: usize, salt: usize) -> String {
    let name = format!("svc{number:05}");
    let text = text.replace(MODEL, &name);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('_') {
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        rest = tail;
        let id = tail.get(..26).filter(|id| id.bytes().all(|byte| DIGITS.contains(&byte)));
        if let Some(id) = id {
            out.push_str(&id[..20]);
            let mut value = number * 64 + salt;
            let mut digits = [0u8; 6];
            for digit in digits.iter_mut().rev() {
                *digit = DIGITS[value % 32];
                value /= 32;
            }
            out.push_str(&String::from_utf8_lossy(&digits));
            rest = &tail[26..];
        }
    }
    out.push_str(rest);
    out
}

/// What stands around the id in the addresses of the test world's instances.
const SOCKET: (&str, &str) = ("unix:/machine/instances/", "/connect.sock");

/// Most instances that the model ever had.
const LIVES: u32 = 64;

/// Which of the model's instances this is, or is a copy of: all copies share what of its id is before the end.
fn life(id: &str) -> u32 {
    static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let stem = id.get(..id.len() - 6).expect("an id");
    let mut seen = SEEN.lock().expect("nobody panicked");
    let at = seen.iter().position(|known| known == stem).unwrap_or_else(|| {
        seen.push(stem.to_owned());
        seen.len() - 1
    });
    u32::try_from(at).ok().filter(|at| *at < LIVES).expect("a model with fewer instances")
}

/// The addresses of the test world's instances, as those of this copy.
fn readdress(text: &str, number: usize) -> String {
    let mut parts = text.split(SOCKET.0);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, rest) = part.split_once(SOCKET.1).unwrap_or((part, ""));
        out.push_str(&address(u32::try_from(number).unwrap_or(0) * LIVES + life(id) + 64, PORT).to_string());
        out.push_str(rest);
    }
    out
}

/// Where all instances answer.
pub const PORT: u16 = 18_431;

fn value(cell: &Cell, number: usize, salt: usize) -> store::Value {
    match cell {
        Cell::Text(Some(text)) => store::Value::Text(readdress(&rename(text, number, salt), number)),
        Cell::Text(None) => store::Value::NullText,
        Cell::Number(Some(n)) => store::Value::Int(*n),
        Cell::Number(None) => store::Value::NullInt,
    }
}

async fn put(tx: &mut Tx, table: &TableOf, sql: &'static str, row: &[Cell], number: usize, salt: usize) -> Result<()> {
    let mut values: Vec<store::Value> = row.iter().map(|cell| value(cell, number, salt)).collect();
    // A job belongs to one build, and all jobs of the model have ended.
    for (at, (name, _)) in table.columns.iter().enumerate() {
        if *name == "job" {
            values[at] = store::Value::NullText;
        }
    }
    tx.execute(sql, values).await?;
    Ok(())
}

async fn tell(tx: &mut Tx, fact: &StoredFact, number: usize, salt: usize) -> Result<()> {
    let text = |text: &str| readdress(&rename(text, number, salt), number);
    let body: Value = serde_json::from_str(&text(&fact.body.to_string())).map_err(|e| Problem::internal("body", e))?;
    tx.append(NewFact {
        kind: fact.kind.clone(),
        subject: text(&fact.subject),
        generation: fact.generation,
        actor: fact.actor.clone(),
        cause: fact.cause.clone(),
        body,
    })
    .await?;
    Ok(())
}

async fn copy(tx: &mut Tx, model: &Model, number: usize) -> Result<()> {
    let (rollout, step) = (table("deliver_rollout"), table("deliver_rollout_step"));
    for salt in 1..=ROLLOUTS - 2 {
        for (row, steps, facts) in &model.old {
            put(tx, rollout, insert(rollout), row, number, salt).await?;
            for one in steps {
                put(tx, step, insert(step), one, number, salt).await?;
            }
            for fact in facts {
                tell(tx, fact, number, salt).await?;
            }
        }
    }
    for (name, rows) in &model.rows {
        let table = table(name);
        for row in rows {
            put(tx, table, insert(table), row, number, 0).await?;
        }
    }
    for fact in &model.facts {
        tell(tx, fact, number, 0).await?;
    }
    Ok(())
}
