mod crashes;
mod dump;
mod exhaust;
mod facts;
mod faults;
mod jobs;
mod remembered;
mod rows;
mod schema;
mod tamper;
mod waking;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Actor, Generation, Problem};
use ports::Clock;
use serde_json::json;
use store::testing::{Cluster, TestClock, TestRandom, options};
use store::{CommitHook, Migration, NewFact, Options, Store};

type Case = fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($room:ident :: $name:ident),* $(,)?) => {
        pub const CASES: &[(&str, Case)] = &[$((concat!(stringify!($room), "::", stringify!($name)), |w| Box::pin($room::$name(w)))),*];
    };
}

cases! {
    rows::values_come_back,
    rows::text_is_ordered_by_bytes,
    rows::what_is_not_committed_is_not_there,
    rows::a_reader_sees_one_moment,
    rows::read_then_write_loses_nothing,
    rows::only_the_two_types,
    schema::a_second_start_changes_nothing,
    schema::newer_data_is_refused,
    schema::an_edited_migration_is_refused,
    schema::a_failing_migration_leaves_nothing,
    schema::two_processes_may_start_at_once,
    schema::a_file_in_use_is_waited_for,
    schema::a_foreign_audit_key_is_refused,
    facts::one_order_and_the_newest,
    facts::pages_by_kind_and_prefix,
    facts::what_is_beneath_a_name,
    facts::what_is_about_a_service,
    facts::no_gaps_with_many_writers,
    facts::oversized_facts_are_refused,
    tamper::every_change_is_found,
    tamper::a_fork_is_found,
    tamper::a_forged_end_is_not_built_upon,
    tamper::going_back_is_found_with_an_anchor,
    exhaust::every_record_and_every_tampering,
    exhaust::every_older_copy_is_found,
    exhaust::a_forged_anchor_is_found,
    exhaust::the_anchor_follows_the_log,
    exhaust::the_log_is_sound_while_it_grows,
    jobs::a_job_runs_once,
    jobs::a_key_is_unique_until_finished,
    jobs::order_and_time,
    jobs::leases_end_and_are_extended,
    jobs::a_late_worker_cannot_commit,
    jobs::retry_until_dead,
    jobs::a_job_that_kills_its_worker_ends,
    jobs::called_off,
    jobs::every_job_is_claimed_once,
    jobs::shown_and_forgotten,
    remembered::an_answer_is_given_again,
    remembered::only_one_of_many_wins,
    waking::after_the_commit_only,
    waking::from_another_process,
    faults::constraints_have_names_and_no_values,
    faults::a_broken_transaction_stays_broken,
    faults::a_statement_that_was_given_up_breaks,
    faults::a_failing_commit_is_not_acknowledged,
    faults::a_lost_connection_is_not_acknowledged,
    faults::a_server_that_crashes_is_found_again,
    faults::a_full_disk_is_not_acknowledged,
    faults::waiting_has_an_end,
    faults::a_closed_store_says_so,
    faults::checks,
    dump::a_copy_is_equal_by_hash,
    dump::a_copy_is_of_one_moment,
    dump::a_damaged_copy_is_refused,
    dump::an_older_copy_gets_the_newer_schema,
    dump::looking_changes_nothing,
    crashes::before_the_commit_nothing_is_there,
    crashes::after_the_commit_everything_is_there,
    crashes::at_every_commit,
    crashes::a_killed_process_loses_nothing_it_acknowledged,
}

/// A database of its own, with a clock that stands.
pub struct World {
    pub url: String,
    pub clock: Arc<TestClock>,
    pub cluster: Option<Arc<Cluster>>,
    pub folder: tempfile::TempDir,
}

/// Tables to try things on.
pub const TABLES: &[Migration] = &[
    Migration {
        capability: "shop",
        number: 1,
        name: "things",
        sql: "CREATE TABLE thing (name TEXT NOT NULL PRIMARY KEY, count BIGINT NOT NULL, note TEXT, due BIGINT);
              CREATE TABLE part (id BIGINT NOT NULL PRIMARY KEY, thing TEXT NOT NULL REFERENCES thing (name));",
    },
    Migration {
        capability: "shop",
        number: 2,
        name: "late",
        sql: "CREATE TABLE late (id BIGINT NOT NULL PRIMARY KEY,
                thing TEXT NOT NULL REFERENCES thing (name) DEFERRABLE INITIALLY DEFERRED)",
    },
];

static SEEDS: AtomicU64 = AtomicU64::new(1);

impl World {
    pub async fn new(cluster: Option<Arc<Cluster>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match &cluster {
            Some(cluster) => cluster.database().await,
            None => format!("sqlite:{}", folder.path().join("orlop.db").display()),
        };
        Self { url, clock: TestClock::at(1_790_000_000_000_000), cluster, folder }
    }

    /// Another empty database of the same sort.
    pub async fn another(&self) -> Self {
        Self::new(self.cluster.clone()).await
    }

    pub fn on_postgres(&self) -> bool {
        self.cluster.is_some()
    }

    pub fn options(&self) -> Options {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let random = TestRandom::seeded(SEEDS.fetch_add(1, Ordering::SeqCst));
        Options { migrations: TABLES.to_vec(), ..options(&self.url, clock, random) }
    }

    pub async fn open(&self) -> Store {
        Store::open(self.options()).await.unwrap()
    }

    pub async fn open_with(&self, hook: Arc<dyn CommitHook>) -> Store {
        Store::open(Options { hook: Some(hook), ..self.options() }).await.unwrap()
    }
}

pub fn fact(kind: &str, subject: &str) -> NewFact {
    NewFact {
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        generation: Generation(1),
        actor: Actor::platform("test"),
        cause: Some("because".to_owned()),
        body: json!({ "of": subject }),
    }
}

/// Appends one fact in its own transaction.
pub async fn say(store: &Store, kind: &str, subject: &str) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let seq = tx.append(fact(kind, subject)).await.unwrap();
    tx.commit().await.unwrap();
    seq.0
}

#[track_caller]
pub fn code<T>(result: Result<T, Problem>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(problem) => problem.code.into_owned(),
    }
}
