//! What a program inside a faked instance does, said by the words of its command.

use std::time::Duration;

use ports::{ExitKind, LogStream};

/// How a program ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// After this long.
    pub after: Duration,
    /// How.
    pub kind: ExitKind,
}

/// A behaviour. It is a function of the time since the start, so that it goes on while no control
/// plane is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Listens after this long.
    pub ready: Duration,
    /// Never listens.
    pub deaf: bool,
    /// Does not answer its probe from one moment to another.
    pub sick: Option<(Duration, Duration)>,
    /// Ends by itself.
    pub end: Option<End>,
    /// Ignores SIGTERM.
    pub stubborn: bool,
    /// The status of its answers.
    pub answers: u16,
    /// Once no new requests come, those under way take so long.
    pub busy: Duration,
    /// What it says when.
    pub says: Vec<(Duration, LogStream, String)>,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            ready: Duration::from_millis(100),
            deaf: false,
            sick: None,
            end: None,
            stubborn: false,
            answers: 200,
            busy: Duration::ZERO,
            says: Vec::new(),
        }
    }
}

impl Program {
    /// Reads the words behind the program's name: `ready=200`, `deaf`, `sick=500-1500`,
    /// `exit=3@250`, `signal=6@0`, `oom@100`, `disk@100`, `stubborn`, `answers=500`, `busy=900`,
    /// `say=text`, `err=text`, `count=200x2`. Spans are milliseconds. Steps of a build are taken
    /// as successful. A program called `missing` is not there.
    pub fn parse(command: &[String]) -> Self {
        let mut program = Self::default();
        match command {
            [name, ..] if name.ends_with("missing") => {
                program.end = Some(End { after: Duration::ZERO, kind: ExitKind::NotStarted });
            }
            [_, word, nonce, steps] if word == "steps" => program.take_steps(nonce, steps),
            _ => command.iter().skip(1).for_each(|word| program.take(word)),
        }
        program
    }

    fn take(&mut self, word: &str) {
        let (head, at) = word.split_once('@').map_or((word, 0), |(head, at)| (head, number(at)));
        let (key, value) = head.split_once('=').unwrap_or((head, ""));
        let after = Duration::from_millis(at);
        match key {
            "ready" => self.ready = Duration::from_millis(number(value)),
            "deaf" => self.deaf = true,
            "sick" => {
                let (from, to) = value.split_once('-').unwrap_or((value, value));
                self.sick = Some((Duration::from_millis(number(from)), Duration::from_millis(number(to))));
            }
            "exit" => self.end = Some(End { after, kind: ExitKind::Status { status: small(value) } }),
            "signal" => self.end = Some(End { after, kind: ExitKind::Signal { signal: small(value) } }),
            "oom" => self.end = Some(End { after, kind: ExitKind::Memory }),
            "disk" => self.end = Some(End { after, kind: ExitKind::Disk }),
            "stubborn" => {
                self.stubborn = true;
                self.says.push((Duration::ZERO, LogStream::Out, "ignoring SIGTERM".to_owned()));
            }
            "answers" => self.answers = u16::try_from(number(value)).unwrap_or(500),
            "busy" => self.busy = Duration::from_millis(number(value)),
            "say" => self.says.push((after, LogStream::Out, value.to_owned())),
            "err" => self.says.push((after, LogStream::Err, value.to_owned())),
            "count" => self.take_count(value),
            _ => {}
        }
    }

    fn take_count(&mut self, value: &str) {
        let (many, every) = value.split_once('x').map_or((number(value), 0), |(m, e)| (number(m), number(e)));
        let lines = (0..many).map(|n| (Duration::from_millis(n * every), LogStream::Out, n.to_string()));
        self.says.extend(lines);
        let after = Duration::from_millis(many * every);
        self.end = Some(End { after, kind: ExitKind::Status { status: 0 } });
    }

    /// The platform's step runner: each step takes 300 ms and goes well.
    fn take_steps(&mut self, nonce: &str, steps: &str) {
        let steps: Vec<serde_json::Value> = serde_json::from_str(steps).unwrap_or_default();
        let mut at = Duration::ZERO;
        for index in 0..steps.len() {
            self.says.push((at, LogStream::Out, format!("orlop-step {nonce} {index} begin")));
            self.says.push((at, LogStream::Out, format!("==> step {index}")));
            at += Duration::from_millis(300);
            self.says.push((at, LogStream::Out, format!("orlop-step {nonce} {index} end 300")));
        }
        self.end = Some(End { after: at, kind: ExitKind::Status { status: 0 } });
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

fn small(text: &str) -> i32 {
    text.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_behaviour() {
        let parse = |text: &str| Program::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("sim"), Program::default());
        assert_eq!(parse("sim ready=250").ready, Duration::from_millis(250));
        let end = |text| parse(text).end.map(|end| (end.after.as_millis(), end.kind));
        assert_eq!(end("sim exit=3@250"), Some((250, ExitKind::Status { status: 3 })));
        assert_eq!(end("sim oom@7"), Some((7, ExitKind::Memory)));
        assert_eq!(end("/app/missing"), Some((0, ExitKind::NotStarted)));
        assert_eq!(end("x steps n [{},{}]"), Some((600, ExitKind::Status { status: 0 })));
        assert_eq!(parse("sim count=3x10").says.len(), 3);
    }
}
