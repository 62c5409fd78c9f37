//! Reads server-sent events (WHATWG HTML §9.2), as the API writes them.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Its type; empty: `message`.
    pub name: String,
    /// Its content.
    pub data: String,
}

/// What came of a stream so far and is no whole line yet, and the event that it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Sse {
    line: Vec<u8>,
    event: Event,
}

impl Sse {
    /// Takes the next bytes; gives the events that are whole now.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.take(&String::from_utf8_lossy(&line)));
                }
                b'\r' => {}
                other => self.line.push(*other),
            }
        }
        events
    }

    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_they_are_cut() {
        let text = "id: 7\ndata: {\"a\":1}\n\n: quiet\n\nevent: problem\r\ndata: x\r\ndata: ü\r\n\r\n";
        let expect = [
            Event { name: String::new(), data: "{\"a\":1}".into() },
            Event { name: "problem".into(), data: "x\nü".into() },
        ];
        for size in 1..text.len() {
            let mut sse = Sse::default();
            let events: Vec<Event> = text.as_bytes().chunks(size).flat_map(|chunk| sse.push(chunk)).collect();
            assert_eq!(events, expect, "in pieces of {size}");
        }
    }
}
