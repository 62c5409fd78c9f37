//! Server-sent events (HTML Living Standard §9.2.6), read from pieces of any size.

use base::{Problem, Result};

/// Longest event, bytes.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its sort; empty stands for `message`.
    pub name: String,
    /// Its data, lines joined.
    pub data: String,
    /// The id to resume after, as of this event.
    pub id: Option<String>,
}

/// Splits a byte stream into events.
#[derive(Debug, Default)]
pub struct Parser {
    buffer: Vec<u8>,
    event: Event,
    has_data: bool,
    /// Whether the piece before ended in a carriage return, whose line feed may still come.
    after_cr: bool,
    /// The pause that the server wishes, milliseconds.
    pub retry_ms: Option<u64>,
}

impl Parser {
    /// Takes a piece in and returns the events that it completes.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>> {
        let mut done = Vec::new();
        for byte in piece {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => self.line(&mut done),
                byte => self.buffer.push(*byte),
            }
            if self.buffer.len() + self.event.data.len() > EVENT_BYTES_MAX {
                return Err(Problem::internal("event-too-large", "the server sent an event larger than 4 MiB"));
            }
        }
        Ok(done)
    }

    fn line(&mut self, done: &mut Vec<Event>) {
        let bytes = std::mem::take(&mut self.buffer);
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                self.event.data.pop();
                done.push(self.event.clone());
            }
            self.event.name.clear();
            self.event.data.clear();
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(&str, &str, Option<&str>)]) {
        for size in [1, 2, 3, text.len()] {
            let mut parser = Parser::default();
            let pieces = text.as_bytes().chunks(size.max(1));
            let events: Vec<Event> = pieces.flat_map(|piece| parser.push(piece).expect("small events")).collect();
            let seen: Vec<_> = events.iter().map(|e| (e.name.as_str(), e.data.as_str(), e.id.as_deref())).collect();
            assert_eq!(seen, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn events_come_out_whatever_the_pieces() {
        check("data: a\n\ndata:b\ndata: c\n\n", &[("", "a", None), ("", "b\nc", None)]);
        check("\u{feff}x: 1\nevent: line\r\nid: 7\r\ndata: ü\r\n\r\n", &[("line", "ü", Some("7"))]);
        check(": keep-alive\n\nid: 3\n\ndata: x\n\n", &[("", "x", Some("3"))]);
        check("data: cut off", &[]);
        check("data:\n\n", &[("", "", None)]);
        check("id: 1\ndata: a\r\rdata: b\r\r", &[("", "a", Some("1")), ("", "b", Some("1"))]);
    }

    #[test]
    fn events_are_bounded() {
        assert!(Parser::default().push(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_err());
    }
}
