use std::any::type_name;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base::{Problem, Result, Time};
use serde::de::DeserializeOwned;

/// One row of an answer. Every getter takes the name of a column; a column that is missing, NULL
/// where a value was asked for, or of the other type is an `internal` problem that names the column
/// and never shows the value.
pub struct Row {
    pub(crate) columns: Arc<[Box<str>]>,
    pub(crate) cells: Vec<Cell>,
}

pub(crate) enum Cell {
    Null,
    Text(String),
    Int(i64),
}

impl Row {
    /// A text that is there.
    pub fn text(&self, column: &str) -> Result<String> {
        self.opt_text(column)?.ok_or_else(|| null(column))
    }

    /// A text or NULL.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text.clone())),
            Cell::Int(_) => Err(bad(column, "a number where a text was expected")),
        }
    }

    /// A number that is there.
    pub fn int(&self, column: &str) -> Result<i64> {
        self.opt_int(column)?.ok_or_else(|| null(column))
    }

    /// A number or NULL.
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Int(number) => Ok(Some(*number)),
            Cell::Text(_) => Err(bad(column, "a text where a number was expected")),
        }
    }

    /// A number that is there and fits the type.
    pub fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T> {
        T::try_from(self.int(column)?).map_err(|_| bad(column, &format!("a number outside of {}", type_name::<T>())))
    }

    /// A yes or no, stored as 1 or 0.
    pub fn flag(&self, column: &str) -> Result<bool> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(bad(column, "neither 0 nor 1")),
        }
    }

    /// An instant that is there.
    pub fn time(&self, column: &str) -> Result<Time> {
        self.int(column).map(Time::from_micros)
    }

    /// An instant or NULL.
    pub fn opt_time(&self, column: &str) -> Result<Option<Time>> {
        Ok(self.opt_int(column)?.map(Time::from_micros))
    }

    /// A name, id, digest or anything else that is written as text.
    pub fn parse<T: FromStr>(&self, column: &str) -> Result<T> {
        self.opt_parse(column)?.ok_or_else(|| null(column))
    }

    /// The same, or NULL.
    pub fn opt_parse<T: FromStr>(&self, column: &str) -> Result<Option<T>> {
        self.opt_text(column)?.map(|text| text.parse().map_err(|_| unreadable::<T>(column))).transpose()
    }

    /// A JSON text.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        self.opt_json(column)?.ok_or_else(|| null(column))
    }

    /// A JSON text or NULL.
    pub fn opt_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let Some(text) = self.opt_text(column)? else { return Ok(None) };
        // serde's message may quote the value; its position never does.
        serde_json::from_str(&text).map(Some).map_err(|e| {
            unreadable::<T>(column).at(format!("line {} column {} of the JSON text", e.line(), e.column()))
        })
    }

    fn cell(&self, column: &str) -> Result<&Cell> {
        let index = self.columns.iter().position(|name| **name == *column);
        index.and_then(|i| self.cells.get(i)).ok_or_else(|| {
            Problem::internal("column-missing", format!("the statement's answer has no column `{column}`"))
        })
    }
}

impl fmt::Debug for Row {
    /// Shows the names of the columns alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.columns.iter()).finish()
    }
}

fn null(column: &str) -> Problem {
    bad(column, "NULL where a value was expected")
}

fn unreadable<T>(column: &str) -> Problem {
    bad(column, &format!("something that is not a {}", type_name::<T>()))
}

fn bad(column: &str, what: &str) -> Problem {
    Problem::internal("stored-value", format!("the column `{column}` holds {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            columns: ["t", "i", "n", "j"].map(Box::from).into(),
            cells: vec![
                Cell::Text("hunter2".into()),
                Cell::Int(7),
                Cell::Null,
                Cell::Text("{\"a\":\"hunter2\"}".into()),
            ],
        }
    }

    #[test]
    fn values_come_out_typed() {
        let r = row();
        assert_eq!(r.text("t").unwrap(), "hunter2");
        assert_eq!(r.number::<u8>("i").unwrap(), 7);
        assert_eq!(r.opt_text("n").unwrap(), None);
        assert_eq!(r.opt_int("n").unwrap(), None);
        assert_eq!(r.json::<serde_json::Value>("j").unwrap()["a"], "hunter2");
        assert_eq!(r.time("i").unwrap(), Time::from_micros(7));
    }

    #[test]
    fn mistakes_name_the_column_and_hide_the_value() {
        let r = row();
        let problems = [
            r.text("nope").unwrap_err(),
            r.text("i").unwrap_err(),
            r.int("t").unwrap_err(),
            r.text("n").unwrap_err(),
            r.flag("i").unwrap_err(),
            r.parse::<Time>("t").unwrap_err(),
            r.json::<Vec<u8>>("j").unwrap_err(),
        ];
        for p in problems {
            assert_eq!(p.kind, base::Kind::Internal);
            assert!(p.message.contains('`') && !p.to_string().contains("hunter2"), "{p}");
        }
    }
}
