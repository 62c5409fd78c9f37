//! Rust text with code, literals and comments told apart: enough of a lexer for rules that look
//! for words, without the weight of a parser.

use std::ops::RangeInclusive;

/// One Rust file, taken apart.
pub struct Source {
    /// The text with comments and the contents of literals blanked; lines stay where they were.
    pub code: String,
    /// String literals.
    pub strings: Vec<Piece>,
    /// Comments of both kinds, documentation included.
    pub comments: Vec<Piece>,
    /// Lines that are compiled for tests only.
    test_lines: Vec<RangeInclusive<usize>>,
}

/// A literal or comment and the line on which it starts, counted from 1.
pub struct Piece {
    /// Counted from 1.
    pub line: usize,
    /// Without quotes; with the comment's slashes.
    pub text: String,
}

/// A function with a body.
pub struct Function {
    /// Its name, without the type it belongs to.
    pub name: String,
    /// Where `fn` stands, counted from 1.
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

impl Source {
    /// Takes a text apart. Text that is not Rust gives a useless answer, never a crash.
    pub fn parse(text: &str) -> Self {
        let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, line: 1, code: Vec::with_capacity(text.len()) };
        let (mut strings, mut comments) = (Vec::new(), Vec::new());
        while lexer.at < lexer.bytes.len() {
            lexer.step(&mut strings, &mut comments);
        }
        let code = String::from_utf8_lossy(&lexer.code).into_owned();
        let test_lines = test_regions(&code);
        Self { code, strings, comments, test_lines }
    }

    /// Whether the line belongs to a `#[cfg(test)]` item.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.test_lines.iter().any(|region| region.contains(&line))
    }

    /// The lines on which `word` stands as a whole word in code.
    pub fn lines_with(&self, word: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for (number, line) in self.code.lines().enumerate() {
            if has_word(line, word) {
                found.push(number + 1);
            }
        }
        found
    }

    /// Every function with a body, in order.
    pub fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let mut found = Vec::new();
        for at in word_places(&self.code, "fn") {
            let name: String =
                self.code[at + 2..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() {
                continue; // a function pointer type
            }
            if let Some(open) = body_start(bytes, at)
                && let Some(close) = matching_brace(bytes, open)
            {
                let (first, last) = (line_of(bytes, at), line_of(bytes, close));
                found.push(Function { name, line: first, lines: last + 1 - first });
            }
        }
        found
    }
}

/// Whether `word` stands in `line` with no letter, digit or underscore touching it. Words may hold
/// `::` and punctuation.
pub fn has_word(line: &str, word: &str) -> bool {
    !word_places(line, word).is_empty()
}

fn word_places(text: &str, word: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let first_is_ident = word.bytes().next().is_some_and(is_ident);
    let last_is_ident = word.bytes().next_back().is_some_and(is_ident);
    let mut found = Vec::new();
    for (at, _) in text.match_indices(word) {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied().is_some_and(is_ident);
        let after = bytes.get(at + word.len()).copied().is_some_and(is_ident);
        if !(first_is_ident && before || last_is_ident && after) {
            found.push(at);
        }
    }
    found
}

fn is_ident(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count()
}

/// Where the body of the function whose `fn` stands at `at` opens; `None` for a declaration.
fn body_start(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (index, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(index),
            _ => {}
        }
    }
    None
}

