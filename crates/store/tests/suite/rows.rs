use base::{TeamName, Time};
use serde_json::json;
use store::{Read, args};

use super::{World, code};

const PUT: &str = "INSERT INTO thing (name, count, note, due) VALUES ($1, $2, $3, $4)";

pub async fn values_come_back(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    let nothing: Option<String> = None;
    let (never, team): (Option<Time>, TeamName) = (None, "payments".parse().unwrap());
    assert_eq!(tx.execute(PUT, args!["ünï \u{10FFFF} 'quoted' \"", i64::MIN, nothing, never]).await.unwrap(), 1);
    tx.execute(PUT, args!["", i64::MAX, json!({"a": [1, null, "x"]}), Time::from_micros(-5)]).await.unwrap();
    tx.execute(PUT, args![&team, true, "", Some(Time::from_micros(7))]).await.unwrap();
    assert_eq!(code(tx.row("SELECT 1 AS one WHERE 'a' = $1", args!["a\0"]).await), "nul-in-text");
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["ünï \u{10FFFF} 'quoted' \"", i64::MIN, nothing_text(), never]).await.unwrap();
    tx.execute(PUT, args!["", i64::MAX, json!({"a": [1, null, "x"]}), Time::from_micros(-5)]).await.unwrap();
    tx.execute(PUT, args![&team, true, "", Some(Time::from_micros(7))]).await.unwrap();
    tx.commit().await.unwrap();

    let mut r = store.read().await.unwrap();
    let rows = r.rows("SELECT name, count, note, due FROM thing ORDER BY count", args![]).await.unwrap();
    let [low, mid, high] = &rows[..] else { panic!("three rows") };
    assert_eq!(low.text("name").unwrap(), "ünï \u{10FFFF} 'quoted' \"");
    assert_eq!(
        (low.int("count").unwrap(), low.opt_text("note").unwrap(), low.opt_time("due").unwrap()),
        (i64::MIN, None, None)
    );
    assert_eq!((mid.parse::<TeamName>("name").unwrap(), mid.flag("count").unwrap()), (team, true));
    assert_eq!((mid.opt_text("note").unwrap(), mid.time("due").unwrap()), (Some(String::new()), Time::from_micros(7)));
    assert_eq!((high.text("name").unwrap(), high.int("count").unwrap()), (String::new(), i64::MAX));
    assert_eq!(high.json::<serde_json::Value>("note").unwrap(), json!({"a": [1, null, "x"]}));
    assert_eq!(high.time("due").unwrap(), Time::from_micros(-5));
    assert_eq!(code(high.text("nope")), "column-missing");
    assert!(r.row("SELECT name FROM thing WHERE name = $1", args!["other"]).await.unwrap().is_none());
    let both = r
        .row(
            "SELECT COUNT(*) AS n FROM thing WHERE ($1 IS NULL OR note = $1) AND ($2 IS NULL OR due = $2)",
            args![nothing_text(), Some(Time::from_micros(7))],
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(both.int("n").unwrap(), 1);
}

fn nothing_text() -> Option<String> {
    None
}

pub async fn text_is_ordered_by_bytes(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    for name in ["a-b", "ab", "B", "é", "a b", "A", "a/b", "a_b", "aB"] {
        tx.execute(PUT, args![name, 0i64, name, None::<i64>]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut r = store.read().await.unwrap();
    for sql in ["SELECT name FROM thing ORDER BY name", "SELECT note AS name FROM thing ORDER BY note"] {
        let rows = r.rows(sql, args![]).await.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.text("name").unwrap()).collect();
        assert_eq!(names, ["A", "B", "a b", "a-b", "a/b", "aB", "a_b", "ab", "é"]);
    }
    let sql = "SELECT name FROM thing WHERE name > $1 AND name < $2 ORDER BY name";
    let rows = r.rows(sql, args!["a", "a_"]).await.unwrap();
    assert_eq!(rows.len(), 4);
}

pub async fn what_is_not_committed_is_not_there(w: World) {
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["dropped", 1i64, "", None::<i64>]).await.unwrap();
    tx.append(super::fact("a.b", "dropped")).await.unwrap();
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["undone", 1i64, "", None::<i64>]).await.unwrap();
    tx.rollback().await;
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["kept", 1i64, "", None::<i64>]).await.unwrap();
    assert!(tx.row("SELECT name FROM thing WHERE name = 'kept'", args![]).await.unwrap().is_some());
    tx.commit().await.unwrap();
    store.close().await;

    let store = w.open().await;
    let mut r = store.read().await.unwrap();
    let rows = r.rows("SELECT name FROM thing", args![]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.text("name").unwrap()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(store.verify_facts().await.unwrap().facts, 0);
}

pub async fn a_reader_sees_one_moment(w: World) {
    const COUNT: &str = "SELECT COUNT(*) AS n FROM thing";
    let store = w.open().await;
    let mut before = store.read().await.unwrap();
    let count = |row: Option<store::Row>| row.unwrap().int("n").unwrap();
    assert_eq!(count(before.row(COUNT, args![]).await.unwrap()), 0);
    let mut tx = store.begin().await.unwrap();
    tx.execute(PUT, args!["new", 1i64, "", None::<i64>]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(count(before.row(COUNT, args![]).await.unwrap()), 0);
    assert_eq!(count(store.read().await.unwrap().row(COUNT, args![]).await.unwrap()), 1);
    let write = before.rows("INSERT INTO thing (name, count) VALUES ('sly', 1) RETURNING name", args![]).await;
    assert_eq!(code(write), "storage-read-only");
}

/// Two rows that are read together and written apart: under weaker isolation both withdrawals pass.
pub async fn read_then_write_loses_nothing(w: World) {
    const TASKS: usize = 12;
    let store = w.open().await;
    let mut tx = store.begin().await.unwrap();
    for name in ["left", "right"] {
        tx.execute(PUT, args![name, 3i64, "", None::<i64>]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.begin().await.unwrap();
                let row = tx.row("SELECT CAST(SUM(count) AS BIGINT) AS total FROM thing", args![]).await.unwrap();
                // Long enough for the others to read as well, if they can.
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                if row.unwrap().int("total").unwrap() > 0 {
                    let name = if i % 2 == 0 { "left" } else { "right" };
                    let sql = "UPDATE thing SET count = count - 1 WHERE name = $1";
                    assert_eq!(tx.execute(sql, args![name]).await.unwrap(), 1);
                }
                tx.commit().await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut r = store.read().await.unwrap();
    let row = r.row("SELECT CAST(SUM(count) AS BIGINT) AS total FROM thing", args![]).await.unwrap().unwrap();
    assert_eq!(row.int("total").unwrap(), 0);
}

pub async fn only_the_two_types(w: World) {
    let store = w.open().await;
    let mut r = store.read().await.unwrap();
    assert_eq!(code(r.row("SELECT CAST(1.5 AS REAL) AS x", args![]).await), "foreign-type");
    let mut r = store.read().await.unwrap();
    let row = r.row("SELECT 1 AS one, EXISTS (SELECT 1) AS yes, 'x' AS text, COUNT(*) AS n FROM thing", args![]).await;
    let row = row.unwrap().unwrap();
    assert_eq!((row.int("one").unwrap(), row.flag("yes").unwrap(), row.int("n").unwrap()), (1, true, 0));
    assert_eq!(row.text("text").unwrap(), "x");
}
