//! A whole database as lines of JSON that are the same on both databases: what a backup keeps, and
//! how an installation moves from SQLite to PostgreSQL.
//!
//! The first line says what follows, then comes one line for each table with its columns and one for
//! each of its rows, tables by name and rows by primary key, and the last line says how many there
//! were. Equal databases give equal bytes, so that two of them are compared by hash.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};

use base::{Digest, Problem, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::db::Conn;
use crate::read::Reader;
use crate::row::{Cell, Row};
use crate::store::Store;
use crate::tx::Tx;
use crate::value::Value;
use crate::{Options, args, migrate};

/// The version of the format.
const FORMAT: u32 = 1;
/// Rows read at once.
const PAGE: usize = 1000;
/// Longest line that is read: the largest fact, every byte of it escaped, and room for the rest.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// The table that says what the others look like; it comes first.
const MIGRATIONS: &str = "store_migration";

/// What a dump holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dump {
    /// SHA-256 of all its bytes.
    pub digest: Digest,
    /// Tables.
    pub tables: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Facts among them.
    pub facts: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    ledger: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    table: String,
    columns: Vec<String>,
    /// The columns of the primary key, in its order: known from the database, not part of a dump.
    #[serde(skip)]
    key: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    tables: u64,
    rows: u64,
}

/// A cell of a row: a text, a number or nothing.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Plain {
    Int(i64),
    Text(String),
    Null(()),
}

impl Reader {
    /// Writes everything that this moment of the database holds.
    ///
    /// # Errors
    /// Those of reading, and `dump-not-written` when `out` takes no more.
    pub async fn dump(&mut self, out: &mut (dyn Write + Send)) -> Result<Dump> {
        let mut sink = Sink { out, hash: Sha256::new() };
        let tables = tables(&mut self.conn).await?;
        sink.line(&First { ledger: FORMAT })?;
        let mut dump = Dump { digest: Digest::of(b""), tables: 0, rows: 0, facts: 0 };
        for table in &tables {
            sink.line(table)?;
            let rows = dump_rows(&mut self.conn, table, &mut sink).await?;
            dump.tables = dump.tables.saturating_add(1);
            dump.rows = dump.rows.saturating_add(rows);
            if table.table == "fact" {
                dump.facts = rows;
            }
        }
        sink.line(&Last { tables: dump.tables, rows: dump.rows })?;
        dump.digest = Digest::from_sha256(sink.hash.finalize().into());
        Ok(dump)
    }
}

/// Where lines go, hashed on the way.
struct Sink<'a> {
    out: &'a mut (dyn Write + Send),
    hash: Sha256,
}

impl Sink<'_> {
    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(|e| Problem::internal("value-not-json", e))?;
        line.push(b'\n');
        self.hash.update(&line);
        self.out
            .write_all(&line)
            .map_err(|e| Problem::unavailable("dump-not-written", format!("the copy of the ledger: {e}")))
    }
}

async fn dump_rows(conn: &mut Conn, table: &Table, sink: &mut Sink<'_>) -> Result<u64> {
    let (mut count, mut after) = (0u64, Vec::new());
    loop {
        let rows = conn.rows_of(page(table, !after.is_empty()), std::mem::take(&mut after)).await?;
        for row in &rows {
            sink.line(&row.cells.iter().map(plain).collect::<Vec<_>>())?;
        }
        count = count.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = key_of(table, last)?,
            _ => return Ok(count),
        }
    }
}

