//! What a benchmark says: one JSON object as its last line, made for `cargo xtask bench`.

use serde_json::{Value, json};

/// Figures side by side.
#[derive(Debug, Default)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.to_owned(), columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

/// All that one benchmark found.
#[derive(Debug, Default)]
pub struct Report {
    tables: Vec<Table>,
    targets: Vec<Value>,
    notes: Vec<String>,
    raw: serde_json::Map<String, Value>,
}

impl Report {
    /// Adds a table.
    pub fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Compares what was measured with what is aimed at; `met` is `None` where it could not be measured.
    pub fn target(&mut self, what: &str, target: &str, measured: String, met: Option<bool>) {
        self.targets.push(json!({ "what": what, "target": target, "measured": measured, "met": met }));
    }

    /// Something the reader of the figures must know.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Figures for programs.
    pub fn raw(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// Writes the report as one line.
    pub fn print(&self) {
        let tables: Vec<Value> =
            self.tables.iter().map(|t| json!({ "title": t.title, "columns": t.columns, "rows": t.rows })).collect();
        println!("{}", json!({ "tables": tables, "targets": self.targets, "notes": self.notes, "raw": self.raw }));
    }
}
