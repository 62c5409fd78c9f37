//! What keeps one text of the schema meaning the same on both databases.
//!
//! PostgreSQL compares text by the locale of its database, SQLite by bytes; an update of the C
//! library can even break PostgreSQL's indexes. So every `TEXT` of a migration becomes
//! `TEXT COLLATE "C"` there: order and ranges are by bytes on both.

use base::{Problem, Result};

/// Words of a schema that mean different things, or nothing, on one of the two.
const FOREIGN: [&str; 22] = [
    "AUTOINCREMENT",
    "BIGSERIAL",
    "BLOB",
    "BOOL",
    "BOOLEAN",
    "BYTEA",
    "CHAR",
    "DATETIME",
    "DOUBLE",
    "FLOAT",
    "INT",
    "INTEGER",
    "JSON",
    "JSONB",
    "NUMERIC",
    "REAL",
    "ROWID",
    "SERIAL",
    "STRICT",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "VARCHAR",
];

/// The text as PostgreSQL gets it.
pub(crate) fn for_postgres(sql: &str) -> String {
    let mut before = "";
    let mut out = String::with_capacity(sql.len().saturating_mul(2));
    let mut rest = pieces(sql).into_iter();
    while let Some(piece) = rest.next() {
        out.push_str(piece);
        if is_word(piece) {
            // `CAST(x AS TEXT)` takes no collation; a column may be called `text`.
            let is_name = before_type(rest.clone());
            if piece.eq_ignore_ascii_case("TEXT") && !before.eq_ignore_ascii_case("AS") && !is_name {
                out.push_str(" COLLATE \"C\"");
            }
            before = piece;
        }
    }
    out
}

/// Whether a type is the very next thing, blanks aside: what stands before it is a column's name.
fn before_type<'a>(mut rest: impl Iterator<Item = &'a str>) -> bool {
    let next = rest.find(|piece| !piece.trim().is_empty());
    next.is_some_and(|word| ["TEXT", "BIGINT"].iter().any(|t| t.eq_ignore_ascii_case(word)))
}

/// Refuses a schema text that would differ between the two.
pub(crate) fn check(sql: &str) -> Result<()> {
    let foreign = pieces(sql).into_iter().find(|p| FOREIGN.iter().any(|word| word.eq_ignore_ascii_case(p)));
    match foreign {
        None => Ok(()),
        Some(word) => Err(Problem::internal("migration-not-portable", format!("the schema uses `{word}`"))
            .hint("only TEXT and BIGINT columns mean the same on SQLite and PostgreSQL")),
    }
}

fn is_word(piece: &str) -> bool {
    piece.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Words, quoted texts, comments and single other characters, in order, nothing left out.
fn pieces(sql: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => rest.get(1..).and_then(|r| r.find(first)).map_or(rest.len(), |end| end.saturating_add(2)),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            c if c.is_ascii_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let (piece, tail) = rest.split_at(length);
        out.push(piece);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_columns_get_a_byte_order() {
        let sql = "CREATE TABLE t (a TEXT NOT NULL, b BIGINT, -- TEXT\n c text DEFAULT 'TEXT', PLAINTEXT BIGINT);";
        let want = "CREATE TABLE t (a TEXT COLLATE \"C\" NOT NULL, b BIGINT, -- TEXT\n c text COLLATE \"C\" DEFAULT 'TEXT', PLAINTEXT BIGINT);";
        assert_eq!(for_postgres(sql), want);
        let named = "CREATE TABLE t (text TEXT NOT NULL, text BIGINT)";
        assert_eq!(for_postgres(named), "CREATE TABLE t (text TEXT COLLATE \"C\" NOT NULL, text BIGINT)");
        assert_eq!(for_postgres("SELECT CAST(a AS TEXT)"), "SELECT CAST(a AS TEXT)");
        assert_eq!(for_postgres("é '"), "é '");
    }

    #[test]
    fn foreign_types_are_refused() {
        assert!(check("CREATE TABLE t (a TEXT, b BIGINT) -- json").is_ok());
        assert!(check("INSERT INTO t VALUES ('boolean', 1)").is_ok());
        for bad in ["a INTEGER", "a serial", "a Boolean", "a JSONB", "id BIGINT PRIMARY KEY AUTOINCREMENT"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