/// The statement for the next rows of a table; the names in it are those of the database itself.
fn page(table: &Table, is_later: bool) -> String {
    let key = table.key.join(", ");
    let marks = (1..=table.key.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
    let after = if is_later { format!(" WHERE ({key}) > ({marks})") } else { String::new() };
    format!("SELECT {} FROM {}{after} ORDER BY {key} LIMIT {PAGE}", table.columns.join(", "), table.table)
}

fn plain(cell: &Cell) -> Plain {
    match cell {
        Cell::Null => Plain::Null(()),
        Cell::Text(text) => Plain::Text(text.clone()),
        Cell::Int(number) => Plain::Int(*number),
    }
}

fn key_of(table: &Table, row: &Row) -> Result<Vec<Value>> {
    let cell = |name: &String| {
        let at = table.columns.iter().position(|column| column == name);
        match at.and_then(|at| row.cells.get(at)) {
            Some(Cell::Text(text)) => Ok(Value::Text(text.clone())),
            Some(Cell::Int(number)) => Ok(Value::Int(*number)),
            _ => Err(Problem::internal("bad-key", format!("a row of {} has no {name}", table.table))),
        }
    };
    table.key.iter().map(cell).collect()
}

/// All tables of the database, that of the schema first. Names that are no plain words are refused:
/// they become part of statements.
async fn tables(conn: &mut Conn) -> Result<Vec<Table>> {
    const LITE: &str = "SELECT m.name AS name, p.name AS item, p.pk AS place \
         FROM sqlite_master m JOIN pragma_table_info(m.name) p \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name <> 'store_room' ORDER BY m.name, p.name";
    const PG: &str = "SELECT CAST(c.table_name AS TEXT) AS name, CAST(c.column_name AS TEXT) AS item, \
         COALESCE((SELECT CAST(k.ordinal_position AS BIGINT) FROM information_schema.table_constraints t \
            JOIN information_schema.key_column_usage k ON k.constraint_name = t.constraint_name \
             AND k.table_schema = t.table_schema AND k.table_name = t.table_name \
            WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = c.table_schema \
             AND t.table_name = c.table_name AND k.column_name = c.column_name), 0) AS place \
         FROM information_schema.columns c JOIN information_schema.tables b \
           ON b.table_schema = c.table_schema AND b.table_name = c.table_name AND b.table_type = 'BASE TABLE' \
         WHERE c.table_schema = current_schema() \
         ORDER BY CAST(c.table_name AS TEXT) COLLATE \"C\", CAST(c.column_name AS TEXT) COLLATE \"C\"";
    let rows = conn.rows(if matches!(conn, Conn::Lite(_)) { LITE } else { PG }, args![]).await?;
    let mut found: Vec<(Table, Vec<(i64, String)>)> = Vec::new();
    for row in &rows {
        let (name, column, place) = (word(row.text("name")?)?, word(row.text("item")?)?, row.int("place")?);
        if found.last().is_none_or(|(table, _)| table.table != name) {
            found.push((Table { table: name, columns: Vec::new(), key: Vec::new() }, Vec::new()));
        }
        let Some((table, key)) = found.last_mut() else { continue };
        if place > 0 {
            key.push((place, column.clone()));
        }
        table.columns.push(column);
    }
    let mut tables = Vec::new();
    for (mut table, mut key) in found {
        key.sort();
        table.key = key.into_iter().map(|(_, name)| name).collect();
        if table.key.is_empty() {
            return Err(Problem::internal("table-without-key", format!("{} has no primary key", table.table)));
        }
        tables.push(table);
    }
    tables.sort_by_key(|table| table.table != MIGRATIONS);
    Ok(tables)
}

fn word(name: String) -> Result<String> {
    match name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        false => Ok(name),
        true => Err(Problem::unprocessable("foreign-table", format!("the database has something named `{name}`"))
            .hint("give Orlop a database, or a schema, of its own")),
    }
}

impl Store {
    /// Makes a database of a dump, in one that has no rows yet, with the schema that the dump was made
    /// under. Opening it afterwards brings the schema up to date.
    ///
    /// # Errors
    /// `bad-dump` where the text is not a whole dump, `data-from-newer-version` where this version does
    /// not know its schema, `restore-not-empty` where the database holds something. The database has
    /// no rows after an error.
    pub async fn restore(options: Options, dump: &mut (dyn BufRead + Send)) -> Result<()> {
        let mut lines = Lines { from: dump, number: 0 };
        let First { ledger } = lines.next()?;
        if ledger != FORMAT {
            let found = format!("the ledger's copy has the format {ledger}, this version reads {FORMAT}");
            return Err(Problem::conflict("data-from-newer-version", found)
                .hint("restore it with the version of orlop that made it, or a newer one"));
        }
        let schema: Table = lines.next()?;
        if schema.table != MIGRATIONS {
            return Err(lines.bad("the schema does not come first"));
        }
        let (recorded, next) = lines.rows(&schema)?;
        let applied = migrations(&schema, &recorded).ok_or_else(|| lines.bad("the schema cannot be read"))?;
        let (store, all) = Self::bare(options).await?;
        migrate::up_to(&store, &all, &applied).await?;
        let mut tx = store.begin().await?;
        let there = tables(&mut tx.conn).await?;
        refuse_rows(&mut tx, &there).await?;
        tx.execute_of(format!("DELETE FROM {MIGRATIONS}"), args![]).await?;
        insert(&mut tx, &there, &schema, &recorded).await.map_err(|p| lines.at(p))?;
        fill(&mut tx, &there, &mut lines, next, recorded.len()).await?;
        tx.commit().await?;
        store.close().await;
        Ok(())
    }
}

type PlainRow = Vec<Plain>;

/// Which steps of the schema were taken: capability and number, with the checksum of the text.
fn migrations(schema: &Table, rows: &[PlainRow]) -> Option<Vec<(migrate::Key, Digest)>> {
    let at = |name: &str| schema.columns.iter().position(|column| column == name);
    let (capability, number, checksum) = (at("capability")?, at("number")?, at("checksum")?);
    rows.iter()
        .map(|row| match (row.get(capability)?, row.get(number)?, row.get(checksum)?) {
            (Plain::Text(capability), Plain::Int(number), Plain::Text(checksum)) => {
                Some(((capability.clone(), u32::try_from(*number).ok()?), checksum.parse().ok()?))
            }
            _ => None,
        })
        .collect()
}

