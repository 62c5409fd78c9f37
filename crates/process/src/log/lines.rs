use std::sync::Arc;

use base::limits::LOG_LINE_BYTES_MAX;

use super::Redactor;

/// Cuts a stream of bytes into lines of bounded length. A longer line becomes several; bytes that
/// are not UTF-8 are replaced; a character is never cut in two. Secrets are taken out on the way.
#[derive(Default)]
pub(crate) struct Splitter {
    pending: Vec<u8>,
    redactor: Arc<Redactor>,
}

impl Splitter {
    /// Takes these secrets out.
    pub(crate) fn new(redactor: Arc<Redactor>) -> Self {
        Self { pending: Vec::new(), redactor }
    }

    /// Takes bytes in and hands out every line that is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = LOG_LINE_BYTES_MAX - self.pending.len();
            let window = bytes.get(..bytes.len().min(room)).unwrap_or_default();
            if let Some(end) = window.iter().position(|b| *b == b'\n') {
                let (head, rest) = (window.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
                if self.pending.is_empty() {
                    line(&self.shown(head));
                } else {
                    self.pending.extend_from_slice(head);
                    let whole = std::mem::take(&mut self.pending);
                    line(&self.shown(&whole));
                }
                bytes = rest;
            } else {
                self.pending.extend_from_slice(window);
                bytes = bytes.get(window.len()..).unwrap_or_default();
                if self.pending.len() >= LOG_LINE_BYTES_MAX {
                    self.cut(&mut line);
                }
            }
        }
    }

    /// Hands out the beginning of a line that is too long. What may be the beginning of a secret waits
    /// for the rest.
    fn cut(&mut self, mut line: impl FnMut(&str)) {
        // The name of a secret may be longer than the secret.
        while self.pending.len() >= LOG_LINE_BYTES_MAX {
            let mut pending = self.redactor.bytes(&self.pending);
            let room = pending.len().min(LOG_LINE_BYTES_MAX).saturating_sub(self.redactor.reach());
            let end = whole_characters(pending.get(..room).unwrap_or_default());
            self.pending = pending.split_off(end);
            if !pending.is_empty() {
                line(&lossy(&pending));
            }
        }
    }

    /// Hands out what is left when the stream has ended.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            line(&self.shown(&rest));
        }
    }

    fn shown(&self, bytes: &[u8]) -> String {
        lossy(&self.redactor.bytes(bytes))
    }
}

/// Valid UTF-8 of at most the bound: a replacement character is longer than the byte it stands for.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() > LOG_LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LOG_LINE_BYTES_MAX));
    }
    text
}

/// The length without an unfinished character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let tail = bytes.get(start..).unwrap_or_default();
    let lead = tail.iter().rposition(|b| b & 0xc0 == 0xc0);
    match lead {
        Some(at) => {
            let needs = tail.get(at).map_or(1, |b| b.leading_ones() as usize);
            if tail.len() - at < needs { start + at } else { bytes.len() }
        }
        None => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expect: &[&str]) {
        let mut splitter = Splitter::default();
        let mut got = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |l| got.push(l.to_owned()));
        }
        splitter.finish(|l| got.push(l.to_owned()));
        assert_eq!(got, expect);
    }

    #[test]
    fn lines_come_out_whole_whatever_the_pieces() {
        check(&[b"a\nb\n"], &["a", "b"]);
        check(&[b"a", b"b\n\nc"], &["ab", "", "c"]);
        check(&["\u{2602}\n".as_bytes()], &["\u{2602}"]);
        check(&[b"\xe2", b"\x98\x82\n"], &["\u{2602}"]);
        check(&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"]);
        check(&[], &[]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "\u{20ac}".repeat(LOG_LINE_BYTES_MAX);
        let mut splitter = Splitter::default();
        let mut got = Vec::new();
        for chunk in text.as_bytes().chunks(1000) {
            splitter.feed(chunk, |l| got.push(l.to_owned()));
        }
        splitter.finish(|l| got.push(l.to_owned()));
        assert_eq!(got.concat(), text);
        assert!(got.iter().all(|l| l.len() <= LOG_LINE_BYTES_MAX));
    }

    /// However the pieces fall, also where a line is cut because it is too long.
    #[test]
    fn a_secret_is_never_handed_out_in_pieces() {
        let secret = "s3cret-value-of-some-length";
        let values = [("KEY".to_owned(), secret.to_owned())].into();
        for before in (0..200).map(|n| LOG_LINE_BYTES_MAX - 100 + n) {
            let text = format!("{}{secret}{}\n", "x".repeat(before), "y".repeat(50));
            for step in [7, 1000, 1 << 20] {
                let mut splitter = Splitter::new(Arc::new(Redactor::of(&values)));
                let mut got = Vec::new();
                for chunk in text.as_bytes().chunks(step) {
                    splitter.feed(chunk, |l| got.push(l.to_owned()));
                }
                let (all, whole) = (got.concat(), format!("{}[secret KEY]{}", "x".repeat(before), "y".repeat(50)));
                assert_eq!(all, whole, "{before} {step}");
                assert!(got.iter().all(|l| l.len() <= LOG_LINE_BYTES_MAX));
            }
        }
    }

    #[test]
    fn memory_is_bounded_for_a_stream_without_lines() {
        let mut splitter = Splitter::default();
        for _ in 0..100 {
            splitter.feed(&[0x80; 70_000], |l| assert!(l.len() <= LOG_LINE_BYTES_MAX));
            assert!(splitter.pending.len() <= LOG_LINE_BYTES_MAX);
        }
    }
}
