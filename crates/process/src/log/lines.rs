use base::limits::LOG_LINE_BYTES_MAX;

/// Cuts a stream of bytes into lines of bounded length. A longer line becomes several; bytes that
/// are not UTF-8 are replaced; a character is never cut in two.
#[derive(Default)]
pub(crate) struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Takes bytes in and hands out every line that is complete.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(&str)) {
        while !bytes.is_empty() {
            let room = LOG_LINE_BYTES_MAX - self.pending.len();
            let window = bytes.get(..bytes.len().min(room)).unwrap_or_default();
            if let Some(end) = window.iter().position(|b| *b == b'\n') {
                let (head, rest) = (window.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default());
                if self.pending.is_empty() {
                    line(&shown(head));
                } else {
                    self.pending.extend_from_slice(head);
                    line(&shown(&std::mem::take(&mut self.pending)));
                }
                bytes = rest;
            } else {
                self.pending.extend_from_slice(window);
                bytes = bytes.get(window.len()..).unwrap_or_default();
                if self.pending.len() >= LOG_LINE_BYTES_MAX {
                    let rest = self.pending.split_off(whole_characters(&self.pending));
                    line(&shown(&std::mem::replace(&mut self.pending, rest)));
                }
            }
        }
    }

    /// Hands out what is left when the stream has ended.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(&str)) {
        if !self.pending.is_empty() {
            line(&shown(&std::mem::take(&mut self.pending)));
        }
    }
}

/// Valid UTF-8 of at most the bound: a replacement character is longer than the byte it stands for.
fn shown(bytes: &[u8]) -> String {
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

    #[test]
    fn memory_is_bounded_for_a_stream_without_lines() {
        let mut splitter = Splitter::default();
        for _ in 0..100 {
            splitter.feed(&[0x80; 70_000], |l| assert!(l.len() <= LOG_LINE_BYTES_MAX));
            assert!(splitter.pending.len() <= LOG_LINE_BYTES_MAX);
        }
    }
}