fn matching_brace(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (index, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

fn test_regions(code: &str) -> Vec<RangeInclusive<usize>> {
    let bytes = code.as_bytes();
    let mut regions = Vec::new();
    for marker in ["#[cfg(test)]", "#[cfg(any(test", "#[cfg(all(test"] {
        for (at, _) in code.match_indices(marker) {
            let after = at + "#[cfg".len();
            let end = body_start(bytes, after + bytes[after..].iter().position(|b| *b == b']').unwrap_or(0) + 1)
                .and_then(|open| matching_brace(bytes, open));
            let first = line_of(bytes, at);
            regions.push(first..=end.map_or(first + 1, |end| line_of(bytes, end)));
        }
    }
    regions
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    code: Vec<u8>,
}

impl Lexer<'_> {
    fn step(&mut self, strings: &mut Vec<Piece>, comments: &mut Vec<Piece>) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            (Some(b'/'), Some(b'/')) => {
                let end = self.find(|byte, _| byte == b'\n');
                comments.push(Piece { line, text: self.blank(end) });
            }
            (Some(b'/'), Some(b'*')) => {
                let end = self.block_comment_end();
                comments.push(Piece { line, text: self.blank(end) });
            }
            (Some(b'"'), _) => {
                let end = self.string_end(self.at + 1);
                strings.push(Piece { line, text: self.literal(1, end, 1) });
            }
            (Some(b'r'), Some(b'"' | b'#')) if self.starts_token() => match self.raw_string() {
                Some((open, end)) => strings.push(Piece { line, text: self.literal(open, end, open - 1) }),
                None => self.keep(),
            },
            (Some(b'\''), _) => match self.char_end() {
                Some(end) => drop(self.literal(1, end, 1)),
                None => self.keep(),
            },
            _ => self.keep(),
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Whether the byte here can be the prefix of a literal: no identifier runs into it, but for
    /// the `b` of a byte string and the `c` of a C string.
    fn starts_token(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.bytes.get(at)).copied();
        match before(1) {
            Some(b'b' | b'c') => !before(2).is_some_and(is_ident),
            Some(byte) => !is_ident(byte),
            None => true,
        }
    }

    /// Copies one byte into the code.
    fn keep(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.line += usize::from(byte == b'\n');
            self.code.push(byte);
            self.at += 1;
        }
    }

    /// Blanks everything up to `end` and returns it.
    fn blank(&mut self, end: usize) -> String {
        let end = end.min(self.bytes.len());
        let piece = &self.bytes[self.at..end];
        self.code.extend(piece.iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        self.line += piece.iter().filter(|byte| **byte == b'\n').count();
        self.at = end;
        String::from_utf8_lossy(piece).into_owned()
    }

    /// Keeps `open` bytes, blanks the contents up to `end`, keeps `close` bytes.
    fn literal(&mut self, open: usize, end: usize, close: usize) -> String {
        (0..open).for_each(|_| self.keep());
        let text = self.blank(end);
        (0..close).for_each(|_| self.keep());
        text
    }

    fn find(&self, stop: impl Fn(u8, usize) -> bool) -> usize {
        (self.at..self.bytes.len()).find(|at| stop(self.bytes[*at], *at)).unwrap_or(self.bytes.len())
    }

    fn block_comment_end(&self) -> usize {
        let (mut depth, mut at) = (0_usize, self.at);
        while at < self.bytes.len() {
            match self.bytes.get(at..at + 2) {
                Some(b"/*") => (depth, at) = (depth + 1, at + 2),
                Some(b"*/") if depth == 1 => return at + 2,
                Some(b"*/") => (depth, at) = (depth - 1, at + 2),
                _ => at += 1,
            }
        }
        at
    }

    fn string_end(&self, from: usize) -> usize {
        let mut at = from;
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'\\' => at += 2,
                b'"' => return at,
                _ => at += 1,
            }
        }
        self.bytes.len()
    }

    /// For `r##"…"##`: the length of `r##"` and where the contents end.
    fn raw_string(&self) -> Option<(usize, usize)> {
        let hashes = self.bytes[self.at + 1..].iter().take_while(|byte| **byte == b'#').count();
        if self.peek(1 + hashes) != Some(b'"') {
            return None;
        }
        let open = hashes + 2;
        let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
        let rest = &self.bytes[self.at + open..];
        let length = rest.windows(close.len()).position(|window| window == close).unwrap_or(rest.len());
        Some((open, self.at + open + length))
    }

    /// Where the contents of a character literal end; `None` for a lifetime.
    fn char_end(&self) -> Option<usize> {
        if self.peek(1) == Some(b'\\') {
            let from = self.at + 3;
            return (from..self.bytes.len().min(from + 12)).find(|at| self.bytes[*at] == b'\'');
        }
        let width = match self.peek(1)? {
            byte if byte < 0x80 => 1,
            byte if byte < 0xE0 => 2,
            byte if byte < 0xF0 => 3,
            _ => 4,
        };
        (self.peek(1 + width) == Some(b'\'')).then_some(self.at + 1 + width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, strings: &[&str]) {
        let source = Source::parse(text);
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>().join(" "), code, "code of {text}");
        assert_eq!(source.strings.iter().map(|piece| piece.text.as_str()).collect::<Vec<_>>(), strings);
        assert_eq!(source.code.lines().count(), text.lines().count(), "lines stay where they were");
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        check("let a = \"unsafe // {\"; // fn", "let a = \" \";", &["unsafe // {"]);
        check("/* a /* b */ c */ x", "x", &[]);
        check("r#\"SELECT \"x\" {\"# + y", "r#\" \"# + y", &["SELECT \"x\" {"]);
        check("br\"a\\\" r#fn", "br\" \" r#fn", &["a\\"]);
        check("'{' '\\'' 'a: &'static str", "' ' ' ' 'a: &'static str", &[]);
        check("\"one\\\ntwo\" z", "\" \" z", &["one\\\ntwo"]);
        check("'é' \"\\\\\" q", "' ' \" \" q", &["\\\\"]);
    }

    #[test]
    fn functions_are_measured() {
        let source =
            Source::parse("trait T { fn a(&self) -> [u8; 4]; }\nfn b()\nwhere\n{\n    x(\"}\")\n}\nlet f: fn() = b;");
        let seen: Vec<_> = source.functions().iter().map(|f| (f.name.clone(), f.line, f.lines)).collect();
        assert_eq!(seen, [("b".to_owned(), 2, 5)]);
    }

    #[test]
    fn test_items_are_known() {
        let source =
            Source::parse("fn a() {}\n#[cfg(test)]\nmod tests {\n    x\n}\nfn b() {}\n#[cfg(test)]\nmod more;\nz");
        let tests: Vec<_> = (1..=9).filter(|line| source.is_test_line(*line)).collect();
        assert_eq!(tests, [2, 3, 4, 5, 7, 8]);
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("x.await?", ".await"));
        assert!(has_word("unsafe {", "unsafe"));
        assert!(!has_word("#![forbid(unsafe_code)]", "unsafe"));
        assert!(!has_word("restore::x", "store::"));
        assert!(has_word("use store::{A}", "store::"));
    }
}