/// Reads the remaining tables. `next` is the line after the rows of the first.
async fn fill(tx: &mut Tx, there: &[Table], lines: &mut Lines<'_>, next: After, first: usize) -> Result<()> {
    let (mut next, mut tables, mut rows) = (next, 1u64, u64::try_from(first).unwrap_or(u64::MAX));
    let mut filled = BTreeSet::from([MIGRATIONS.to_owned()]);
    loop {
        let table = match next {
            After::Table(table) if filled.insert(table.table.clone()) => table,
            After::Table(table) => return Err(lines.bad(&format!("the table {} comes twice", table.table))),
            After::Last(last) if (last.tables, last.rows) == (tables, rows) => return lines.end(),
            After::Last(_) => return Err(lines.bad("tables or rows are missing")),
        };
        tables = tables.saturating_add(1);
        clear(tx, &table, there).await.map_err(|p| lines.at(p))?;
        next = loop {
            let (page, after) = lines.page(&table)?;
            rows = rows.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
            insert(tx, there, &table, &page).await.map_err(|p| lines.at(p))?;
            if let Some(after) = after {
                break after;
            }
        };
    }
}

/// Rows that a migration itself has put in (the first environments) make way for those of the dump.
async fn clear(tx: &mut Tx, table: &Table, there: &[Table]) -> Result<()> {
    let name = &known(there, table)?.table;
    tx.execute_of(format!("DELETE FROM {name}"), args![]).await.map(drop)
}

fn known<'a>(there: &'a [Table], table: &Table) -> Result<&'a Table> {
    let found = there.iter().find(|t| t.table == table.table && t.columns == table.columns);
    found.ok_or_else(|| Problem::invalid("bad-dump", format!("the schema has no table like {}", table.table)))
}

async fn insert(tx: &mut Tx, there: &[Table], table: &Table, rows: &[PlainRow]) -> Result<()> {
    let table = known(there, table)?;
    for row in rows {
        let mut marks = Vec::with_capacity(row.len());
        let mut values = Vec::with_capacity(row.len());
        for cell in row {
            match cell {
                // NULL is written out: a parameter would need the type of its column.
                Plain::Null(()) => {
                    marks.push("NULL".to_owned());
                    continue;
                }
                Plain::Int(number) => values.push(Value::Int(*number)),
                Plain::Text(text) => values.push(Value::Text(text.clone())),
            }
            marks.push(format!("${}", values.len()));
        }
        let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.table, table.columns.join(", "), marks.join(", "));
        tx.execute_of(sql, values).await?;
    }
    Ok(())
}

/// A restore never mixes with what is there.
async fn refuse_rows(tx: &mut Tx, tables: &[Table]) -> Result<()> {
    let has_facts = tables.iter().any(|table| table.table == "fact");
    if has_facts && !tx.conn.rows("SELECT seq FROM fact LIMIT 1", args![]).await?.is_empty() {
        return Err(Problem::conflict("restore-not-empty", "the database holds an installation already")
            .hint("name an empty database or folder; nothing there was changed"));
    }
    Ok(())
}

/// What follows the rows of a table.
#[derive(Deserialize)]
#[serde(untagged)]
enum After {
    Table(Table),
    Last(Last),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RowOr {
    Row(PlainRow),
    After(After),
}

/// The lines of a dump.
struct Lines<'a> {
    from: &'a mut (dyn BufRead + Send),
    number: u64,
}

impl Lines<'_> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        let line = self.line()?.ok_or_else(|| self.bad("it ends too early"))?;
        // The parser's message may quote what it found; only its position is told.
        serde_json::from_str(&line).map_err(|e| self.bad(&format!("column {} cannot be understood", e.column())))
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let mut bounded = std::io::Read::take(&mut *self.from, LINE_BYTES_MAX);
        let read = bounded.read_line(&mut line).map_err(|e| self.bad(&e.to_string()))?;
        self.number = self.number.saturating_add(1);
        match (read, line.pop()) {
            (0, _) => Ok(None),
            (_, Some('\n')) => Ok(Some(line)),
            _ => Err(self.bad("a line is broken off")),
        }
    }

    /// At most a page of rows, and what comes after the last one if that was reached.
    fn page(&mut self, table: &Table) -> Result<(Vec<PlainRow>, Option<After>)> {
        let mut rows = Vec::new();
        while rows.len() < PAGE {
            match self.next()? {
                RowOr::Row(row) if row.len() == table.columns.len() => rows.push(row),
                RowOr::Row(_) => return Err(self.bad("a row has too many or too few columns")),
                RowOr::After(after) => return Ok((rows, Some(after))),
            }
        }
        Ok((rows, None))
    }

    fn rows(&mut self, table: &Table) -> Result<(Vec<PlainRow>, After)> {
        let mut all = Vec::new();
        loop {
            let (rows, after) = self.page(table)?;
            all.extend(rows);
            if let Some(after) = after {
                return Ok((all, after));
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        match self.line()? {
            None => Ok(()),
            Some(_) => Err(self.bad("something follows its end")),
        }
    }

    fn bad(&self, what: &str) -> Problem {
        Problem::invalid("bad-dump", format!("line {} of the ledger's copy: {what}", self.number))
            .hint("the copy was changed or cut off; use another backup")
    }

    fn at(&self, problem: Problem) -> Problem {
        let number = self.number;
        problem.at(format!("line {number} of the ledger's copy"))
    }
}
