use std::fmt::{self, Write as _};

use askama::filters::HtmlSafe;

use super::text::{clean, escape};

/// A line of output: its colours (SGR, ECMA-48 §8.3.117) as classes, whatever else would steer a terminal
/// left out, what is searched for marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    text: String,
    mark: String,
}

impl Output {
    /// `mark` is what is marked; empty: nothing.
    pub(crate) fn new(text: impl Into<String>, mark: &str) -> Self {
        Self { text: text.into(), mark: mark.to_lowercase() }
    }
}

impl HtmlSafe for Output {}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        for (style, text) in parts(&self.text) {
            let classes = style.classes();
            if classes.is_empty() {
                marked(&text, &self.mark, f)?;
            } else {
                write!(f, "<span class=\"{classes}\">")?;
                marked(&text, &self.mark, f)?;
                f.write_str("</span>")?;
            }
        }
        f.write_str("</bdi>")
    }
}

/// The text alone, as it is searched through.
pub(crate) fn plain(text: &str) -> String {
    parts(text).into_iter().map(|(_, text)| text).collect()
}

fn marked(text: &str, mark: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = clean(text);
    // Lower case can be longer than what it came from: then nothing is marked rather than the wrong thing.
    let lower = text.to_lowercase();
    if mark.is_empty() || lower.len() != text.len() {
        return escape(&text, f);
    }
    let mut at = 0;
    for (found, _) in lower.match_indices(mark) {
        let end = found.saturating_add(mark.len());
        let (Some(before), Some(hit)) = (text.get(at..found), text.get(found..end)) else { break };
        escape(before, f)?;
        f.write_str("<mark>")?;
        escape(hit, f)?;
        f.write_str("</mark>")?;
        at = end;
    }
    escape(text.get(at..).unwrap_or_default(), f)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    colour: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
}

impl Style {
    fn classes(self) -> String {
        let mut out = String::new();
        for (on, class) in [(self.bold, "1"), (self.dim, "2"), (self.italic, "3"), (self.underlined, "4")] {
            if on {
                let _ = write!(out, "{}ansi-{class}", if out.is_empty() { "" } else { " " });
            }
        }
        if let Some(colour) = self.colour {
            let _ = write!(out, "{}ansi-{colour}", if out.is_empty() { "" } else { " " });
        }
        out
    }

    fn take(&mut self, parameters: &str) {
        let mut numbers =
            parameters.split([';', ':']).map(|p| if p.is_empty() { Some(0) } else { p.parse::<u16>().ok() });
        while let Some(number) = numbers.next() {
            match number {
                Some(0) => *self = Self::default(),
                Some(1) => self.bold = true,
                Some(2) => self.dim = true,
                Some(3) => self.italic = true,
                Some(4) => self.underlined = true,
                Some(22) => (self.bold, self.dim) = (false, false),
                Some(23) => self.italic = false,
                Some(24) => self.underlined = false,
                Some(n @ (30..=37 | 90..=97)) => self.colour = u8::try_from(n).ok(),
                Some(39) => self.colour = None,
                // A colour by number or by parts: those of the theme stand for themselves, others for none.
                Some(38 | 48) => match numbers.next() {
                    Some(Some(5)) => drop(numbers.next()),
                    Some(Some(2)) => drop(numbers.by_ref().take(3).count()),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

fn parts(text: &str) -> Vec<(Style, String)> {
    let mut out: Vec<(Style, String)> = vec![(Style::default(), String::new())];
    let mut style = Style::default();
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, behind) = rest.split_at(at);
        push(&mut out, style, before);
        let (sequence, after) = sequence(behind);
        if let Some(parameters) = sequence.strip_prefix("\u{1b}[").and_then(|s| s.strip_suffix('m')) {
            style.take(parameters);
        }
        rest = after;
    }
    push(&mut out, style, rest);
    out
}

fn push(out: &mut Vec<(Style, String)>, style: Style, text: &str) {
    match out.last_mut() {
        Some((last, so_far)) if *last == style => so_far.push_str(text),
        _ => out.push((style, text.to_owned())),
    }
}

/// The control sequence that a text begins with, and what is behind it (ECMA-48 §5.4; OSC ends with BEL or ST).
fn sequence(text: &str) -> (&str, &str) {
    let mut chars = text.char_indices().skip(1);
    let end = match chars.next() {
        Some((_, '[')) => {
            chars.find(|(_, c)| ('\u{40}'..='\u{7e}').contains(c)).map(|(at, c)| at.saturating_add(c.len_utf8()))
        }
        Some((_, ']')) => {
            let body = chars.find(|(_, c)| matches!(c, '\u{7}' | '\u{1b}'));
            body.map(|(at, c)| at.saturating_add(if c == '\u{1b}' { 2 } else { 1 }))
        }
        Some((at, c)) => Some(at.saturating_add(c.len_utf8())),
        None => None,
    };
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, mark: &str, expect: &str) {
        assert_eq!(Output::new(text, mark).to_string(), format!("<bdi>{expect}</bdi>"), "{text:?}");
    }

    #[test]
    fn colours_become_classes_and_nothing_else_passes() {
        check("plain", "", "plain");
        check("\u{1b}[31mred\u{1b}[0m <b>", "", "<span class=\"ansi-31\">red</span> &lt;b&gt;");
        check("\u{1b}[1;92mok\u{1b}[m", "", "<span class=\"ansi-1 ansi-92\">ok</span>");
        check("\u{1b}[38;5;31mx\u{1b}[38;2;1;31;3my", "", "xy");
        check("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}]8;;http://evil.test\u{1b}\\d", "", "abcd");
        check("\u{1b}", "", "");
        check("\u{1b}[31", "", "");
        // A sequence ends with its first final byte (0x40–0x7e), whatever stands before it.
        check("\u{1b}[\" onload=alert(1)<script>", "", "nload=alert(1)&lt;script&gt;");
        check("a\rb\u{202e}c", "", "a⟨000D⟩b⟨202E⟩c");
    }

    #[test]
    fn what_is_searched_for_is_marked_and_escaped() {
        check("Error: no <error>", "error", "<mark>Error</mark>: no &lt;<mark>error</mark>&gt;");
        check("<<", "<", "<mark>&lt;</mark><mark>&lt;</mark>");
        check("İstanbul", "stan", "İstanbul");
        assert_eq!(plain("\u{1b}[31mre\u{1b}[1md\u{1b}[0m"), "red");
    }
}
