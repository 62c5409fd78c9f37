//! What a command says: data to standard output, talk to standard error.

mod live;
mod paint;
mod table;

use std::io;

use api::ProblemBody;
use base::{Problem, Result};
use serde::Serialize;

pub use self::live::Live;
pub use self::paint::{Paint, Tone};
pub use self::table::Table;
use crate::exit::OUTPUT_CLOSED;
use crate::text::{clean, steers};
use crate::{Host, Stream};

/// The mouth of a command.
pub struct Out<'h> {
    host: &'h dyn Host,
    /// Whether data is JSON.
    pub json: bool,
    /// Colours of data.
    pub paint: Paint,
    /// Colours of talk.
    pub talk: Paint,
}

impl<'h> Out<'h> {
    pub fn new(host: &'h dyn Host, json: bool) -> Self {
        let paint = |stream| Paint {
            on: host.is_terminal(stream)
                && host.variable("NO_COLOR").is_none()
                && host.variable("TERM").is_none_or(|term| term != "dumb"),
        };
        Self { host, json, paint: paint(Stream::Out), talk: paint(Stream::Err) }
    }

    /// A reply: its own JSON, or what `human` makes of it.
    pub fn reply<T: Serialize>(&self, value: &T, human: impl FnOnce(&Paint) -> String) -> Result<()> {
        if !self.json {
            return self.data(&human(&self.paint));
        }
        let text = serde_json::to_string_pretty(value).map_err(unwritable)?;
        self.data(&escaped(&text))
    }

    /// One event of a stream, one line: its own JSON, or what `human` makes of it.
    pub fn event<T: Serialize>(&self, value: &T, human: impl FnOnce(&Paint) -> String) -> Result<()> {
        if !self.json {
            return self.data(&human(&self.paint));
        }
        let text = serde_json::to_string(value).map_err(unwritable)?;
        self.data(&escaped(&text))
    }

    /// Data. Nothing is written for an empty text.
    pub fn data(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let line = format!("{}\n", text.trim_end_matches('\n'));
        self.host.write(Stream::Out, line.as_bytes()).map_err(unwritten)
    }

    /// Talk. That nobody listens to it does not end a command.
    pub fn say(&self, text: &str) {
        let _ = self.host.write(Stream::Err, format!("{text}\n").as_bytes());
    }

    /// A question; the answer is typed behind it.
    pub fn ask(&self, text: &str) -> Result<()> {
        self.host.write(Stream::Err, text.as_bytes()).map_err(unwritten)
    }

    /// A line that shows what is happening now, where a person looks at it.
    pub fn live(&self) -> Live<'h> {
        Live::new(self.host, !self.json && self.host.is_terminal(Stream::Err), self.talk)
    }

    /// That a list goes on.
    pub fn more(&self, next: Option<&str>) {
        if let (Some(next), false) = (next, self.json) {
            self.say(&format!("There are more; the next page: --after {}", clean(next)));
        }
    }

    /// A problem: for people on standard error and, for programs, as an object on standard output.
    pub fn problem(&self, problem: &Problem) {
        if self.json
            && let Ok(text) = serde_json::to_string_pretty(&ProblemBody::of(problem, None))
        {
            let _ = self.data(&escaped(&text));
        }
        self.say(&layout(problem, self.talk));
    }
}

/// The same JSON, with what steers a terminal escaped (RFC 8259 §7): JSON itself asks that only of
/// the characters below U+0020.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if steers(c) && c != '\n' => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out
}

/// The layout of a problem: what was tried and found, where, what to do, and the word to search for.
fn layout(problem: &Problem, paint: Paint) -> String {
    let mut text = format!("{} {}", paint.tone(Tone::Bad, "error:"), lines(&problem.message, 7));
    let mut part = |name: &str, value: &str| {
        text.push_str(&format!("\n  {} {}", paint.tone(Tone::Quiet, &format!("{name:<5}")), lines(value, 8)));
    };
    if let Some(place) = &problem.place {
        part("at", place);
    }
    if let Some(hint) = &problem.hint {
        part("fix", hint);
    }
    part("code", &problem.code);
    text
}

/// Foreign lines, the later ones indented to stand beneath the first.
fn lines(text: &str, indent: usize) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join(&format!("\n{}", " ".repeat(indent)))
}

fn unwritten(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Problem::internal(OUTPUT_CLOSED, "nobody reads standard output any more");
    }
    Problem::internal("output-failed", format!("standard output cannot be written: {error}"))
}

fn unwritable(error: serde_json::Error) -> Problem {
    Problem::internal("not-json", format!("the reply cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_is_shown_steers_no_terminal() {
        let value = serde_json::json!({ "a": "x\u{9b}31m\u{7f}\u{202e}\u{1b}[0m\ty" });
        let shown = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn problems_say_what_where_fix_and_code() {
        let problem =
            Problem::invalid("bad-key", "unknown key `prot`\nsecond line").at("orlop.yaml:2:1").hint("write `port`");
        assert_eq!(
            layout(&problem, Paint { on: false }),
            "error: unknown key `prot`\n       second line\n  at    orlop.yaml:2:1\n  fix   write `port`\n  code  bad-key"
        );
    }
}
