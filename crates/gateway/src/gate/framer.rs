use super::Refusal;
use super::chunk::Chunks;
use super::head::{After, Head, HeadLimits, Progress};

/// Trailer section: as many bytes as this and as many fields as a head at most.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Where on a connection one request ends and the next begins.
#[derive(Debug)]
pub(crate) struct Framer {
    limits: HeadLimits,
    state: State,
    head: Head,
    /// Heads let in so far.
    heads: u64,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Box<Chunks>),
    Upgrade,
}

/// Why the framer takes no more of the input for now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The rest is the unfinished head of a request, or there is no rest.
    More,
    /// The rest waits for the answer to an upgrade.
    Upgrade,
    /// The rest must not be let in.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// Inside a body whose head was let in already.
        in_body: bool,
        /// The refused request asks for a head only.
        head_method: bool,
    },
}

impl Framer {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head, head: Head::default(), heads: 0 }
    }

    /// How many requests were let in.
    pub(crate) fn heads(&self) -> u64 {
        self.heads
    }

    /// Between requests, nothing of the next one seen.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && !self.head.has_begun()
    }

    /// In the middle of a head.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head) && self.head.has_begun()
    }

    /// Behind a request to upgrade.
    pub(crate) fn is_upgrade(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// The upgrade was declined: what follows is the next request.
    pub(crate) fn resume(&mut self) {
        if matches!(self.state, State::Upgrade) {
            self.next_head();
        }
    }

    fn next_head(&mut self) {
        self.head.reset();
        self.state = State::Head;
    }

    /// How many bytes from the front of the input may pass, and why not more.
    pub(crate) fn advance(&mut self, input: &[u8]) -> (usize, Stop) {
        let mut passed = 0usize;
        loop {
            let rest = input.get(passed..).unwrap_or(b"");
            if rest.is_empty() && !matches!(self.state, State::Upgrade) {
                return (passed, Stop::More);
            }
            match &mut self.state {
                State::Upgrade => return (passed, Stop::Upgrade),
                State::Length(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    passed = passed.saturating_add(take);
                    *left = left.saturating_sub(take as u64);
                    if *left == 0 {
                        self.next_head();
                    }
                }
                State::Chunked(chunks) => match chunks.advance(rest) {
                    Ok(taken) => {
                        passed = passed.saturating_add(taken);
                        if chunks.is_done() {
                            self.next_head();
                        }
                    }
                    Err(refusal) => {
                        return (passed, Stop::Refuse { refusal, in_body: true, head_method: false });
                    }
                },
                State::Head => match self.head.feed(rest, &self.limits) {
                    Progress::More => return (passed, Stop::More),
                    Progress::Refuse(refusal) => {
                        let head_method = self.head.head_method;
                        return (passed, Stop::Refuse { refusal, in_body: false, head_method });
                    }
                    Progress::Done(taken, after) => {
                        passed = passed.saturating_add(taken);
                        self.heads = self.heads.saturating_add(1);
                        self.after(after);
                    }
                },
            }
        }
    }

    fn after(&mut self, after: After) {
        match after {
            After::Nothing => self.next_head(),
            After::Length(length) => self.state = State::Length(length),
            After::Chunked => self.state = State::Chunked(Box::new(Chunks::new(TRAILER_BYTES_MAX, self.limits.fields))),
            After::Upgrade => self.state = State::Upgrade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 1000, target_bytes: 100, fields: 10 };

    fn code(stop: &Stop) -> &'static str {
        match stop {
            Stop::More => "more",
            Stop::Upgrade => "upgrade",
            Stop::Refuse { refusal, .. } => refusal.code,
        }
    }

    /// The same bytes whole and cut in two at every place must come to the same end.
    fn check(input: &str, heads: u64, end: &str) {
        let mut whole = Framer::new(LIMITS);
        let (passed, stop) = whole.advance(input.as_bytes());
        assert_eq!((whole.heads(), code(&stop)), (heads, end), "{input:?}");
        for cut in 1..input.len() {
            let mut framer = Framer::new(LIMITS);
            let (first, stop) = framer.advance(&input.as_bytes()[..cut]);
            if matches!(stop, Stop::Refuse { .. }) {
                assert_eq!(code(&stop), end, "{input:?} cut at {cut}");
                continue;
            }
            let (second, stop) = framer.advance(&input.as_bytes()[first..]);
            assert_eq!((framer.heads(), code(&stop)), (heads, end), "{input:?} cut at {cut}");
            assert_eq!(first + second, passed, "{input:?} cut at {cut}");
        }
    }

    #[test]
    fn requests_are_told_apart() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, "more");
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 2, "more");
        check(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: b\r\n\r\n",
            2,
            "more",
        );
        check(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
            2,
            "more",
        );
        check("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nGET / HTTP/1.1", 1, "upgrade");
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1, "bad-host");
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", 0, "bare-lf");
    }
}
