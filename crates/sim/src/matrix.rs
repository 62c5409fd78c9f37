//! Who may call what, written by hand and independently of the code: `matrix.txt`.

use std::collections::BTreeMap;

const TEXT: &str = include_str!("../matrix.txt");

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// The handler is reached.
    Allowed,
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// 404, as if it did not exist.
    Hidden,
    /// 5xx: nothing was decided. No mark of the table stands for it.
    Broken,
}

impl Cell {
    /// What an HTTP status says, where the handler itself refuses nothing.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::Hidden,
            500.. => Self::Broken,
            _ => Self::Allowed,
        }
    }
}

/// The table.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The sorts of callers, in the order of the columns.
    pub callers: Vec<&'static str>,
    rows: BTreeMap<&'static str, Vec<Cell>>,
}

impl Matrix {
    /// Reads the table.
    ///
    /// # Panics
    /// Where a line of it is not well formed.
    pub fn read() -> Self {
        let callers: Vec<&str> = TEXT.lines().filter_map(caller).collect();
        let mut rows = BTreeMap::new();
        for line in TEXT.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (name, marks) = line.split_once(' ').unwrap_or_else(|| panic!("a line of the matrix: {line}"));
            let cells: Vec<Cell> = marks.chars().filter(|c| *c != ' ').map(|c| cell(c, line)).collect();
            assert_eq!(cells.len(), callers.len(), "one cell for each caller: {line}");
            assert!(rows.insert(name, cells).is_none(), "{name} stands in the matrix twice");
        }
        Self { callers, rows }
    }

    /// What this caller gets from this endpoint.
    ///
    /// # Panics
    /// Where the table has no such line or column: what nobody has decided is not tested, it fails.
    pub fn expect(&self, endpoint: &str, caller: &str) -> Cell {
        let column = self.callers.iter().position(|c| *c == caller).unwrap_or_else(|| panic!("no caller `{caller}`"));
        let row = self.rows.get(endpoint).unwrap_or_else(|| panic!("the access matrix has no line for `{endpoint}`"));
        row[column]
    }

    /// Lines that the endpoint table lacks, and endpoints that have no line.
    pub fn gaps<'a>(&self, endpoints: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let known: Vec<&str> = endpoints.into_iter().collect();
        let without_line = known.iter().filter(|id| !self.rows.contains_key(**id)).map(|id| format!("no line: {id}"));
        let without_endpoint =
            self.rows.keys().filter(|row| !known.contains(&row.split('@').next().unwrap_or_default()));
        without_line.chain(without_endpoint.map(|row| format!("no endpoint: {row}"))).collect()
    }
}

/// `#  1 nobody        no credential`
fn caller(line: &'static str) -> Option<&'static str> {
    let mut words = line.strip_prefix('#')?.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    words.next()
}

fn cell(mark: char, line: &str) -> Cell {
    match mark {
        '+' => Cell::Allowed,
        'u' => Cell::Unauthenticated,
        'f' => Cell::Forbidden,
        'h' => Cell::Hidden,
        other => panic!("`{other}` is no mark of the matrix: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed_and_gaps_are_told() {
        let matrix = Matrix::read();
        assert_eq!(matrix.callers.len(), 20);
        assert_eq!(matrix.expect("getService", "rival-owner"), Cell::Hidden);
        let all: Vec<&str> = matrix.rows.keys().filter(|row| !row.contains('@')).copied().collect();
        assert_eq!(matrix.gaps(all.iter().copied()), Vec::<String>::new());
        let missing = matrix.gaps(all.iter().copied().chain(["newEndpoint"]));
        assert_eq!(missing, ["no line: newEndpoint"]);
        let gone = matrix.gaps(all.iter().copied().filter(|id| *id != "whoami"));
        assert_eq!(gone, ["no endpoint: whoami"]);
    }
}
