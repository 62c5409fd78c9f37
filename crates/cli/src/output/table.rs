use super::{Paint, Tone};
use crate::text::clean;

/// Plain columns, aligned left, two spaces apart; the last one as wide as it is.
pub struct Table {
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(|name| (name.to_owned(), Tone::Quiet)).to_vec()] }
    }

    /// A table without a head: names and values.
    pub fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Self {
        let rows = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            rows: rows
                .map(|(name, value)| vec![(name.to_owned(), Tone::Quiet), (clean(&value), Tone::Plain)])
                .collect(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [(String, Tone); N]) {
        self.rows.push(cells.map(|(text, tone)| (clean(&text), tone)).to_vec());
    }

    /// Adds a row without meaning in its colours.
    pub fn plain<const N: usize>(&mut self, cells: [String; N]) {
        self.row(cells.map(|text| (text, Tone::Plain)));
    }

    /// The text; `empty` where there is no row beneath the head.
    pub fn show(&self, paint: Paint, empty: &str) -> String {
        if self.rows.len() < 2 { empty.to_owned() } else { self.text(paint) }
    }

    /// The text.
    pub fn text(&self, paint: Paint) -> String {
        let mut widths = Vec::new();
        for row in &self.rows {
            for (i, (text, _)) in row.iter().enumerate() {
                let width = text.chars().count();
                match widths.get_mut(i) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        self.rows.iter().map(|row| line(row, &widths, paint)).collect::<Vec<_>>().join("\n")
    }
}

fn line(row: &[(String, Tone)], widths: &[usize], paint: Paint) -> String {
    let last = row.iter().rposition(|(text, _)| !text.is_empty());
    let mut line = String::new();
    for (i, ((text, tone), width)) in row.iter().zip(widths).enumerate() {
        line.push_str(&paint.tone(*tone, text));
        if Some(i) >= last {
            break;
        }
        line.push_str(&" ".repeat(width - text.chars().count() + 2));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colour() {
        let mut table = Table::new(["NAME", "STATE", "NOTE"]);
        table.row([("shop".into(), Tone::Plain), ("healthy".into(), Tone::Good), (String::new(), Tone::Plain)]);
        table.plain(["b".into(), "x".into(), "\u{1b}[2Jé long".into()]);
        assert_eq!(table.text(Paint { on: false }), "NAME  STATE    NOTE\nshop  healthy\nb     x        é long");
        let coloured = table.text(Paint { on: true });
        assert!(coloured.contains("shop  \u{1b}[32mhealthy\u{1b}[0m\n"), "{coloured:?}");
        assert_eq!(Table::new(["A"]).show(Paint { on: false }, "none"), "none");
    }
}
