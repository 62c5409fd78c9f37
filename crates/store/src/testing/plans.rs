//! How the database would answer each question that was asked: from an index, or by reading a whole table.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use base::Result;

use crate::{Read, Store, Value};

static ASKED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Remembers a statement that was run in this process.
pub(crate) fn note(sql: &'static str) {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner).insert(sql);
}

/// Every statement that was run in this process so far.
pub fn statements() -> Vec<&'static str> {
    ASKED.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
}

/// The steps by which SQLite would answer a statement.
pub async fn plan(store: &Store, sql: &'static str) -> Result<Vec<String>> {
    let explain: &'static str = Box::leak(format!("EXPLAIN QUERY PLAN {sql}").into_boxed_str());
    let parameters = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
    let rows = store.read().await?.rows(explain, (0..parameters).map(|_| Value::NullText).collect()).await?;
    rows.iter().map(|row| row.text("detail")).collect()
}
